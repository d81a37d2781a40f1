"""From candles to the ranked list: pure functions, with the strategy's own columns."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from freqtrade.enums import CandleType
from pandas import DataFrame, Timedelta, Timestamp

from perp_imbalance.doctor.candles import (
    MAX_TICK_NOISE,
    MAX_WITHOUT_SPOT,
    relative_tick,
    tick_noise,
)
from perp_imbalance.indicators.columns import (
    HtfPremium,
    beside,
    htf_premium,
    premium_columns,
    spot_premium,
    threshold_columns,
)
from perp_imbalance.indicators.higher_timeframe import timeframe_ns
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.indicators.signals import NO_PREMIUM, SIDES, gates
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.indicators.zones import LONG, NONE, SHORT
from perp_imbalance.pairs import SpotMatch, price_refusal

Key = tuple[str, str, CandleType]

_NO_CANDLES = DataFrame(columns=["date", "open", "high", "low", "close", "volume"])
_BIAS = {side: name for name, side in SIDES.items()} | {NONE: "none"}


class Rules(NamedTuple):
    """What the columns depend on.

    :ivar name: of the strategy or preset, to show.
    """

    name: str
    timeframe: str
    htf_timeframe: str
    thresholds: Thresholds
    max_stale_candles: int


class Snapshot(NamedTuple):
    """What the exchange gave.

    :ivar frames: candles by pair, timeframe and type; a series that failed is not in it.
    :ivar now: the time at which they were asked for.
    :ivar precision: the step of a price by pair, as the exchange names it.
    :ivar volume: traded within 24 hours, in the quote currency, by perp.
    :ivar funding: the rate by perp.
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
    :ivar gates: whether each active gate lets the side of ``z`` enter, by its name.
    :ivar missing: share of its candles without a premium.
    :ivar tick_noise: by how much one tick moves z.
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
    gates: dict[str, bool]
    missing: float
    tick_noise: float

    @property
    def is_sound(self) -> bool:
        """Tell whether z measures the market, by the doctor's limits."""
        return self.missing <= MAX_WITHOUT_SPOT and self.tick_noise < MAX_TICK_NOISE

    def as_dict(self) -> dict[str, Any]:
        """Return plain values: times as text, what is not known as None."""
        values = asdict(self) | {"sound": self.is_sound}
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
    """The ranked perps, most extreme first, and those that could not be ranked."""

    rows: list[Row]
    left_out: list[LeftOut]


def rank(matches: Sequence[SpotMatch], given: Snapshot, rules: Rules) -> Ranking:
    """Rank perps by ``|z|`` of their last closed candle.

    :param matches: perps with what each is compared with.
    """
    found = [_row(match, given, rules) for match in matches if match.spot is not None]
    rows = [one for one in found if isinstance(one, Row)]
    left_out = [one for one in found if isinstance(one, LeftOut)]
    rows.sort(key=lambda row: abs(row.z), reverse=True)
    return Ranking(rows, left_out)


def _row(match: SpotMatch, given: Snapshot, rules: Rules) -> Row | LeftOut:
    """Return the figures of one perp, or why there are none."""
    timeframe, length = rules.timeframe, Timedelta(timeframe_ns(rules.timeframe))
    spot_key = (str(match.spot), timeframe, CandleType(match.source))
    perp = given.frames.get((match.perp, timeframe, CandleType.FUTURES), _NO_CANDLES)
    spot = given.frames.get(spot_key, _NO_CANDLES)
    for frame, name in ((perp, "it"), (spot, match.name)):
        if frame.empty:
            return LeftOut(match.perp, f"the exchange gave no {timeframe} candles of {name}")
    found = spot_premium(perp, spot, match.scale, by_volume=match.has_volume)
    refused = price_refusal(match, found.fraction, timeframe)
    if refused:
        return LeftOut(match.perp, refused)
    columns: dict[str, np.ndarray[Any, Any]] = {**premium_columns(found)}
    fraction = columns["premium"]
    columns |= threshold_columns(
        perp,
        fraction,
        rules.thresholds,
        timeframe=timeframe,
        htf=_htf(match, given, rules),
        max_stale_candles=rules.max_stale_candles,
    )
    last = perp["date"].iloc[-1]
    z = float(columns["z"][-1])
    # The exchange has a little time to publish what closed just now.
    if not np.isfinite(z) or last + 3 * length <= given.now:
        return LeftOut(match.perp, f"no z-score on the last closed candle ({last:%Y-%m-%d %H:%M})")
    bias = columns["bias"]
    since = np.flatnonzero(bias != bias[-1])
    return Row(
        perp=match.perp,
        against=match.name,
        source=match.source,
        candle=last,
        z=z,
        bias=_BIAS[int(bias[-1])],
        since=perp["date"].iloc[since[-1] + 1] + length if since.size else None,
        premium_pct=float(columns["premium_pct"][-1]),
        funding=given.funding.get(match.perp),
        volume_24h=given.volume.get(match.perp),
        gates=_gates(perp, columns, rules.thresholds),
        missing=float(np.mean(np.isnan(fraction))),
        tick_noise=_tick_noise(match, given, rules, (perp, spot, fraction)),
    )


def _htf(match: SpotMatch, given: Snapshot, rules: Rules) -> HtfPremium | None:
    """Return the premiums of the higher timeframe where its gate is on."""
    if not rules.thresholds.use_htf:
        return None
    timeframe = rules.htf_timeframe
    perp, spot = (
        given.frames.get(key, _NO_CANDLES)
        for key in (
            (match.perp, timeframe, CandleType.FUTURES),
            (str(match.spot), timeframe, CandleType(match.source)),
        )
    )
    if perp.empty or spot.empty:
        return None
    return htf_premium(perp, spot, timeframe, match.scale, by_volume=match.has_volume)


def _gates(perp: DataFrame, columns: Mapping[str, Any], thresholds: Thresholds) -> dict[str, bool]:
    """Return whether each active gate passes on the last candle, for the side of its z."""
    last = beside(perp.tail(1), {name: values[-1:] for name, values in columns.items()})
    side = SHORT if columns["z"][-1] > 0 else LONG
    found = gates(last, thresholds)
    return {name: bool(gate[side][-1]) for name, gate in found.items() if name != NO_PREMIUM}


def _tick_noise(
    match: SpotMatch,
    given: Snapshot,
    rules: Rules,
    series: tuple[DataFrame, DataFrame, Floats],
) -> float:
    perp, spot, fraction = series
    tick = max(
        relative_tick(perp, given.precision.get(match.perp, 0.0)),
        relative_tick(spot, given.precision.get(str(match.spot), 0.0), by_volume=match.has_volume),
    )
    return tick_noise(tick, fraction, rules.thresholds.len_prem)
