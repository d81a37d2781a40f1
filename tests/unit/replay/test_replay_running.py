"""A replay exchange starts, ends and is found by freqtrade's configuration."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import ccxt
import pytest
from freqtrade.configuration.load_config import load_from_files
from support.tiny_replay import HOUR, TINY_START, get, milliseconds

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
    begun = time.monotonic()
    with socket.socket() as client, expected, running_replay(tiny_datadir) as replay:
        assert len(replay_threads()) == len(before) + 1
        # A connection that stays open must not hold up the end.
        client.connect((HOST, replay.port))
        if leave:
            raise leave
    assert time.monotonic() - begun < 5
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


def serving(datadir: Path, *options: str, cwd: Path = ROOT) -> "subprocess.Popen[str]":
    command = "from perp_imbalance.cli.main import run; run()"
    arguments = ["--datadir", str(datadir), "--port", "0", *options]
    return subprocess.Popen(
        [sys.executable, "-c", command, "replay", *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


def test_the_command_offers_a_wallet(tiny_datadir: Path) -> None:
    with serving(tiny_datadir, "--wallet", "250.5") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert "to trade its 250.5 USDT, -c config/replay-live.json behind it" in line


def test_the_command_serves_until_it_is_interrupted(tiny_datadir: Path) -> None:
    with serving(tiny_datadir, "--clock", "2024-01-01T12:00Z") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "2 spot pairs and 2 perps from 2024-01-01 00:00 to 2024-02-10 00:00" in line
        url = next(word for word in line.split() if word.startswith("http://"))
        _, rows = get(url, "/fapi/v1/klines", symbol="BTCUSDT", interval="1h")
        assert rows[-1][0] == milliseconds(TINY_START) + 12 * HOUR
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "Traceback" not in errors


def test_replay_on_another_port_brings_its_config(tiny_datadir: Path, tmp_path: Path) -> None:
    with serving(tiny_datadir, cwd=tmp_path) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = next(word for word in line.split() if word.startswith("http://"))
        file = tmp_path / "user_data" / f"replay-{url.rpartition(':')[2]}.json"
        assert f"add -c user_data/{file.name} to" in line
        assert json.loads(file.read_text("utf-8")) == replay_config(url)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    # A bot that is started now stops, and does not trade on what listens there next.
    assert not file.exists()
