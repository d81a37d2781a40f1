"""The records of a scan: its inputs and its results."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from freqtrade.enums import CandleType
from freqtrade.exchange import timeframe_to_seconds
from pandas import DataFrame, Timedelta, Timestamp

from perp_imbalance.indicators.positioning import FUNDING_HOURS
from perp_imbalance.indicators.quality import (
    MAX_WITHOUT_SPOT,
    WARN_TICK_NOISE,
    WARN_WITHOUT_SPOT,
)
from perp_imbalance.indicators.thresholds import Side, Thresholds

Key = tuple[str, str, CandleType]

Passes = dict[str, bool | None]

#: What a ranking goes by.
By = Literal["deviation", "premium", "z", "funding"]

#: From so many bps below 0 on, a premium or deviation counts as dislocated.
DISLOCATED_BPS = 10.0

_FUNDINGS_A_YEAR = 365 * 24 / FUNDING_HOURS


class Rules(NamedTuple):
    """The thresholds and settings of a scan.

    :ivar name: name of the strategy or preset, for display.
    :ivar sides: the sides that may be entered.
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


class Funding(NamedTuple):
    """The funding of a perp.

    :ivar per_8_hours: the rate as a fraction, converted to 8 hours.
    :ivar hours: interval of the payments.
    :ivar due: time of the next payment; None if unknown.
    """

    per_8_hours: float
    hours: float
    due: Timestamp | None

    @property
    def per_year(self) -> float:
        """The rate per year as a fraction, without compounding."""
        return self.per_8_hours * _FUNDINGS_A_YEAR


class Snapshot(NamedTuple):
    """Data of all perps from the exchange.

    :ivar frames: candles by pair, timeframe and type, without series that failed.
    :ivar now: time of the request.
    :ivar precision: price step by pair, as stated by the exchange.
    :ivar volume: 24 h volume in the quote currency, by perp.
    :ivar funding: funding by perp.
    :ivar round_trip_bps: two taker fees in bps, by perp.
    """

    frames: Mapping[Key, DataFrame]
    now: Timestamp
    precision: Mapping[str, float]
    volume: Mapping[str, float]
    funding: Mapping[str, Funding]
    round_trip_bps: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Row:
    """One perp at its last closed candle.

    :ivar against: the spot pair or the index.
    :ivar since: close of the candle on which the bias began; None if it began before the first
        available candle.
    :ivar candles_since: candles with this bias, including that of the flip; a lower bound if
        ``since`` is None.
    :ivar deviation_bps: NaN with too few premiums.
    :ivar round_trip_bps: two taker fees in bps.
    :ivar hours_to_funding: None if unknown.
    :ivar gates: whether each active gate lets the side of ``z`` enter, by name; None if its data
        are missing, which blocks an entry.
    :ivar missing: share of its candles without a premium.
    :ivar tick_noise: how much one tick moves z.
    :ivar max_tick_noise: tick noise above which z measures rounding.
    """

    perp: str
    against: str
    source: str
    candle: Timestamp
    z: float
    bias: str
    since: Timestamp | None
    candles_since: int
    deviation_bps: float
    premium_pct: float
    round_trip_bps: float
    funding: Funding | None
    hours_to_funding: float | None
    volume_24h: float | None
    gates: Passes
    missing: float
    tick_noise: float
    max_tick_noise: float

    @property
    def after_fees_bps(self) -> float:
        """The most that is left after two taker fees if the premium returns to its median."""
        return abs(self.deviation_bps) - self.round_trip_bps

    @property
    def premium_in_fees(self) -> float:
        """The premium in multiples of two taker fees; NaN where there is no fee."""
        fees = self.round_trip_bps
        return self.premium_pct * 100 / fees if fees else float("nan")

    @property
    def is_sound(self) -> bool:
        """Return whether z measures the market and not noise, by the doctor's limits."""
        return self.missing <= MAX_WITHOUT_SPOT and self.tick_noise < self.max_tick_noise

    @property
    def is_doubtful(self) -> bool:
        """Return whether the doctor would warn about the perp or refuse it."""
        return self.missing > WARN_WITHOUT_SPOT or self.tick_noise >= WARN_TICK_NOISE

    def as_dict(self) -> dict[str, Any]:
        """Return plain values: times as text, unknown values as None."""
        values = asdict(self)
        del values["max_tick_noise"]
        funding = self.funding
        values |= {
            "after_fees_bps": self.after_fees_bps,
            "premium_in_fees": self.premium_in_fees,
            "funding": funding and funding.per_8_hours,
            "funding_per_year": funding and funding.per_year,
            "funding_interval_hours": funding and funding.hours,
            "next_funding": funding and funding.due,
            "sound": self.is_sound,
            "doubtful": self.is_doubtful,
        }
        return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Timestamp):
        return value.isoformat()
    return None if isinstance(value, float) and not np.isfinite(value) else value


class LeftOut(NamedTuple):
    """A perp that cannot be ranked, and the reason."""

    perp: str
    reason: str


class Market(NamedTuple):
    """Figures of all ranked perps in bps; None if unknown.

    :ivar perps: number of perps.
    :ivar with_deviation: number of perps with a deviation, which needs more candles than z.
    :ivar premium_below: share of perps with a premium of -10 bps or less.
    :ivar deviation_below: share of perps with a deviation of -10 bps or less, among those that have
        one.
    """

    perps: int
    with_deviation: int
    premium_mean: float | None
    premium_median: float | None
    premium_below: float | None
    deviation_mean: float | None
    deviation_median: float | None
    deviation_below: float | None


class Standing(NamedTuple):
    """The position of a perp in the ranking.

    :ivar value: value by which it is ranked; NaN if unknown.
    """

    value: float
    bias: str


class Ranking(NamedTuple):
    """The ranked perps, most extreme first, and those that could not be ranked.

    :ivar by: name of the value by which perps are ranked.
    :ivar standings: standings of all ranked perps in order; ``rows`` has the first ones.
    """

    rows: list[Row]
    by: By
    standings: dict[str, Standing]
    market: Market
    left_out: list[LeftOut]

    @property
    def ranked(self) -> int:
        """Number of ranked perps."""
        return len(self.standings)

    @property
    def candle(self) -> Timestamp:
        """The newest candle of the rows, of which there must be one."""
        return max(row.candle for row in self.rows)

    @property
    def is_unknown(self) -> bool:
        """Return whether no perp has a value for the ranking."""
        return not any(np.isfinite(one.value) for one in self.standings.values())
