"""What a scan is given and what it finds: plain records."""

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


class Funding(NamedTuple):
    """The funding of a perp, whatever the interval at which it is paid.

    :ivar per_8_hours: the rate as a fraction, as if it were paid every 8 hours.
    :ivar hours: the interval at which it is paid.
    :ivar due: when it is paid next; None where the exchange does not say.
    """

    per_8_hours: float
    hours: float
    due: Timestamp | None

    @property
    def per_year(self) -> float:
        """The rate as a fraction of a year, without compounding."""
        return self.per_8_hours * _FUNDINGS_A_YEAR


class Snapshot(NamedTuple):
    """What the exchange gave.

    :ivar frames: candles by pair, timeframe and type; a series that failed is not in it.
    :ivar now: the time at which they were asked for.
    :ivar precision: the step of a price by pair, as the exchange names it.
    :ivar volume: traded within 24 hours, in the quote currency, by perp.
    :ivar funding: by perp.
    :ivar round_trip_bps: two taker fees by perp.
    """

    frames: Mapping[Key, DataFrame]
    now: Timestamp
    precision: Mapping[str, float]
    volume: Mapping[str, float]
    funding: Mapping[str, Funding]
    round_trip_bps: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Row:
    """One perp, as of its last closed candle.

    :ivar against: the spot pair, or the index.
    :ivar since: the close of the candle from which on the bias is what it is; None where that lies
        before the candles at hand.
    :ivar candles_since: candles with this bias, that of the flip included; where ``since`` is None,
        there may be more.
    :ivar deviation_bps: NaN where too few premiums are known.
    :ivar round_trip_bps: two taker fees.
    :ivar hours_to_funding: None where the exchange does not say.
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
        """What a return of the premium to its median would leave after two taker fees, at most."""
        return abs(self.deviation_bps) - self.round_trip_bps

    @property
    def premium_in_fees(self) -> float:
        """The premium in multiples of two taker fees."""
        return self.premium_pct * 100 / self.round_trip_bps

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
    """A perp that cannot be ranked, and why."""

    perp: str
    reason: str


class Market(NamedTuple):
    """All ranked perps together; in bps, None where nothing is known.

    :ivar perps: how many they are.
    :ivar with_deviation: how many of them have a deviation, which takes more candles than z.
    :ivar premium_below: share of them whose premium is at or below -10 bps.
    :ivar deviation_below: share of those with a deviation whose deviation is.
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
    """Where a perp stands.

    :ivar value: what the ranking goes by; NaN where that is not known.
    """

    value: float
    bias: str


class Ranking(NamedTuple):
    """The ranked perps, most extreme first, and those that could not be ranked.

    :ivar by: what it goes by.
    :ivar standings: of every ranked perp, in the order of the ranking; ``rows`` are the first.
    """

    rows: list[Row]
    by: By
    standings: dict[str, Standing]
    market: Market
    left_out: list[LeftOut]

    @property
    def ranked(self) -> int:
        """How many perps are ranked."""
        return len(self.standings)

    @property
    def candle(self) -> Timestamp:
        """The newest candle of the rows; there must be one."""
        return max(row.candle for row in self.rows)

    @property
    def is_unknown(self) -> bool:
        """Tell whether what it goes by is known of no perp."""
        return not any(np.isfinite(one.value) for one in self.standings.values())
