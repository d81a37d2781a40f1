"""What the replay exchange makes of the candles in its folder."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from freqtrade.data.history import get_datahandler
from freqtrade.enums import CandleType
from support.tiny_replay import (
    HOUR,
    get,
    milliseconds,
)

from perp_imbalance.replay import running_replay
from perp_imbalance.replay.binance import newest
from perp_imbalance.replay.candle_store import CandleStore, Market
from perp_imbalance.replay.server import ReplayExchange


def store_candles(
    datadir: Path, timeframe: str, start: str, closes: list[float], candle_type: CandleType
) -> None:
    dates = pd.date_range(start, periods=len(closes), freq=timeframe, tz="UTC")
    frame = pd.DataFrame({"date": dates, **dict.fromkeys(["open", "high", "low", "close"], closes)})
    pair = "BTC/USDT" if candle_type == CandleType.SPOT else "BTC/USDT:USDT"
    (datadir / "futures").mkdir(parents=True, exist_ok=True)
    get_datahandler(datadir, "feather").ohlcv_store(
        pair, timeframe, frame.assign(volume=1.0), candle_type
    )


def test_coarser_candles_replace_missing_finer_ones(tmp_path: Path) -> None:
    """1h candles from the 1st to the 6th, 15m ones of the 3rd and of the 5th alone."""
    store_candles(tmp_path, "1h", "2024-01-01", [100.0] * 24 * 5, CandleType.FUTURES)
    fine = [
        pd.date_range(day, periods=96, freq="15min", tz="UTC")
        for day in ("2024-01-03", "2024-01-05")
    ]
    frame = pd.DataFrame({"date": fine[0].append(fine[1])})
    frame[["open", "high", "low", "close"]] = 200.0
    get_datahandler(tmp_path, "feather").ohlcv_store(
        "BTC/USDT:USDT", "15m", frame.assign(volume=1.0), CandleType.FUTURES
    )
    series = CandleStore(tmp_path).finest(
        CandleStore(tmp_path).symbols(Market.PERP)["BTCUSDT"], CandleType.FUTURES
    )
    assert len(series.times) == 3 * 24 + 2 * 96
    assert (np.diff(series.times) > 0).all()
    assert (series.times[1:] == series.ends[:-1]).all()
    prices = {
        day: newest(series, milliseconds(pd.Timestamp(day, tz="UTC")))[1]
        for day in ("2024-01-02 12:30", "2024-01-03 12:30", "2024-01-04 12:30", "2024-01-05 12:30")
    }
    assert list(prices.values()) == [100.0, 200.0, 100.0, 200.0]


def test_tick_is_that_of_the_whole_file_all_along_it(tmp_path: Path) -> None:
    closes = [100.25] * 3000
    closes[10] = closes[2000] = 100.125
    store_candles(tmp_path, "1h", "2024-01-01", closes, CandleType.SPOT)
    ticks = set()
    for row in (1, 11, 600, 2001, 2999):
        now = milliseconds(pd.Timestamp("2024-01-01", tz="UTC")) + row * HOUR
        with running_replay(tmp_path, clock=lambda now=now: now) as replay:  # type: ignore[misc]
            _, info = get(replay.url, "/api/v3/exchangeInfo")
        (symbol,) = info["symbols"]
        (price,) = (f for f in symbol["filters"] if f["filterType"] == "PRICE_FILTER")
        ticks.add(float(price["tickSize"]))
    assert ticks == {0.001}


@pytest.mark.parametrize(
    ("candle", "path"),
    [
        ((100.0, 106.0, 97.0, 104.0), [100.0, 98.5, 97.0, 101.5, 106.0, 105.0]),
        ((100.0, 102.0, 91.0, 95.0), [100.0, 101.0, 102.0, 96.5, 91.0, 93.0]),
    ],
)
def test_walk_turns_at_the_nearer_extreme_first(
    tmp_path: Path, candle: tuple[float, ...], path: list[float]
) -> None:
    """Every ten minutes of an hour, and at its end the next one's open."""
    dates = pd.date_range("2024-01-01", periods=2, freq="1h", tz="UTC")
    later = (50.5, 50.5, 50.5, 50.5)
    frame = pd.DataFrame([candle, later], columns=["open", "high", "low", "close"])
    frame = frame.assign(volume=1.0)
    frame.insert(0, "date", dates)
    get_datahandler(tmp_path, "feather").ohlcv_store("BTC/USDT", "1h", frame, CandleType.SPOT)
    store = CandleStore(tmp_path)
    (symbol,) = store.symbols(Market.SPOT).values()
    exchanges = {walk: ReplayExchange(store, walk=walk) for walk in (False, True)}
    moments = [milliseconds(dates[0]) + look * HOUR // 6 for look in range(7)]
    prices = {
        walk: [exchange.quote(symbol, now).price for now in moments]
        for walk, exchange in exchanges.items()
    }
    assert prices[True] == [*path, 50.5]
    assert prices[False] == [candle[0]] * 6 + [50.5]
