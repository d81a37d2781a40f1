"""freqtrade itself, unpatched and in a process of its own, works with the replay exchange."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from freqtrade.enums import CandleType
from support.freqtrade import TIMEOUT_SECONDS
from support.tiny_replay import TINY_START, read_candles, write_market

from perp_imbalance.freqtrade_bridge.process import capture_freqtrade, run_freqtrade
from perp_imbalance.replay import Replay, replay_config

pytestmark = pytest.mark.freqtrade

TIMERANGE = f"{TINY_START:%Y%m%d}-20240210"

STRATEGY = """
from freqtrade.strategy import IStrategy


class EntersAlways(IStrategy):
    INTERFACE_VERSION = 3
    timeframe = "1h"
    stoploss = -0.5
    minimal_roi = {"0": 10}

    def informative_pairs(self):
        return [("BTC/USDT", "1h", "spot")]

    def populate_indicators(self, dataframe, metadata):
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        dataframe["enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        return dataframe
"""

# Starts a dry run as a command does: the replay around freqtrade's process.
DRY_RUN = """
import sys
from pathlib import Path
from perp_imbalance.freqtrade_bridge.process import run_freqtrade
from perp_imbalance.replay import replay_config, running_replay

datadir, config, strategies, log = sys.argv[1:]
with running_replay(Path(datadir)) as replay:
    run_freqtrade(
        ["trade", "--strategy", "EntersAlways", "--strategy-path", strategies]
        + ["--db-url", "sqlite://", "--logfile", log],
        configs=[Path(config)],
        overlay=replay_config(replay.url),
    )
"""


@pytest.fixture(autouse=True)
def _as_at_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    # freqtrade leaves its logging unconfigured where it sees that pytest is around.
    monkeypatch.delenv("PYTEST_VERSION", raising=False)


def against(
    replay: Replay, config: Path, *arguments: str, **more: Any
) -> "subprocess.CompletedProcess[str]":
    overlay = replay_config(replay.url) | more
    return capture_freqtrade(arguments, configs=[config], overlay=overlay, timeout=120)


def test_pairs_are_listed_from_the_replay(tiny_replay: Replay, tiny_config: Path) -> None:
    done = against(tiny_replay, tiny_config, "list-pairs", "--print-json")
    assert done.returncode == 0, done.stderr
    pairs = json.loads(done.stdout.strip().splitlines()[-1])
    assert sorted(pairs) == ["1000PEPE/USDT:USDT", "BTC/USDT:USDT"]


@pytest.mark.parametrize(
    ("mode", "series"),
    [
        (
            "futures",
            [
                (pair, candle_type)
                for pair in ("BTC/USDT:USDT", "1000PEPE/USDT:USDT")
                for candle_type in (CandleType.FUTURES, CandleType.MARK, CandleType.FUNDING_RATE)
            ],
        ),
        ("spot", [("BTC/USDT", CandleType.SPOT), ("PEPE/USDT", CandleType.SPOT)]),
    ],
)
def test_downloaded_candles_equal_the_replayed_ones(
    tiny_replay: Replay,
    tiny_datadir: Path,
    tiny_config: Path,
    tmp_path: Path,
    mode: str,
    series: list[tuple[str, CandleType]],
) -> None:
    pairs = dict.fromkeys(pair for pair, _ in series)
    options = ["--timerange", TIMERANGE, "--timeframes", "1h", "--trading-mode", mode]
    options += ["--datadir", str(tmp_path / "data"), "--pairs", *pairs]
    done = against(tiny_replay, tiny_config, "download-data", *options)
    assert done.returncode == 0, done.stderr
    for pair, candle_type in series:
        original = read_candles(tiny_datadir, pair, candle_type)
        if candle_type != CandleType.FUNDING_RATE:
            # The last candle of a download counts as unfinished for freqtrade.
            original = original.iloc[:-1]
        downloaded = read_candles(tmp_path / "data", pair, candle_type)
        pd.testing.assert_frame_equal(downloaded, original, check_exact=True)


def test_error_in_the_configuration_exits_with_an_error_code(
    tiny_config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = run_freqtrade(["list-pairs"], configs=[tiny_config], overlay={"stake_amount": "lots"})
    assert "Configuration error" in " ".join(capfd.readouterr().err.split())
    assert code == 2


def test_unknown_option_exits_with_an_error_code(tiny_config: Path) -> None:
    done = capture_freqtrade(["list-pairs", "--no-such-option"], configs=[tiny_config])
    assert "unrecognized arguments: --no-such-option" in done.stderr
    assert done.returncode == 2


def test_help_exits_with_code_0() -> None:
    assert capture_freqtrade(["list-pairs", "--help"], configs=[]).returncode == 0


def test_freqtrade_is_ended_when_its_time_is_over(
    tiny_config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    with pytest.raises(subprocess.TimeoutExpired) as over:
        capture_freqtrade(["trade"], configs=[tiny_config], overlay={}, timeout=0.5)
    overlay = over.value.cmd[over.value.cmd.index("trade") + 2]
    assert str(scratch) in overlay
    assert not processes_with(overlay)
    assert not list(scratch.iterdir())


def processes_with(word: str) -> list[str]:
    """Return the command lines of running processes that hold a word."""
    listed = subprocess.run(["ps", "axww", "-o", "args="], capture_output=True, text=True)
    return [line for line in listed.stdout.splitlines() if word in line]


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Return the folder that the dry run has for temporary files."""
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


@pytest.fixture
def dry_run(
    tiny_config: Path, tmp_path: Path, scratch: Path, _as_at_the_terminal: None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a dry run over candles that reach from weeks ago to hours ahead of now."""
    now = pd.Timestamp.now("UTC").floor("h")
    write_market(tmp_path / "data", now - pd.Timedelta(days=30), 31 * 24)
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "enters_always.py").write_text(STRATEGY, encoding="utf-8")
    arguments = [tmp_path / "data", tiny_config, tmp_path / "strategies", tmp_path / "log"]
    with subprocess.Popen(
        [sys.executable, "-c", DRY_RUN, *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"TMPDIR": str(scratch)},
    ) as process:
        yield process
        process.terminate()


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert condition()


def test_a_dry_run_trades_on_replayed_candles(
    dry_run: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    log = tmp_path / "log"
    wait_for(lambda: log.exists() and "Bot heartbeat" in log.read_text())
    text = log.read_text()
    for pair in ("BTC/USDT:USDT", "1000PEPE/USDT:USDT"):
        assert f"Long signal found: about create a new trade for {pair}" in text
    assert " - WARNING - " not in text
    assert " - ERROR - " not in text


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, -2), (signal.SIGTERM, 143)])
def test_interrupted_run_leaves_nothing(
    dry_run: "subprocess.Popen[bytes]", scratch: Path, number: signal.Signals, code: int
) -> None:
    wait_for(lambda: processes_with(str(scratch)))
    dry_run.send_signal(number)
    assert dry_run.wait(timeout=TIMEOUT_SECONDS) == code
    assert not processes_with(str(scratch))
    assert not list(scratch.iterdir())
