"""Check whether a pair has the series that active gates and net returns need."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from perp_imbalance.data.coverage import ENOUGH_COVERED
from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators.gates import active_gates
from perp_imbalance.indicators.higher_timeframe import align_higher_timeframe, check_higher
from perp_imbalance.indicators.premium import open_times
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.research.grid import Grid
from perp_imbalance.research.pair_history import PairHistory
from perp_imbalance.strategy import gate_series

# What the funding gate goes by, and what net returns pay.
_FUNDING, _PAID = "funding_rate", "funding_rate_raw"


def missing_series(candles: PairHistory, thresholds: Thresholds, htf_timeframe: str) -> str | None:
    """Return a message about an active gate without its series; None if each has one.

    Without its series a gate never passes, and the absence of entries would look like a calm
    market.

    :param htf_timeframe: timeframe of the HTF gate.
    """
    if thresholds.use_htf and not np.isfinite(_htf_premium(candles)[candles.begin :]).any():
        try:
            check_higher(candles.timeframe, htf_timeframe)
        except SettingsError:
            return f"the HTF gate has no candles of a higher timeframe than {candles.timeframe}"
        return f"the HTF gate has no {htf_timeframe} candles of it"
    columns = {
        gate.series.column: candles.series[gate.series.column][candles.begin :]
        for gate in active_gates(thresholds)
        if gate.series
    }
    return gate_series.missing_series(columns)


def thin_series(candles: PairHistory, gated: Collection[Thresholds]) -> list[str]:
    """Return a message if funding rates, part of net returns, are known on too few candles.

    ``data.backtest_data.check_series`` checks all other series.

    :param gated: the thresholds in use.
    :return: a list with one sentence, or an empty list.
    """
    harm = "net returns leave funding out"
    on = {one.series.column for of in gated for one in active_gates(of) if one.series}
    if _FUNDING in on:
        harm += " and the gate lets nothing pass"
    known = float(np.isfinite(candles.series[_PAID][candles.begin :]).mean())
    if not known:
        return [f"no funding rates: {harm}"]
    if known < ENOUGH_COVERED:
        return [f"funding rates on {known:.0%} of the candles: elsewhere {harm}"]
    return []


def with_every_gate(grid: Grid) -> Thresholds:
    """Return thresholds with each gate on that any combination of a grid turns on."""
    return replace(grid.base, use_htf=any(grid.values("use_htf")))


def _htf_premium(candles: PairHistory) -> Floats:
    """Return the known premium of the higher timeframe on each candle."""
    rows = open_times(candles.perp, "perp")
    htf = candles.htf
    if htf is None:
        return np.full(rows.size, np.nan)
    return align_higher_timeframe(rows, candles.timeframe, htf.times, htf.timeframe, htf.premium)
