"""What ``init`` copies into a folder of user data, and what it leaves as it is."""

import json
import shlex
from pathlib import Path

import pytest
from freqtrade.configuration.load_config import load_from_files
from support.freqtrade import CONFIG, perp_imbalance

from perp_imbalance.cli.init import next_commands
from perp_imbalance.cli.main import build_parser
from perp_imbalance.errors import CommandError
from perp_imbalance.shipped import shipped, userdir

OTHER = {"price_side": "other"}
SAME = {"price_side": "same", "use_order_book": True}
# What decides this of an existing config, written as freqtrade's new-config does.
THEIRS = {
    "stake_amount": 40,
    "dry_run": True,
    "entry_pricing": SAME,
    "exit_pricing": SAME,
    "exchange": {"name": "binance", "key": "k", "ccxt_config": {}, "pair_whitelist": ["A/B:B"]},
    "pairlists": [{"method": "VolumePairList"}],
}


@pytest.fixture
def user_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as create-userdir makes it, named as a user types it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "user_data" / "strategies").mkdir(parents=True)
    return Path("user_data")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_init_writes_the_strategies_and_the_fragment(user_data: Path) -> None:
    process = perp_imbalance("init", cwd=Path.cwd())
    assert process.returncode == 0, process.stderr
    expected = {
        str(user_data / "strategies" / file.name): file.read_bytes()
        for file in shipped("strategies").glob("*.py")
    }
    fragment = user_data / "perp-imbalance.json"
    assert contents(user_data).keys() == {*expected, str(fragment)}
    assert contents(user_data).items() >= expected.items()
    assert json.loads(fragment.read_text("utf-8")) == userdir.config_fragment()
    assert str(fragment) in process.stdout


def test_fragment_is_a_part_of_the_shipped_config() -> None:
    config, fragment = json.loads(CONFIG.read_text("utf-8")), userdir.config_fragment()

    def is_part(part: object, whole: object) -> bool:
        if isinstance(part, dict) and isinstance(whole, dict):
            return all(name in whole and is_part(part[name], whole[name]) for name in part)
        return part == whole

    assert is_part(fragment, config)
    assert fragment.keys() == {
        *("perp_imbalance", "enable_protections", "entry_pricing", "exit_pricing", "exchange")
    }
    assert fragment["exchange"].keys() == {"ccxt_config", "_ft_has_params"}
    assert fragment["entry_pricing"] == fragment["exit_pricing"] == OTHER


@pytest.mark.parametrize(
    ("is_added", "price_side"),
    [(False, "other"), (True, "same")],
    ids=["named last with -c", "in add_config_files"],
)
def test_freqtrade_merges_the_fragment_as_init_says(
    is_added: bool, price_side: str, user_data: Path
) -> None:
    """In add_config_files, the config's own values win: init and doctor say so of price_side."""
    config = user_data / "config.json"
    fragment = user_data / userdir.FRAGMENT
    userdir.write(userdir.plan_changes(user_data))
    more = {"add_config_files": [userdir.FRAGMENT]} if is_added else {}
    config.write_text(json.dumps(THEIRS | more), "utf-8")
    found = load_from_files([str(config)] if is_added else [str(config), str(fragment)])
    assert found["entry_pricing"] == found["exit_pricing"] == SAME | {"price_side": price_side}
    assert found["exchange"]["ccxt_config"] == {"options": {"defaultType": "future"}}
    assert found["exchange"]["_ft_has_params"]["ohlcv_late_candle_grace_secs"] == 90
    assert found["enable_protections"] is True
    assert found["perp_imbalance"] == userdir.config_fragment()["perp_imbalance"]
    kept = ("stake_amount", "dry_run", "pairlists")
    assert [found[name] for name in kept] == [THEIRS[name] for name in kept]
    assert found["exchange"]["key"] == "k"
    assert found["exchange"]["pair_whitelist"] == ["A/B:B"]


def test_second_run_changes_nothing(user_data: Path) -> None:
    userdir.write(userdir.plan_changes(user_data))
    before = {file: file.stat().st_mtime_ns for file in user_data.rglob("*")}
    process = perp_imbalance("init", "--json", cwd=Path.cwd())
    assert process.returncode == 0
    told = json.loads(process.stdout)
    assert (told["written"], told["replaced"]) == ([], [])
    assert len(told["unchanged"]) == len(contents(user_data))
    assert {file: file.stat().st_mtime_ns for file in user_data.rglob("*")} == before


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_file_that_differs_is_shown_and_kept(user_data: Path, options: list[str]) -> None:
    own = user_data / "strategies" / "PerpImbalanceAggressive.py"
    own.write_text(shipped(f"strategies/{own.name}").read_text("utf-8") + "MINE = 1\n", "utf-8")
    before = contents(user_data)
    process = perp_imbalance("init", *options, cwd=Path.cwd())
    assert process.returncode == 2
    assert contents(user_data) == before
    told = json.loads(process.stdout)["diffs"][str(own)] if options else process.stdout
    assert f"--- {own}\n+++ {own} (shipped)\n" in told
    assert "\n-MINE = 1" in told
    assert process.stderr.count("\n") == 1
    assert f"{own} differs" in process.stderr
    assert "--force" in process.stderr


