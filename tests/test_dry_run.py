"""freqtrade's dry-run loop on the replay exchange: what the bot computes is what a backtest has."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import pytest
from freqtrade.data.history import load_pair_history
from freqtrade.enums import CandleType
from freqtrade_fixtures import (
    CONFIG,
    ROOT,
    SAMPLE_PAIRS,
    Freqtrade,
    assert_fails_in_one_line,
    spot_to_index,
)

from perp_imbalance.indicators import PRESETS, imbalance_columns
from perp_imbalance.replay import Replay, replay_config, running_replay
from perp_imbalance.sample import write_sample_market

pytestmark = pytest.mark.freqtrade

USER, PASSWORD = "trader", "only-for-this-test"
WAIT_SECONDS = 90
SPOT_OF = {
    "BTC/USDT:USDT": ("BTC/USDT", 1, CandleType.SPOT),
    "1000PEPE/USDT:USDT": ("PEPE/USDT", 1000, CandleType.SPOT),
    "ETH/USDT:USDT": ("ETH/USDT:USDT", 1, CandleType.INDEX),
}
COLUMNS = ["premium", "z_raw", "z", "bb_middle", "bb_upper", "bb_lower", "bias", "htf_z"]


class Bot:
    """A running bot, asked through freqtrade's REST API."""

    def __init__(self, port: int, log: Path, replay: Replay, process: "subprocess.Popen[bytes]"):
        self.url = f"http://127.0.0.1:{port}/api/v1/"
        self.log = log
        self.replay = replay
        self.process = process

    def ask(self, what: str, **parameters: str) -> Any:
        request = urllib.request.Request(f"{self.url}{what}?{urlencode(parameters)}")
        login = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            return json.load(answer)

    def candles(self, pair: str) -> pd.DataFrame:
        """Return the candles with all columns, once the bot has analysed them."""
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text("utf-8")
            try:
                answer = self.ask("pair_candles", pair=pair, timeframe="1h", limit="499")
            except (urllib.error.URLError, ConnectionError):
                answer = {}
            if answer.get("data"):
                frame = pd.DataFrame(answer["data"], columns=answer["columns"])
                frame["date"] = pd.to_datetime(frame["date"], utc=True)
                return frame
            time.sleep(0.5)
        raise AssertionError(f"no candles of {pair}: {self.log.read_text('utf-8')}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample market around now; the replay serves what its clock lets be known."""
    datadir = tmp_path_factory.mktemp("today") / "binance"
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    write_sample_market(datadir, start=midnight - timedelta(days=60), days=62)
    spot_to_index(datadir, "ETH", "ETH")
    return datadir


@pytest.fixture(scope="module")
def bot(today: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    folder = tmp_path_factory.mktemp("bot")
    (folder / "user_data").mkdir()
    port, log = free_port(), folder / "bot.log"
    with running_replay(today) as replay:
        overlay = replay_config(replay.url)
        overlay["exchange"]["pair_whitelist"] = SAMPLE_PAIRS
        overlay["strategy"] = "PerpImbalanceConservative"
        overlay["perp_imbalance"] = {"premium_source": "auto"}
        overlay["api_server"] = {
            **{"enabled": True, "listen_ip_address": "127.0.0.1", "listen_port": port},
            **{"username": USER, "password": PASSWORD, "jwt_secret_key": "x" * 40},
        }
        path = folder / "overlay.json"
        path.write_text(json.dumps(overlay), encoding="utf-8")
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "freqtrade", "trade", "--db-url", "sqlite://"),
                *("--userdir", str(folder / "user_data"), "-c", str(CONFIG), "-c", str(path)),
            ],
            cwd=ROOT,
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
            env={**os.environ, "COLUMNS": "220"},
        )
        try:
            yield Bot(port, log, replay, process)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.mark.parametrize("pair", SPOT_OF)
def test_columns_of_the_bot_equal_those_of_the_candles(bot: Bot, today: Path, pair: str) -> None:
    found = bot.candles(pair)
    spot, scale, kind_beside = SPOT_OF[pair]
    frames = [
        load_pair_history(name, timeframe, today, candle_type=kind, data_format="feather")
        for timeframe in ("1h", "4h")
        for name, kind in ((pair, CandleType.FUTURES), (spot, kind_beside))
    ]
    if kind_beside == CandleType.INDEX:
        # The pure functions know no other mark of a fresh candle than its volume.
        frames[1::2] = [frame.assign(volume=1.0) for frame in frames[1::2]]
    expected = imbalance_columns(
        frames[0],
        frames[1],
        scale=scale,
        thresholds=PRESETS["conservative"],
        timeframe="1h",
        htf=(frames[2], frames[3]),
    ).assign(date=frames[0]["date"])
    both = found.merge(expected, on="date", suffixes=("", "_expected")).tail(120)
    assert len(both) == 120
    assert both["date"].iloc[-1] == found["date"].iloc[-1]
    for column in COLUMNS:
        np.testing.assert_allclose(
            both[column].astype(float),
            both[f"{column}_expected"].astype(float),
            rtol=1e-9,
            atol=1e-9,
            err_msg=column,
        )
    assert both["htf_z"].notna().any()
    assert both["premium"].abs().max() > 1e-4
    assert set(both["premium_source"].dropna()) == {str(kind_beside)}


def test_bot_asks_the_spot_market_for_spot_candles(bot: Bot) -> None:
    bot.candles("1000PEPE/USDT:USDT")
    asked = {(request.path, request.params.get("symbol")) for request in bot.replay.requests}
    assert ("/api/v3/klines", "PEPEUSDT") in asked
    assert ("/fapi/v1/klines", "1000PEPEUSDT") in asked
    assert ("/fapi/v1/klines", "BTCUSDT") in asked
    assert ("/api/v3/klines", "BTCUSDT") in asked


def test_bot_runs_without_errors(bot: Bot) -> None:
    bot.candles("BTC/USDT:USDT")
    assert bot.ask("show_config")["state"] == "running"
    log = bot.log.read_text("utf-8")
    assert "ERROR" not in log
    assert "Traceback" not in log
    assert "gives no signals" not in log


def test_bot_without_the_spot_setting_does_not_start(freqtrade: Freqtrade, today: Path) -> None:
    exchange = {"ccxt_config": {"options": {"defaultType": "swap"}}}
    process = freqtrade("trade", "--db-url", "sqlite://", datadir=today, exchange=exchange)
    assert_fails_in_one_line(process, "Binance would answer for spot pairs with the candles of the")
    assert "Bot heartbeat" not in process.stderr
