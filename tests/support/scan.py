"""A hand-made market to scan: perps with their spot pairs, on two timeframes."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from freqtrade.enums import CandleType

from perp_imbalance.indicators import PRESETS
from perp_imbalance.markets.spot_matching import SpotMatch
from perp_imbalance.scan.rank import rank
from perp_imbalance.scan.records import Funding, Key, Market, Ranking, Rules, Snapshot, Standing

NOW = pd.Timestamp("2026-01-01 12:05", tz="UTC")


def candles(closes: Any, timeframe: str) -> pd.DataFrame:
    """Return candles with these closes; the last one closed last before ``NOW``."""
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
    """Return these candles as fetched from an exchange, with round-trip fees of 10 bps."""
    fees = {pair: 10.0 for pair, _, kind in frames if kind == CandleType.FUTURES}
    return Snapshot(frames, NOW, {}, {}, {}, fees)


def table_market() -> Ranking:
    """Return two perps ranked by deviation, all figures of which are known."""
    (row, other) = rank(*market(2, 200), rules()).rows
    known = replace(
        row,
        perp="A/USDT:USDT",
        bias="short",
        since=NOW.floor("1h"),
        candles_since=5,
        deviation_bps=-31.0,
        premium_pct=-0.25,
        funding=Funding(2e-4, 4, NOW + pd.Timedelta("90min")),
        hours_to_funding=1.5,
        volume_24h=1e6,
        gates={"sigma gate": True},
        missing=0.125,
    )
    unknown = replace(
        known,
        perp="1000000MOG/USDT:USDT",
        bias="long",
        since=None,
        deviation_bps=np.nan,
        funding=None,
        hours_to_funding=None,
        volume_24h=None,
        gates={"sigma gate": None},
        tick_noise=np.inf,
    )
    standings = {
        known.perp: Standing(-31.0, "short"),
        unknown.perp: Standing(np.nan, "long"),
        other.perp: Standing(3.0, "none"),
    }
    market_figures = Market(3, 2, -12.0, -9.5, 0.5, 1.0, 2.0, 0.0)
    return Ranking([known, unknown], "deviation", standings, market_figures, [])


@cache
def market(pairs: int, count: int) -> tuple[list[SpotMatch], Snapshot]:
    """Return candles of a number of perps with their spot pairs, on two timeframes."""
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
