"""What a user types: freqtrade's option names, one line for a wrong word, help, completion."""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from freqtrade.commands.cli_options import AVAILABLE_CLI_OPTIONS, Arg

from perp_imbalance.cli.completion import SHELLS
from perp_imbalance.cli.main import COMMANDS, build_parser, run
from perp_imbalance.indicators.gates import GATES
from perp_imbalance.research.grid_names import AXES

#: Options with another meaning than freqtrade's of the same name, and why.
OTHERS = {
    "--trades": "plot: a result file, or none; freqtrade's list-data: a switch",
    "--days": "sample: how much is made; freqtrade's download-data: how far back it goes",
}


def parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Return every parser with its command, those of ``preset`` behind it."""
    pending: list[argparse.ArgumentParser] = [build_parser()]
    while pending:
        parser = pending.pop()
        yield parser.prog, parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                pending += action.choices.values()


def freqtrade_option(names: set[str]) -> tuple[str, Arg] | None:
    """Return freqtrade's option that has one of the long names."""
    longs = {name for name in names if name.startswith("--")}
    return next(
        ((dest, arg) for dest, arg in AVAILABLE_CLI_OPTIONS.items() if longs & {*arg.cli}), None
    )


def test_options_are_named_as_freqtrades() -> None:
    seen = set()
    for command, parser in parsers():
        for action in parser._actions:
            names = {*action.option_strings} - OTHERS.keys()
            if action.dest == "help" or not (found := freqtrade_option(names)):
                continue
            dest, arg = found
            seen.add(dest)
            # --db is older than --db-url.
            assert names - {"--db"} == {*arg.cli}, command
            is_switch = arg.kwargs.get("action", "").startswith(("store_", "count"))
            # argparse: a switch and --version take no value.
            assert (action.nargs == 0) == is_switch, (command, names)
            if not is_switch and command != "perp-imbalance backtest":
                assert action.nargs == arg.kwargs.get("nargs"), (command, names)
    assert {"config", "datadir", "pairs", "timeframe", "strategy", "user_data_dir"} < seen
    assert {"strategy_path", "timerange", "strategy_list", "timeframes", "db_url"} < seen


def test_options_of_other_meaning_exist() -> None:
    ours = {
        name for _, parser in parsers() for each in parser._actions for name in each.option_strings
    }
    assert OTHERS.keys() <= ours
    assert all(freqtrade_option({name}) for name in OTHERS)