def test_force_replaces_files_and_leaves_parameters(user_data: Path) -> None:
    own = user_data / "strategies" / "PerpImbalance.py"
    parameters = own.with_suffix(".json")
    own.write_text("mine", "utf-8")
    parameters.write_text("mine", "utf-8")
    process = perp_imbalance("init", "--force", cwd=Path.cwd())
    assert process.returncode == 0, process.stderr
    assert own.read_bytes() == shipped(f"strategies/{own.name}").read_bytes()
    assert parameters.read_text("utf-8") == "mine"
    assert f"Replaced:\n  {own}\n" in process.stdout
    assert f"left as they are:\n  {parameters}\n" in process.stdout


@pytest.mark.parametrize("fitting", [0, 2])
def test_a_write_that_fails_changes_no_file(
    fitting: int, user_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = user_data / "strategies" / "PerpImbalance.py"
    own.write_text("mine", "utf-8")
    changes = userdir.plan_changes(user_data)
    write_bytes, written = Path.write_bytes, list[Path]()

    def full(file: Path, content: bytes) -> int:
        if len(written) == fitting:
            raise OSError(28, "No space left on device")
        written.append(file)
        return write_bytes(file, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(CommandError, match="No space left"):
        userdir.write(changes, force=True)
    assert contents(user_data) == {str(own): b"mine"}


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (None, "there is no folder mine: make it with freqtrade create-userdir --userdir mine"),
        ("mine/", "there is no folder mine/strategies: make it with freqtrade"),
        ("mine", "there is no folder mine: make it"),
        ("mine/perp-imbalance.json/", "mine/perp-imbalance.json is not a file: move it away"),
    ],
)
def test_unsuitable_folder_is_refused(made: str | None, message: str, tmp_path: Path) -> None:
    if made and made.endswith("/"):
        (tmp_path / made).mkdir(parents=True)
    elif made:
        (tmp_path / made).touch()
    if made and made.count("/") > 1:
        (tmp_path / "mine" / "strategies").mkdir()
    before = sorted(tmp_path.rglob("*"))
    process = perp_imbalance("init", "--userdir", "mine", cwd=tmp_path)
    assert process.returncode == 2
    assert process.stderr.startswith(f"perp-imbalance: {message}")
    assert process.stderr.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_link_that_leads_nowhere_is_not_replaced(user_data: Path) -> None:
    link = user_data / userdir.FRAGMENT
    link.symlink_to("elsewhere.json")
    with pytest.raises(CommandError, match="is not a file: move it away"):
        userdir.plan_changes(user_data)


def test_shipped_files_that_are_missing_are_named(
    user_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(userdir, "shipped", lambda name: Path("nowhere", name))
    with pytest.raises(CommandError, match=r"config\.json is missing: install perp-imbalance"):
        userdir.plan_changes(user_data)


@pytest.mark.parametrize(
    ("folder", "has_config", "options"),
    [
        ("user_data", False, "-c config.json -c user_data/perp-imbalance.json"),
        ("user_data", True, "-c user_data/config.json -c user_data/perp-imbalance.json"),
        ("a b", True, "--userdir 'a b' -c 'a b/config.json' -c 'a b/perp-imbalance.json'"),
    ],
)
def test_next_commands_name_paths_as_they_were_typed(
    folder: str, has_config: bool, options: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(folder).mkdir()
    if has_config:
        Path(folder, "config.json").touch()
    commands = next_commands(Path(folder))
    assert [command.split()[1] for command in commands] == ["download-data", "backtest", "doctor"]
    for command in commands:
        assert command.endswith(options)
        # A command that its parser refuses raises SystemExit.
        build_parser().parse_args(shlex.split(command)[1:])


def test_options_that_init_prints_are_quoted_for_a_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a b", "strategies").mkdir(parents=True)
    arguments = build_parser("init").parse_args(["init", "--userdir", "a b"])
    assert arguments.run(arguments) == 0
    assert "name it last: -c config.json -c 'a b/perp-imbalance.json'\n" in capsys.readouterr().out
