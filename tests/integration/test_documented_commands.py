"""Every command in README and docs works as it stands, on data that a clone has."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from freqtrade.commands.arguments import Arguments
from freqtrade.misc import deep_merge_dicts
from support.documented import PAGES, SHELLS, Documented, blocks, commands, name_of
from support.freqtrade import ROOT, SAMPLE_PAIRS, freqtrade_here, perp_imbalance
from support.in_process import run_here
from support.rest_api import free_port

from perp_imbalance.cli.main import build_parser
from perp_imbalance.data.sample import write_sample_market
from perp_imbalance.replay import replay_config, running_replay

OURS = "perp-imbalance"
FIRST_BACKTEST = ROOT / "docs" / "tutorials" / "first_backtest.md"
TUTORIAL = ROOT / "docs" / "tutorials" / "from_question_to_bot.md"
REPLAY_PORT = "8765"

#: Commands that are parsed here and run in another test, by their first words.
RUN_ELSEWHERE = {
    f"{OURS} download-data": "tests/integration/test_download_command.py",
    f"{OURS} evidence": "tests/integration/test_evidence_command.py",
    f"{OURS} init": "tests/integration/test_install.py",
    f"{OURS} reconcile": "tests/integration/test_reconcile_command.py",
    f"{OURS} rehearse": "tests/integration/test_rehearse_command.py",
    f"{OURS} replay": "tests/integration/test_replay_command.py",
    f"{OURS} scan -c config.json --watch": "tests/integration/test_scan_watch.py",
    f"{OURS} tune": "tests/integration/test_tune_command.py",
    f"{OURS} walk-forward": "tests/integration/test_walk_forward.py",
    "freqtrade hyperopt": "tests/integration/test_hyperopt.py",
    "freqtrade trade": "tests/integration/test_dry_run.py",
}
#: Commands that no test runs, with the reason.
NOT_RUN = {
    "make": "the recipes are parsed here; they set up an environment or run these very tests",
    f"{OURS} doctor -c config.json -c config/exchange-": "asks that exchange; test_exchanges.py",
    f"{OURS} preset apply user_data/walk_forward/winner.json": "needs a file of walk-forward",
    "docker": "needs Docker",
    "sudo": "needs root",
    "journalctl": "needs systemd",
    "git": "changes this repository",
    "tar": "is part of a backup with git and Docker",
    "api": "needs a running bot",
    "python -m build": "needs a package index",
    "python deploy/start.py": "runs a bot until it is stopped; test_deployment.py checks the file",
    "cd /opt": "is part of an installation as root",
    ". .venv/bin/activate": "is the environment of these tests",
    "source .venv/bin/activate": "is the environment of these tests",
    "pip": "changes this environment; test_install.py runs it in one of its own",
    ". ./.env": "only for the command that follows it",
    "set": "only for the command that follows it",
}
# What belongs to a shell's syntax and not to a command.
_SYNTAX = ("api()", "}", "(umask")

ALL = [command for page in PAGES for command in commands(page)]


def exception(command: Documented) -> str | None:
    """Return the first words by which a command is an exception."""
    return next(
        (start for start in RUN_ELSEWHERE | NOT_RUN if f"{command.line} ".startswith(start)), None
    )


def run_of(page: Path) -> list[Documented]:
    """Return the commands of a page that are run here."""
    return [each for each in commands(page) if not exception(each) and each.words[0] not in _SYNTAX]


def parse(words: tuple[str, ...]) -> None:
    """Parse a command with the parser of its program; a wrong option raises."""
    program, *rest = words
    if program == OURS:
        build_parser().parse_args(rest)
    elif program == "freqtrade":
        Arguments(rest).get_parsed_arg()
    elif program == "make":
        recipe = subprocess.run(
            ["make", "--dry-run", "--always-make", *rest],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for line in re.findall(rf"^\S*/({OURS} .*)$", recipe.replace("\\\n", " "), re.MULTILINE):
            parse(tuple(shlex.split(line)))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_of_a_page_parse(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in commands(page):
        try:
            parse(command.words)
        except (SystemExit, subprocess.CalledProcessError) as error:
            pytest.fail(f"{command.line}: {error}: {capsys.readouterr().err}")


def test_unknown_option_does_not_parse() -> None:
    for line in (f"{OURS} plot --pairing x", "freqtrade trade --wallet", "make nothing"):
        with pytest.raises((SystemExit, subprocess.CalledProcessError)):
            parse(tuple(line.split()))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_command_of_a_page_is_hidden(page: Path) -> None:
    for language, text in blocks(page):
        if language not in SHELLS:
            assert not re.search(rf"^({OURS}|freqtrade|make) ", text, re.MULTILINE), text
            continue
        checked = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True)
        assert checked.returncode == 0, (text, checked.stderr)


def test_every_exception_is_needed() -> None:
    used = {exception(command) for command in ALL}
    assert [start for start in RUN_ELSEWHERE | NOT_RUN if start not in used] == []


@pytest.mark.parametrize("start", RUN_ELSEWHERE)
def test_command_works_from_another_folder(start: str) -> None:
    test = (ROOT / RUN_ELSEWHERE[start]).read_text("utf-8")
    assert re.search(rf"\b{start.split()[1]}\b", test)


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an exchange with the sample market around now."""
    datadir = tmp_path_factory.mktemp("now") / "binance"
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    # 4h candles of the conservative preset: 350 of them are 58 days.
    write_sample_market(datadir, start=midnight - timedelta(days=60), days=62)
    with running_replay(datadir) as replay:
        yield replay.url