def test_sweep_varies_what_a_signal_depends_on() -> None:
    gates = [gate for gate in GATES if gate.series is None]
    names = {name for gate in gates for name in (gate.switch, *gate.thresholds)}
    assert {*AXES} == {"len_prem", "smooth_len", "enter_z", "exit_z"} | names


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_80_columns(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as left:
        run([command, "--help"] if command else ["--help"])
    assert left.value.code == 0
    page = capsys.readouterr().out
    assert max(map(len, page.splitlines())) <= 80
    assert f"  perp-imbalance {command}" in page.partition("\nexample")[2]


NEAREST = [
    ("bactest", "perp-imbalance: unknown command bactest: did you mean backtest?"),
    ("preset aply", "perp-imbalance preset: unknown command aply: did you mean apply?"),
    (
        "backtest --timerang 2025",
        "perp-imbalance backtest: unknown option --timerang: did you mean --timerange?",
    ),
    (
        "backtest --strategies A",
        "perp-imbalance backtest: unknown option --strategies: did you mean --strategy?",
    ),
    # Not "--timerange is required".
    (
        "download-data --timerang=2025-",
        "perp-imbalance download-data: unknown option --timerang: did you mean --timerange?",
    ),
    # No abbreviation.
    ("scan --pre x", "perp-imbalance scan: unknown option --pre: did you mean --preset?"),
    ("scan -y", "perp-imbalance scan: unknown option -y; see perp-imbalance scan --help"),
    (
        "-c config.json scan",
        "perp-imbalance: unknown option -c: options of a command follow its name; see "
        "perp-imbalance --help",
    ),
    (
        "scan --by fundng",
        "perp-imbalance scan: argument --by: invalid choice: 'fundng': did you mean funding?",
    ),
    (
        "scan --by nope",
        "perp-imbalance scan: argument --by: invalid choice: 'nope': choose from deviation, "
        "premium, z, funding; see perp-imbalance scan --help",
    ),
    (
        "scan --top many",
        "perp-imbalance scan: argument --top: invalid int value: 'many'; see perp-imbalance scan "
        "--help",
    ),
    (
        "scan --top",
        "perp-imbalance scan: argument --top: expected one argument; see perp-imbalance scan "
        "--help",
    ),
    (
        "plot",
        "perp-imbalance plot: the following arguments are required: -p/--pair; see "
        "perp-imbalance plot --help",
    ),
    (
        "pairs all",
        "perp-imbalance pairs: unexpected argument all; see perp-imbalance pairs --help",
    ),
    (
        "",
        "perp-imbalance: the following arguments are required: COMMAND; see perp-imbalance --help",
    ),
]


@pytest.mark.parametrize(("words", "line"), NEAREST)
def test_wrong_word_is_one_line(words: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        run(words.split())
    assert left.value.code == 2
    assert capsys.readouterr().err == f"{line}\n"


def test_values_that_look_like_options_are_values() -> None:
    parser = build_parser("scan")
    assert parser.parse_args(["scan", "-cmine.json", "--top", "-5"]).top == -5
    words = ["backtest", "-p", "X/Y:Y", "--", "--fee", "0.1", "-x"]
    assert build_parser("backtest").parse_args(words).freqtrade_options == words[4:]


LIBRARIES = ("pandas", "numpy", "freqtrade", "ccxt", "pydantic", "rich", "scipy", "shtab")


def test_parsers_import_no_library() -> None:
    code = (
        "import sys; from perp_imbalance.cli.main import COMMANDS, build_parser\n"
        "for each in COMMANDS: "
        f"build_parser(each); print(each, *{{*{LIBRARIES}}} & {{*sys.modules}})"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout.splitlines() == [*COMMANDS]


def test_parser_of_one_command_is_that_of_all() -> None:
    page = build_parser("scan").parse_args(["scan"])
    assert page == build_parser().parse_args(["scan"])


COMPLETIONS = [
    (["sca"], {"scan"}),
    (["backtest", "--strat"], {"--strategy", "--strategy-list", "--strategy-path"}),
    (["scan", "--by", ""], {"deviation", "premium", "z", "funding"}),
    (["scan", "-c", "mine"], {"mine.json"}),
    (["plot", "-d", "mine"], {"mine.json"}),
    (["preset", "app"], {"apply"}),
    (["preset", "apply", "--str"], {"--strategy", "--strategy-path"}),
]


def test_bash_completes_commands_options_and_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not (bash := shutil.which("bash")):
        pytest.skip("there is no bash")
    with pytest.raises(SystemExit) as left:
        run(["--print-completion", "bash"])
    assert left.value.code == 0
    script = [capsys.readouterr().out, "complete -p perp-imbalance"]
    for words, _ in COMPLETIONS:
        typed = " ".join(f"'{word}'" for word in ["perp-imbalance", *words])
        script.append(f"COMP_WORDS=({typed}); COMP_CWORD={len(words)}; COMPREPLY=()")
        script.append('_shtab_perp_imbalance; echo "${COMPREPLY[@]}"')
    (tmp_path / "mine.json").touch()
    process = subprocess.run(
        [bash, "--norc", "-c", "\n".join(script)],
        cwd=tmp_path,
        env={**os.environ, "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    registered, *found = process.stdout.splitlines()
    assert registered.startswith("complete ")
    assert [{*line.split()} for line in found] == [expected for _, expected in COMPLETIONS]


@pytest.mark.parametrize("shell", SHELLS)
def test_script_of_every_shell_names_every_command(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(["--print-completion", shell])
    script = capsys.readouterr().out
    assert all(command in script for command in COMMANDS)
