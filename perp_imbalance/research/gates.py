"""Whether a pair has the series that the gates which are on look at."""

from dataclasses import replace

import numpy as np

from perp_imbalance import crowd_gates
from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators.higher_timeframe import check_higher, known_at_close
from perp_imbalance.indicators.premium import open_times
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.research.grid import Grid
from perp_imbalance.research.market import PairCandles


def missing_series(candles: PairCandles, thresholds: Thresholds, htf_timeframe: str) -> str | None:
    """Say which gate that is on never passes, for want of its series; None where each has one.

    Without its series a gate lets nothing pass: no entries, which look like those of a dull market.

    :param htf_timeframe: what the HTF gate looks at.
    """
    if thresholds.use_htf and not np.isfinite(_htf_premium(candles)[candles.begin :]).any():
        try:
            check_higher(candles.timeframe, htf_timeframe)
        except SettingsError:
            return f"the HTF gate has no candles of a higher timeframe than {candles.timeframe}"
        return f"the HTF gate has no {htf_timeframe} candles of it"
    columns = {}
    if thresholds.use_funding:
        columns["funding_rate"] = candles.funding_rate[candles.begin :]
    if thresholds.use_oi:
        columns["open_interest"] = candles.open_interest[candles.begin :]
    return crowd_gates.missing_series(columns)


def with_every_gate(grid: Grid) -> Thresholds:
    """Return thresholds with every gate on that is on in any combination of a grid."""
    return replace(grid.base, use_htf=any(grid.values("use_htf")))


def _htf_premium(candles: PairCandles) -> Floats:
    """Return what is known of the higher timeframe's premium on each candle."""
    rows = open_times(candles.perp, "perp")
    htf = candles.htf
    if htf is None:
        return np.full(rows.size, np.nan)
    return known_at_close(rows, candles.timeframe, htf.times, htf.timeframe, htf.premium)
