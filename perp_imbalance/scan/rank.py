"""From candles to the ranked list: pure functions, with the strategy's own columns."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, get_args

import numpy as np
from freqtrade.enums import CandleType
from freqtrade.exchange import timeframe_to_seconds
from pandas import DataFrame, Timedelta, Timestamp

from perp_imbalance.indicators.columns import threshold_columns
from perp_imbalance.indicators.gates import active_gates
from perp_imbalance.indicators.hysteresis import LONG, NONE, SHORT
from perp_imbalance.indicators.premium import traded_close
from perp_imbalance.indicators.quality import (
    MAX_WITHOUT_SPOT,
    WARN_TICK_NOISE,
    WARN_WITHOUT_SPOT,
    max_tick_noise,
    premium_stdev,
    relative_tick,
    tick_noise,
)
from perp_imbalance.indicators.signals import SIDES, gates
from perp_imbalance.indicators.thresholds import Side, Thresholds
from perp_imbalance.markets.pair_premium import pair_premium
from perp_imbalance.markets.spot_matching import SpotMatch
from perp_imbalance.strategy.gate_series import gate_series, series_column

Key = tuple[str, str, CandleType]

Passes = dict[str, bool | None]

_NO_CANDLES = DataFrame(columns=["date", "open", "high", "low", "close", "volume"])
_BIAS = {side: name for name, side in SIDES.items()} | {NONE: "none"}


class Rules(NamedTuple):
    """What the columns depend on.

    :ivar name: of the strategy or preset, to show.
    :ivar sides: those that it enters.
    """

    name: str
    timeframe: str
    htf_timeframe: str
    thresholds: Thresholds
    max_stale_candles: int
    sides: Sequence[Side] = get_args(Side)

    @property
    def candle(self) -> Timedelta:
        """The length of a candle."""
        return Timedelta(seconds=timeframe_to_seconds(self.timeframe))


class Snapshot(NamedTuple):
    """What the exchange gave.

    :ivar frames: candles by pair, timeframe and type; a series that failed is not in it.
    :ivar now: the time at which they were asked for.
    :ivar precision: the step of a price by pair, as the exchange names it.
    :ivar volume: traded within 24 hours, in the quote currency, by perp.
    :ivar funding: the rate per 8 hours by perp.
    """

    frames: Mapping[Key, DataFrame]
    now: Timestamp
    precision: Mapping[str, float]
    volume: Mapping[str, float]
    funding: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Row:
    """One perp, as of its last closed candle.

    :ivar against: the spot pair, or the index.
    :ivar since: the close of the candle from which on the bias is what it is; None where that lies
        before the candles at hand.
    :ivar gates: whether each active gate lets the side of ``z`` enter, by its name; None where
        what it looks at is not known, and it lets nothing enter.
    :ivar missing: share of its candles without a premium.
    :ivar tick_noise: by how much one tick moves z.
    :ivar max_tick_noise: from which on z is rounding.
    """

    perp: str
    against: str
    source: str
    candle: Timestamp
    z: float
    bias: str
    since: Timestamp | None
    premium_pct: float
    funding: float | None
    volume_24h: float | None
    gates: Passes
    missing: float
    tick_noise: float
    max_tick_noise: float

    @property
    def is_sound(self) -> bool:
        """Tell whether z measures the market, by what the doctor refuses."""
        return self.missing <= MAX_WITHOUT_SPOT and self.tick_noise < self.max_tick_noise

    @property
    def is_doubtful(self) -> bool:
        """Tell whether the doctor would warn of it, or refuse it."""
        return self.missing > WARN_WITHOUT_SPOT or self.tick_noise >= WARN_TICK_NOISE

    def as_dict(self) -> dict[str, Any]:
        """Return plain values: times as text, what is not known as None."""
        values = asdict(self) | {"sound": self.is_sound, "doubtful": self.is_doubtful}
        del values["max_tick_noise"]
        for name in ("candle", "since"):
            values[name] = values[name] and values[name].isoformat()
        if not np.isfinite(self.tick_noise):
            values["tick_noise"] = None
        return values


class LeftOut(NamedTuple):
    """A perp that cannot be ranked, and why."""

    perp: str
    reason: str


class Ranking(NamedTuple):
    """The ranked perps, most extreme first, and those that could not be ranked.

    :ivar ranked: how many there are, of which ``rows`` are the first.
    """

    rows: list[Row]
    ranked: int
    left_out: list[LeftOut]


class _Found(NamedTuple):
    """A perp with a z-score: candles of it and of what it is compared with, and the columns."""

    match: SpotMatch
    perp: DataFrame
    spot: DataFrame
    columns: dict[str, np.ndarray[Any, Any]]

    @property
    def z(self) -> float:
        """The z-score of the last candle."""
        return float(self.columns["z"][-1])


def rank(
    matches: Sequence[SpotMatch], given: Snapshot, rules: Rules, top: int | None = None
) -> Ranking:
    """Rank perps by ``|z|`` of their last closed candle.

    :param matches: perps with what each is compared with.
    :param top: how many to return; without, all.
    """
    examined = [_examine(match, given, rules) for match in matches if match.spot is not None]
    found = [one for one in examined if isinstance(one, _Found)]
    left_out = [one for one in examined if isinstance(one, LeftOut)]
    found.sort(key=lambda one: abs(one.z), reverse=True)
    first = found[:top]
    rows = [
        _row(one, gates, given, rules)
        for one, gates in zip(first, _gates(first, rules), strict=True)
    ]
    return Ranking(rows, len(found), left_out)


def _examine(match: SpotMatch, given: Snapshot, rules: Rules) -> _Found | LeftOut:
    """Return the columns of one perp, or why it has no z-score."""
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
    """Return the candles of a perp and of what it is compared with, empty where there are none."""
    return (
        given.frames.get((match.perp, timeframe, CandleType.FUTURES), _NO_CANDLES),
        given.frames.get((str(match.spot), timeframe, CandleType(match.source)), _NO_CANDLES),
    )


def _series_columns(
    match: SpotMatch, given: Snapshot, rules: Rules, perp: DataFrame
) -> dict[str, np.ndarray[Any, Any]]:
    """Return the columns of the optional gates that are on; NaN where their series failed."""
    columns: dict[str, np.ndarray[Any, Any]] = {}
    for kind in gate_series(rules.thresholds):
        frame = given.frames.get((match.perp, rules.timeframe, kind), _NO_CANDLES)
        columns |= series_column(perp, rules.timeframe, frame, kind)
    return columns


def _gates(found: Sequence[_Found], rules: Rules) -> list[Passes]:
    """Return of each perp whether each active gate lets the side of its z enter, None if unknown.

    None passes on a side that is not entered. Of all at once: pandas takes longer to build a table
    of one row than all gates take.
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
    sides = [SHORT if one.z > 0 else LONG for one in found]
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
    return Row(
        perp=match.perp,
        against=match.name,
        source=match.premium_source,
        candle=dates.iloc[-1],
        z=one.z,
        bias=_BIAS[int(bias[-1])],
        since=dates.iloc[before[-1] + 1] + rules.candle if before.size else None,
        premium_pct=float(columns["premium_pct"][-1]),
        funding=given.funding.get(match.perp),
        volume_24h=given.volume.get(match.perp),
        gates=passes,
        missing=float(np.mean(np.isnan(columns["premium"]))),
        tick_noise=_tick_noise(one, given.precision, rules.thresholds.len_prem),
        max_tick_noise=max_tick_noise(rules.thresholds.enter_z),
    )


def _tick_noise(one: _Found, precision: Mapping[str, float], len_prem: int) -> float:
    """Return by how much the coarser tick moves z."""
    match, perp, spot, columns = one
    priced = [(perp, match.perp, True)]
    if not match.is_premium:
        priced.append((spot, str(match.spot), match.has_volume))
    tick = max(
        relative_tick(frame, precision.get(pair, 0.0), traded_close(frame, by_volume=by_volume))
        for frame, pair, by_volume in priced
    )
    return tick_noise(tick, premium_stdev(columns["premium"], len_prem))
