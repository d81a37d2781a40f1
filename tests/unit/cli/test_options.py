"""Shared options mean the same in every command."""

import argparse
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from perp_imbalance import rehearsal
from perp_imbalance.cli import rehearse
from perp_imbalance.cli.main import COMMANDS, build_parser
from perp_imbalance.cli.next_steps import doctor_command
from perp_imbalance.cli.options import config_files

#: Commands that load no strategy; of ``preset``, only ``apply`` does.
NO_STRATEGY = {"download-data", "evidence", "init", "pairs", "preset", "replay", "sample"}


@pytest.mark.parametrize("command", [*COMMANDS, "preset apply"])
def test_folder_options_act_where_config_or_strategy_is_read(command: str) -> None:
    parser: argparse.ArgumentParser = build_parser(command)
    for word in command.split():
        (subparsers,) = (
            each for each in parser._actions if isinstance(each, argparse._SubParsersAction)
        )
        parser = subparsers.choices[word]
    names = {*parser._option_string_actions}
    assert ("--config" in names) <= ("--userdir" in names)
    assert ("--strategy-path" in names) == (command not in NO_STRATEGY)
    assert ("--strategy-path" in names) <= ("--config" in names)


@pytest.mark.parametrize(
    ("existing", "words", "files"),
    [
        ([], [], ["config.json"]),
        (["config.json"], [], ["config.json"]),
        (["config.json", "user_data/config.json"], [], ["user_data/config.json"]),
        (["user_data/config.json"], ["--userdir", "mine"], ["config.json"]),
        (["mine/config.json"], ["--userdir", "mine"], ["mine/config.json"]),
        (["mine/config.json"], ["-c", "a", "--userdir", "mine", "-c", "b"], ["a", "b"]),
    ],
)
def test_default_config_is_the_one_that_freqtrade_takes(
    existing: list[str],
    words: list[str],
    files: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in existing:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    found = config_files(build_parser("pairs").parse_args(["pairs", *words]))
    assert [*map(str, found)] == files
    assert found.settings == ({"user_data_dir": "mine"} if "--userdir" in words else {})


def test_next_command_repeats_the_options_as_typed() -> None:
    words = ["-c", "a.json", "-c", "b.json", "--userdir", "mine", "--strategy-path", "own"]
    arguments = build_parser("doctor").parse_args(["doctor", *words])
    found = doctor_command("Mine", arguments.config)
    assert found == f"perp-imbalance doctor --strategy Mine {' '.join(words)}"
    assert doctor_command("Mine", None) == "perp-imbalance doctor --strategy Mine"


@pytest.mark.parametrize(("ending", "stays"), [(KeyboardInterrupt, False), (ValueError, True)])
def test_interrupted_rehearsal_leaves_no_folder(
    ending: type[BaseException],
    stays: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "life"

    def begin(*_: object, **__: object) -> None:
        folder.mkdir()
        (folder / "rehearsal.log").touch()
        raise ending

    plan = SimpleNamespace(folder=folder), timedelta(hours=1)
    monkeypatch.setattr(rehearse, "plan_of", lambda arguments: plan)
    monkeypatch.setattr(rehearsal, "held_against_backtest", begin)
    with pytest.raises(ending):
        rehearse.run(argparse.Namespace())
    # The log says what went wrong.
    assert folder.exists() is stays
