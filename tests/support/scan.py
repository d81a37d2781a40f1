"""A made market to scan: perps with their spot pairs, on two timeframes."""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from freqtrade.enums import CandleType

from perp_imbalance.indicators import PRESETS
from perp_imbalance.markets.spot_matching import SpotMatch
from perp_imbalance.scan.rank import Key, Rules, Snapshot

NOW = pd.Timestamp("2026-01-01 12:05", tz="UTC")


def candles(closes: Any, timeframe: str) -> pd.DataFrame:
    """Return candles of these closes, the last of which closed last before ``NOW``."""
    last = NOW.floor(timeframe) - pd.Timedelta(timeframe)
    closes = np.round(closes, 4)
    return pd.DataFrame(
        {
            "date": pd.date_range(end=last, periods=len(closes), freq=timeframe),
            **{name: closes + add for name, add in (("open", 1e-4), ("high", 2e-4))},
            "low": closes - 1e-4,
            "close": closes,
            "volume": 5.0,
        }
    )


def rules(preset: str = "balanced") -> Rules:
    return Rules(preset, "1h", "4h", PRESETS[preset], 12)


def snapshot(frames: dict[Key, pd.DataFrame]) -> Snapshot:
    return Snapshot(frames, NOW, {}, {}, {})


@cache
def market(pairs: int, count: int) -> tuple[list[SpotMatch], Snapshot]:
    """Return candles of so many perps with their spot pairs, on two timeframes."""
    rng = np.random.default_rng(3)
    matches, frames = [], {}
    for number in range(pairs):
        perp, spot = f"C{number}/USDT:USDT", f"C{number}/USDT"
        matches.append(SpotMatch(perp, spot, 1, "identical", None))
        for timeframe in ("1h", "4h"):
            closes = 100 * np.exp(np.cumsum(rng.normal(0, 5e-3, count)))
            premium = rng.normal(0, 1e-3, count)
            frames[perp, timeframe, CandleType.FUTURES] = candles(closes * (1 + premium), timeframe)
            frames[spot, timeframe, CandleType.SPOT] = candles(closes, timeframe)
    return matches, snapshot(frames)