def copy_of_clone(folder: Path) -> Path:
    """Copy what the pages find in a clone: strategies, configs, the example of ``.env``."""
    ignored = shutil.ignore_patterns("__pycache__", "*.json")
    shutil.copytree(ROOT / "strategies", folder / "strategies", ignore=ignored)
    shutil.copytree(ROOT / "config", folder / "config")
    for name in ("config.json", ".env.example"):
        shutil.copy(ROOT / name, folder)
    (folder / "user_data").mkdir()
    return folder


@pytest.fixture(scope="module")
def clone(exchange: str, sample_datadir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with the sample market as its candles, and with the replay as its exchange."""
    folder = copy_of_clone(tmp_path_factory.mktemp("clone"))
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config = deep_merge_dicts(replay_config(exchange), config)
    config["exchange"]["pair_whitelist"] = SAMPLE_PAIRS
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for place in ("data", "sample"):
        shutil.copytree(sample_datadir, folder / "user_data" / place / "binance")
    strategy = next(text for language, text in blocks(ROOT / "README.md") if language == "python")
    (folder / "strategies" / "Mine.py").write_text(strategy, encoding="utf-8")
    return folder


def run_command(words: tuple[str, ...], cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run a command; Python programs in this process."""
    if words[0] == OURS:
        return perp_imbalance(*words[1:], cwd=cwd)
    if words[0] == "freqtrade":
        return run_here(freqtrade_here, words[1:], cwd)
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def already_run() -> set[str]:
    """The commands that ran for an earlier page."""
    return set()


@pytest.mark.freqtrade
@pytest.mark.parametrize(
    "page", [page for page in PAGES if page != TUTORIAL and run_of(page)], ids=name_of
)
def test_commands_of_a_page_run(page: Path, clone: Path, already_run: set[str]) -> None:
    for file in (clone / "strategies").glob("*.json"):
        file.unlink()
    printed = ""
    for command in run_of(page):
        if command.line not in already_run:
            done = run_command(command.words, clone)
            assert done.returncode == 0, (command.line, done.stdout, done.stderr)
            already_run.add(command.line)
            printed += done.stdout
    if page == FIRST_BACKTEST:
        shown = [text for language, text in blocks(page) if language == "text"]
        lines = {line.rstrip() for line in printed.splitlines()}
        assert shown
        assert set("".join(shown).splitlines()) <= lines


@pytest.mark.freqtrade
def test_page_leads_from_a_question_to_a_bot(tmp_path: Path) -> None:
    clone = copy_of_clone(tmp_path)
    steps = [command.words for command in commands(TUTORIAL)]
    assert [words[1] for words in steps] == [
        *("sample", "sample", "replay", "tune", "preset", "backtest", "doctor"),
    ]
    port, replay = str(free_port()), steps[2][1:]
    config = clone / "config" / "replay.json"
    config.write_text(config.read_text("utf-8").replace(REPLAY_PORT, port), encoding="utf-8")
    for words in steps[:2]:
        assert run_command(words, clone).returncode == 0
    code = "from perp_imbalance.cli.main import run; run()"
    with subprocess.Popen(
        [sys.executable, "-c", code, *replay, "--port", port],
        cwd=clone,
        stdout=subprocess.PIPE,
        text=True,
    ) as serving:
        try:
            assert serving.stdout is not None
            assert serving.stdout.readline().startswith("Replaying ")
            printed = ""
            for number, words in enumerate(steps[3:]):
                done = run_command(words, clone)
                assert done.returncode == 0, (words, done.stdout, done.stderr)
                # Each was printed by the one before it.
                line = f"{shlex.join(words)}\n"
                assert number == 0 or line in printed, words
                printed = done.stdout
                check_output(words[1], printed)
        finally:
            serving.terminate()


def check_output(command: str, printed: str) -> None:
    """Check that what the page shows and says of a command is what it prints."""
    if command == "tune":
        shown = "".join(text for language, text in blocks(TUTORIAL) if language == "text")
        assert printed.startswith(shown.removesuffix("  …\n"))
        for figure in ("overfitting is 41%", "Sharpe of 2.52 ", "above 2.49", "not shown at 95%"):
            assert figure in printed
    if command == "doctor":
        assert printed.endswith("PASS\n")
