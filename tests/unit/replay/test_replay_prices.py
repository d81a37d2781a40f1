"""What an account sees of the mark price where its candles are longer than the traded ones."""

from pathlib import Path

import pandas as pd
from freqtrade.data.history import get_datahandler
from freqtrade.enums import CandleType
from support.tiny_replay import milliseconds

from perp_imbalance.replay.candle_store import CandleStore
from perp_imbalance.replay.testing.prices import StoredPrices

PAIR = "BTC/USDT:USDT"
START = pd.Timestamp("2024-01-01", tz="UTC")


def write(datadir: Path, timeframe: str, kind: CandleType, rows: list[tuple[float, ...]]) -> None:
    dates = pd.date_range(START, periods=len(rows), freq=timeframe.replace("m", "min"))
    frame = pd.DataFrame(rows, columns=["open", "high", "low", "close"])
    frame = frame.assign(date=dates, volume=1.0)[["date", *frame, "volume"]]
    get_datahandler(datadir, "feather").ohlcv_store(PAIR, timeframe, frame, kind)


def reaches(datadir: Path) -> list[tuple[float, float]]:
    """Return low and high of the mark price by closed candle of two hours."""
    prices = StoredPrices(CandleStore(datadir), lambda *_: None)  # type: ignore[arg-type]
    start = milliseconds(START)
    found = prices.candles("BTCUSDT", start, start + 2 * 3_600_000)
    return [(float(candle.mark_low), float(candle.mark_high)) for candle in found]


def test_traded_wick_does_not_move_the_mark_price(tmp_path: Path) -> None:
    (tmp_path / "futures").mkdir()
    wick = (100.0, 101.0, 50.0, 100.0)
    write(tmp_path, "30m", CandleType.FUTURES, [wick, (100.0, 100.0, 100.0, 100.0)] * 2)
    assert reaches(tmp_path)[0] == (50, 101)
    write(tmp_path, "1h", CandleType.MARK, [(99.0, 102.0, 95.0, 98.0), (97.0, 99.0, 94.0, 97.0)])
    # Within the hour its opening price is known, at its end its reach.
    assert reaches(tmp_path) == [(99, 99), (95, 102), (97, 97), (94, 99)]
