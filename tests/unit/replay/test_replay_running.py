"""A replay exchange starts, ends and is found by freqtrade's configuration."""

import json
import socket
import threading
from contextlib import nullcontext
from pathlib import Path

import ccxt
import pytest
from freqtrade.configuration.load_config import load_from_files

from perp_imbalance.cli.main import run
from perp_imbalance.errors import ReplayError
from perp_imbalance.replay import (
    DEFAULT_PORT,
    HOST,
    Replay,
    account_config,
    replay_config,
    running_replay,
)
from perp_imbalance.replay.overlay import API_PATHS

ROOT = Path(__file__).resolve().parents[3]


def replay_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "replay"}


@pytest.mark.parametrize("leave", [None, ValueError, KeyboardInterrupt])
def test_a_replay_ends_with_its_block(
    tiny_datadir: Path, leave: type[BaseException] | None
) -> None:
    before = replay_threads()
    expected = pytest.raises(leave) if leave else nullcontext()
    with socket.socket() as client, expected, running_replay(tiny_datadir) as replay:
        assert len(replay_threads()) == len(before) + 1
        # A connection that stays open must not hold up the end.
        client.connect((HOST, replay.port))
        if leave:
            raise leave
    assert replay_threads() == before
    with socket.socket() as client:
        assert client.connect_ex((HOST, replay.port)) != 0


def test_a_port_in_use_is_one_clear_error(tiny_replay: Replay, tiny_datadir: Path) -> None:
    before = replay_threads()
    busy = running_replay(tiny_datadir, port=tiny_replay.port)
    with pytest.raises(ReplayError, match=f"{tiny_replay.port}.*in use"), busy:
        pass
    assert replay_threads() == before


def test_the_config_file_is_what_the_function_returns() -> None:
    written = json.loads((ROOT / "config" / "replay.json").read_text(encoding="utf-8"))
    assert written == replay_config(f"http://{HOST}:{DEFAULT_PORT}")


def test_the_file_of_keys_is_what_the_function_returns() -> None:
    written = json.loads((ROOT / "config" / "replay-live.json").read_text(encoding="utf-8"))
    assert written == account_config()


def test_no_part_of_binance_is_left_out_of_the_config() -> None:
    assert set(ccxt.binance().urls["api"]) == set(API_PATHS)


def test_replay_config_merges_over_another_config(tiny_config: Path) -> None:
    config = load_from_files([str(tiny_config), str(ROOT / "config" / "replay.json")])
    ccxt_config = config["exchange"]["ccxt_config"]
    assert ccxt_config["options"] == {"defaultType": "future"}
    assert ccxt_config["urls"]["api"]["public"] == f"http://{HOST}:{DEFAULT_PORT}/api/v3"
    assert config["exchange"]["name"] == "binance"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--datadir", "missing"], "there is no folder"),
        (["--datadir", "."], "no candles"),
        (["--datadir", "{tiny}", "--clock", "noon"], "cannot read 'noon'"),
        (["--datadir", "{tiny}", "--port", "70000"], "--port must be"),
        (["--datadir", "{tiny}", "--port", "{busy}"], "in use"),
        (["--datadir", "{tiny}", "--wallet", "0"], "--wallet must be more than 0"),
        (["--datadir", "{tiny}", "--wallet", "nan"], "--wallet must be more than 0"),
        (["--datadir", "{tiny}", "--wallet", "9", "--clock", "2024-01-01"], "clock that runs"),
    ],
)
def test_bad_input_to_the_command_is_one_line(
    options: list[str],
    reason: str,
    tiny_replay: Replay,
    tiny_datadir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    values = {"tiny": tiny_datadir, "busy": tiny_replay.port}
    with pytest.raises(SystemExit) as left:
        run(["replay", *(option.format(**values) for option in options)])
    assert left.value.code == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("perp-imbalance: ")
    assert reason in line
