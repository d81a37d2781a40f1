"""freqtrade's dry-run loop on the replay exchange: what the bot computes is what a backtest has."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from freqtrade.data.history import load_pair_history
from freqtrade.enums import CandleType
from support.freqtrade import (
    CONFIG,
    ROOT,
    SAMPLE_PAIRS,
    TIMEOUT_SECONDS,
    Freqtrade,
    assert_fails_in_one_line,
)
from support.rest_api import RestApi, api_settings, free_port

from perp_imbalance.indicators import PRESETS, imbalance_columns
from perp_imbalance.indicators.positioning import change, known_funding, open_interest
from perp_imbalance.replay import Replay, replay_config, running_replay

pytestmark = pytest.mark.freqtrade

SPOT_OF = {
    "BTC/USDT:USDT": ("BTC/USDT", 1, CandleType.SPOT),
    "1000PEPE/USDT:USDT": ("PEPE/USDT", 1000, CandleType.SPOT),
    "ETH/USDT:USDT": ("ETH/USDT:USDT", 1, CandleType.INDEX),
}
COLUMNS = ["premium", "z_raw", "z", "bb_middle", "bb_upper", "bb_lower", "bias", "htf_z"]


class Bot(RestApi):
    """A running bot, asked through freqtrade's REST API."""

    def __init__(self, port: int, log: Path, replay: Replay, process: "subprocess.Popen[bytes]"):
        super().__init__(port)
        self.log = log
        self.replay = replay
        self.process = process

    def candles(self, pair: str) -> pd.DataFrame:
        """Return the candles with all columns, once the bot has analysed them."""
        end = time.monotonic() + TIMEOUT_SECONDS
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


@pytest.fixture(scope="module")
def bot(today: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    folder = tmp_path_factory.mktemp("bot")
    (folder / "user_data").mkdir()
    port, log = free_port(), folder / "bot.log"
    with running_replay(today) as replay:
        overlay = replay_config(replay.url)
        overlay["exchange"]["pair_whitelist"] = SAMPLE_PAIRS
        overlay["strategy"] = "PerpImbalanceConservative"
        overlay["perp_imbalance"] = {"premium_source": "auto", "use_funding": True, "use_oi": True}
        overlay["api_server"] = api_settings(port)
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
                process.wait(timeout=TIMEOUT_SECONDS)
            finally:
                process.kill()


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


@pytest.mark.parametrize("pair", SPOT_OF)
def test_bot_series_equal_those_of_a_backtest(bot: Bot, today: Path, pair: str) -> None:
    """On every candle, the last one included: what is known live is what a backtest takes."""
    found = bot.candles(pair).tail(120).reset_index(drop=True)
    rates, interest = (
        load_pair_history(pair, "1h", today, candle_type=kind, data_format="feather")
        for kind in (CandleType.FUNDING_RATE, CandleType.OPEN_INTEREST)
    )
    expected = {
        **known_funding(found, "1h", rates),
        "open_interest": open_interest(found, interest),
    }
    for column, values in expected.items():
        assert np.isfinite(values).all()
        np.testing.assert_allclose(found[column].astype(float), values, rtol=1e-9)
    length = PRESETS["conservative"].oi_len
    np.testing.assert_allclose(
        found["oi_change"].astype(float).iloc[length:],
        change(expected["open_interest"], length)[length:],
        rtol=1e-6,
    )


def test_bot_asks_the_spot_market_for_spot_candles(bot: Bot) -> None:
    bot.candles("1000PEPE/USDT:USDT")
    asked = {(request.path, request.params.get("symbol")) for request in bot.replay.requests}
    assert ("/api/v3/klines", "PEPEUSDT") in asked
    assert ("/fapi/v1/klines", "1000PEPEUSDT") in asked
    assert ("/fapi/v1/klines", "BTCUSDT") in asked
    assert ("/api/v3/klines", "BTCUSDT") in asked


def test_frequi_gets_columns_guides_and_the_zones_of_the_bias(bot: Bot) -> None:
    candles = bot.candles("BTC/USDT:USDT")
    config = bot.ask("plot_config")
    names = [
        *config["main_plot"],
        *(name for panel in config["subplots"].values() for name in panel),
    ]
    answer = bot.ask_for(
        "pair_candles", pair="BTC/USDT:USDT", timeframe="1h", limit=499, columns=names
    )
    shown = pd.DataFrame(answer["data"], columns=answer["columns"])
    assert set(names) <= set(shown)
    assert set(shown["guide_enter_short"]) == {PRESETS["conservative"].enter_z}
    assert (shown["premium_positive"].notna() ^ shown["premium_negative"].notna()).mean() > 0.9
    areas = [found for found in answer["annotations"] if found["type"] == "area"]
    covered = np.zeros(len(candles), np.bool_)
    for area in areas:
        begin, end = pd.to_datetime([area["start"], area["end"]], utc=True)
        covered |= ((candles["date"] >= begin) & (candles["date"] < end)).to_numpy()
    np.testing.assert_array_equal(covered, candles["bias"] != 0)
    assert {found["label"][:5] for found in answer["annotations"] if "label" in found} >= {
        *("SHORT", "exit"),
    }


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
