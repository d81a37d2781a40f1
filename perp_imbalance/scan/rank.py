"""Rank perps from their candles with the strategy's own columns, by pure functions."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from freqtrade.enums import CandleType
from pandas import DataFrame, Timedelta

from perp_imbalance.indicators.columns import threshold_columns
from perp_imbalance.indicators.gates import active_gates
from perp_imbalance.indicators.hysteresis import LONG, NONE, SHORT
from perp_imbalance.indicators.premium import traded_close
from perp_imbalance.indicators.quality import (
    max_tick_noise,
    premium_stdev,
    relative_tick,
    tick_noise,
)
from perp_imbalance.indicators.signals import SIDES, gates
from perp_imbalance.markets.pair_premium import pair_premium
from perp_imbalance.markets.spot_matching import SpotMatch
from perp_imbalance.scan.records import (
    DISLOCATED_BPS,
    By,
    LeftOut,
    Market,
    Passes,
    Ranking,
    Row,
    Rules,
    Snapshot,
    Standing,
)
from perp_imbalance.strategy.gate_series import gate_series, series_column

_NO_CANDLES = DataFrame(columns=["date", "open", "high", "low", "close", "volume"])
_BIAS = {side: name for name, side in SIDES.items()} | {NONE: "none"}


class _Found(NamedTuple):
    """A perp with a z-score: its candles, those of its premium source, and the columns."""

    match: SpotMatch
    perp: DataFrame
    spot: DataFrame
    columns: dict[str, np.ndarray[Any, Any]]

    def last(self, column: str) -> float:
        """Return the value of a column on the last candle."""
        return float(self.columns[column][-1])


def rank(
    matches: Sequence[SpotMatch],
    given: Snapshot,
    rules: Rules,
    top: int | None = None,
    *,
    by: By = "deviation",
) -> Ranking:
    """Rank perps by how extreme their last closed candle is.

    :param matches: the matches of the perps.
    :param top: number of rows to return; by default all.
    :param by: rank by ``|z|``, ``|premium|``, ``|funding|``, or ``|deviation|`` minus the fees of a
        round trip; perps without this value come last.
    """
    examined = [_examine(match, given, rules) for match in matches if match.spot is not None]
    left_out = [one for one in examined if isinstance(one, LeftOut)]
    ranked = []
    for one in examined:
        if isinstance(one, _Found):
            value = _value(one, given, by)
            fees = given.round_trip_bps[one.match.perp] if by == "deviation" else 0.0
            size = abs(value) - fees if np.isfinite(value) else -np.inf
            ranked.append((size, one, Standing(value, _BIAS[int(one.last("bias"))])))
    ranked.sort(key=lambda each: each[0], reverse=True)
    found = [one for _, one, _ in ranked]
    first = found[:top]
    rows = [
        _row(one, gates, given, rules)
        for one, gates in zip(first, _gates(first, rules), strict=True)
    ]
    standings = {one.match.perp: standing for _, one, standing in ranked}
    return Ranking(rows, by, standings, _market(found), left_out)


def nothing_ranked(by: By) -> Ranking:
    """Return an empty ranking."""
    return Ranking([], by, {}, _market([]), [])


def _value(one: _Found, given: Snapshot, by: By) -> float:
    """Return the value by which a row is ranked."""
    if by == "funding":
        funding = given.funding.get(one.match.perp)
        return np.nan if funding is None else funding.per_8_hours
    return one.last({"deviation": "deviation_bps", "premium": "premium_pct", "z": "z"}[by])


def _market(found: Sequence[_Found]) -> Market:
    """Return the figures of all perps together."""
    premium = _summary([one.last("premium") * 1e4 for one in found])
    deviations = [one.last("deviation_bps") for one in found]
    known = int(np.isfinite(deviations).sum())
    return Market(len(found), known, *premium, *_summary(deviations))


def _summary(bps: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """Return mean, median and share of dislocated perps."""
    values = np.asarray(bps)
    known = values[np.isfinite(values)]
    if not known.size:
        return None, None, None
    return (
        float(np.mean(known)),
        float(np.median(known)),
        float(np.mean(known <= -DISLOCATED_BPS)),
    )


def _examine(match: SpotMatch, given: Snapshot, rules: Rules) -> _Found | LeftOut:
    """Return the columns of one perp, or the reason why it has no z-score."""
    timeframe = rules.timeframe
    perp, spot = _series(match, given, timeframe)
    for frame, name in ((perp, "it"), (spot, match.name)):
        if frame.empty:
            return LeftOut(match.perp, f"the exchange gave no {timeframe} candles of {name}")
    htf = (*_series(match, given, rules.htf_timeframe), rules.htf_timeframe)
    found = pair_premium(
        match, perp, spot, timeframe, htf=htf if rules.thresholds.use_htf else None
    )
    if found.refusal:
        return LeftOut(match.perp, found.refusal)
    columns: dict[str, np.ndarray[Any, Any]] = {**found.columns}
    series = _series_columns(match, given, rules, perp)
    columns |= threshold_columns(
        perp,
        columns["premium"],
        columns["spot_close"],
        rules.thresholds,
        timeframe=timeframe,
        htf=found.htf,
        max_stale_candles=rules.max_stale_candles,
        series=series,
    )
    columns |= series
    last = perp["date"].iloc[-1]
    # The exchange has a candle's time to publish what closed just now.
    late = last + 3 * rules.candle <= given.now
    if late or not np.isfinite(columns["z"][-1]):
        return LeftOut(match.perp, f"no z-score on the last closed candle ({last:%Y-%m-%d %H:%M})")
    return _Found(match, perp, spot, columns)


def _series(match: SpotMatch, given: Snapshot, timeframe: str) -> tuple[DataFrame, DataFrame]:
    """Return the candles of a perp and of its premium source; empty frames if there are none."""
    return (
        given.frames.get((match.perp, timeframe, CandleType.FUTURES), _NO_CANDLES),
        given.frames.get((str(match.spot), timeframe, CandleType(match.source)), _NO_CANDLES),
    )


def _series_columns(
    match: SpotMatch, given: Snapshot, rules: Rules, perp: DataFrame
) -> dict[str, np.ndarray[Any, Any]]:
    """Return the columns of the active optional gates; NaN if their series failed."""
    columns: dict[str, np.ndarray[Any, Any]] = {}
    for kind in gate_series(rules.thresholds):
        frame = given.frames.get((match.perp, rules.timeframe, kind), _NO_CANDLES)
        columns |= series_column(perp, rules.timeframe, frame, kind)
    return columns


def _gates(found: Sequence[_Found], rules: Rules) -> list[Passes]:
    """Return for each perp whether each active gate lets the side of its z enter; None if unknown.

    No gate passes on a side that is not entered. All perps are computed at once, since building a
    pandas table of one row takes longer than all gates.
    """
    if not found:
        return []
    last = [
        {name: values[-1] for name, values in one.columns.items()}
        | {"close": one.perp["close"].iloc[-1]}
        for one in found
    ]
    columns = DataFrame(last)
    by_name = gates(columns, rules.thresholds)
    passes = {
        gate.name: (by_name[gate.name], columns[gate.columns[0]].notna().to_numpy())
        for gate in active_gates(rules.thresholds)
    }
    sides = [SHORT if one.last("z") > 0 else LONG for one in found]
    entered = [SIDES[side] for side in rules.sides]
    return [
        {
            name: side in entered and (bool(gate[side][at]) if known[at] else None)
            for name, (gate, known) in passes.items()
        }
        for at, side in enumerate(sides)
    ]


def _row(one: _Found, passes: Passes, given: Snapshot, rules: Rules) -> Row:
    """Return the figures of a perp."""
    match, perp, _, columns = one
    bias, dates = columns["bias"], perp["date"]
    before = np.flatnonzero(bias != bias[-1])
    # With no other bias before it, from the first of these candles on.
    flip = int(before[-1]) + 1 if before.size else 0
    funding = given.funding.get(match.perp)
    due = funding and funding.due
    return Row(
        perp=match.perp,
        against=match.name,
        source=match.premium_source,
        candle=dates.iloc[-1],
        z=one.last("z"),
        bias=_BIAS[int(bias[-1])],
        since=dates.iloc[flip] + rules.candle if before.size else None,
        candles_since=bias.size - flip,
        deviation_bps=one.last("deviation_bps"),
        premium_pct=one.last("premium_pct"),
        round_trip_bps=given.round_trip_bps[match.perp],
        funding=funding,
        hours_to_funding=None if due is None else (due - given.now) / Timedelta("1h"),
        volume_24h=given.volume.get(match.perp),
        gates=passes,
        missing=float(np.mean(np.isnan(columns["premium"]))),
        tick_noise=_tick_noise(one, given.precision, rules.thresholds.len_prem),
        max_tick_noise=max_tick_noise(rules.thresholds.enter_z),
    )


def _tick_noise(one: _Found, precision: Mapping[str, float], len_prem: int) -> float:
    """Return how much one step of the coarser tick moves z."""
    match, perp, spot, columns = one
    priced = [(perp, match.perp, True)]
    if not match.is_premium:
        priced.append((spot, str(match.spot), match.has_volume))
    tick = max(
        relative_tick(frame, precision.get(pair, 0.0), traded_close(frame, by_volume=by_volume))
        for frame, pair, by_volume in priced
    )
    return tick_noise(tick, premium_stdev(columns["premium"], len_prem))
