"""Event study: returns after bias flips and entries, compared with the drift."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators.rolling import Bools, rolling_mean_stdev
from perp_imbalance.indicators.signals import SIDES
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.research.bootstrap import Bootstrap
from perp_imbalance.research.forward import ForwardReturns
from perp_imbalance.research.multiple import RATE, false_discovery
from perp_imbalance.research.pair_history import PairHistory
from perp_imbalance.research.screen import Screen
from perp_imbalance.strategy.settings import Settings

Kind = Literal["flip", "entry"]

#: Candles over which the volatility of a regime is taken.
VOLATILITY_CANDLES = 168

#: Fewer events than this say nothing.
MIN_EVENTS = 20

#: Fewer blocks of candles than this give no interval: the bootstrap draws blocks, and of a few it
#: draws nearly the same again and again, so its intervals are too narrow (of one, a point).
MIN_BLOCKS = 20

#: Nor do events that lie in fewer of them: what is drawn of those is the same few blocks as well.
MIN_EVENT_BLOCKS = 10

#: Fewer draws have no 2.5 % quantile to speak of.
MIN_DRAWS = 100

REGIMES = ("calm", "usual", "wild")
ALL = "all"
_BPS = 1e4


@dataclass(frozen=True)
class Finding:
    """Returns after one kind of event on one side, in bps of the stake.

    :ivar group: ``all``, a year, or a volatility regime.
    :ivar gross: mean return of the side, before costs.
    :ivar drift: mean return of the side from all candles of the group.
    :ivar excess: ``gross`` minus ``drift``, with its 95 % interval.
    :ivar net: ``gross`` minus fees and funding, with its 95 % interval.
    :ivar premium_part: the part of ``gross`` that came from the premium reverting, over events with
        a premium at both ends.
    """

    pair: str
    preset: str
    side: str
    kind: Kind
    horizon: int
    group: str
    events: int
    gross: float
    drift: float
    excess: float
    excess_low: float
    excess_high: float
    net: float
    net_low: float
    net_high: float
    premium_part: float

    @property
    def has_edge(self) -> bool:
        """Return whether net and excess are both above 0 at 95 % confidence."""
        return self.net_low > 0 and self.excess_low > 0

    @property
    def excess_p(self) -> float:
        """Two-sided p-value of an excess of 0."""
        return _p(self.excess, self.excess_high - self.excess_low)

    @property
    def edge_p(self) -> float:
        """Two-sided p-value of :attr:`has_edge`: the larger of those of net and excess."""
        return max(self.excess_p, _p(self.net, self.net_high - self.net_low))


def _p(mean: float, width: float) -> float:
    """Return the two-sided p-value of a mean of 0, from the mean's 95 % interval."""
    return float(2 * stats.norm.sf(abs(mean) / (width / 2) * stats.norm.ppf(0.975)))


@dataclass(frozen=True)
class Method:
    """Settings of an event study.

    :param horizons: candles held, each at least 1.
    :param cost: fees of entry and exit together, as a fraction.
    :param block: candles per bootstrap block: longer than the autocorrelation of returns, and at
        least the longest horizon.
    :param draws: bootstrap samples.
    :raises SettingsError: if a value gives no valid interval.
    """

    horizons: Sequence[int]
    cost: float
    block: int
    draws: int
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that give no interval or a wrong one."""
        longest = max(self.horizons)
        if self.block < longest:
            # Events that share candles would be drawn as if they were apart.
            raise SettingsError(
                f"block is {self.block}, it must be at least the longest horizon ({longest})"
            )
        if self.draws < MIN_DRAWS:
            raise SettingsError(f"draws is {self.draws}, it must be at least {MIN_DRAWS}")

    def is_enough(self, candles: int) -> bool:
        """Return whether a number of candles makes enough blocks for an interval."""
        return candles >= MIN_BLOCKS * self.block

    def is_too_short(self, candles: PairHistory) -> bool:
        """Return whether a pair has too few candles for any interval."""
        return not self.is_enough(len(candles.perp) - candles.begin - 1 - min(self.horizons))

    @property
    def too_short(self) -> str:
        """The message about a time range that is too short."""
        return (
            f"too few candles for a conclusion: the span is shorter than {MIN_BLOCKS} blocks of "
            f"{self.block} candles"
        )


def study(
    candles: PairHistory, presets: Mapping[str, Thresholds], settings: Settings, method: Method
) -> Iterator[Finding]:
    """Yield findings about the events of one pair, for each preset and side.

    If flips and entries are the same candles, only entries are reported.
    """
    if method.is_too_short(candles):
        return
    screen = Screen(candles, settings, method.horizons, method.cost)
    groups = dict(_groups(candles))
    returns = _Returns(candles, screen.forward)
    for preset, thresholds in presets.items():
        for side in settings.of_preset(preset).sides:
            events: dict[Kind, NDArray[np.int64]] = {
                "flip": screen.flips_of(thresholds, side),
                "entry": screen.entries_of(settings.gated(thresholds), side),
            }
            if np.array_equal(events["flip"], events["entry"]):
                # No gate holds any back: they would be counted twice.
                del events["flip"]
            for kind, rows in events.items():
                for number, horizon in enumerate(method.horizons):
                    for group, inside in groups.items():
                        found = returns.compare(rows, inside, SIDES[side], number, method)
                        if found is not None:
                            yield Finding(
                                candles.match.perp, preset, side, kind, horizon, group, **found
                            )


def _groups(candles: PairHistory) -> Iterator[tuple[str, Bools]]:
    """Return all candles, those of each year, and those of each volatility regime.

    The volatility of a candle is that of the candles before it; each regime is a third of the
    candles.
    """
    rows = len(candles.perp)
    counted = np.arange(rows) >= candles.begin
    yield ALL, counted
    years = candles.perp["date"].dt.year.to_numpy()
    for year in np.unique(years[counted]):
        yield str(year), counted & (years == year)
    change = np.diff(np.log(candles.perp["close"].to_numpy(dtype=np.float64)), prepend=np.nan)
    volatility = rolling_mean_stdev(change, VOLATILITY_CANDLES).stdev
    low, high = np.nanquantile(volatility[counted], (1 / 3, 2 / 3))
    with np.errstate(invalid="ignore"):
        thirds = (volatility <= low, (volatility > low) & (volatility <= high), volatility > high)
    for name, third in zip(REGIMES, thirds, strict=True):
        yield name, counted & third


class _Returns:
    """The forward returns of one pair, for comparing any set of events."""

    def __init__(self, candles: PairHistory, forward: ForwardReturns) -> None:
        self._forward = forward
        close = candles.perp["close"].to_numpy(dtype=np.float64)
        self._premium_move = np.full_like(forward.move, np.nan)
        with np.errstate(invalid="ignore"):
            level = np.log1p(candles.premium)
        for row, horizon in enumerate(forward.horizons):
            if horizon < close.size:
                self._premium_move[row, :-horizon] = level[horizon:] - level[:-horizon]

    def compare(
        self, rows: NDArray[np.int64], inside: Bools, side: int, number: int, method: Method
    ) -> dict[str, Any] | None:
        """Return the figures of a finding; None if events or candles are too few."""
        gross = side * self._forward.move[number]
        net = self._forward.of_side(side, method.cost)[number]
        known = np.isfinite(gross) & inside
        rows = rows[known[rows]]
        if rows.size < MIN_EVENTS or not method.is_enough(int(np.count_nonzero(known))):
            return None
        drift = float(gross[known].mean())
        interval = Bootstrap(
            known,
            rows,
            method.horizons[number],
            block=method.block,
            draws=method.draws,
            seed=method.seed,
        )
        if interval.event_blocks < MIN_EVENT_BLOCKS:
            return None
        excess = interval.of(gross, against_drift=True)
        after = interval.of(net, against_drift=False)
        parts = side * self._premium_move[number, rows]
        parts = parts[np.isfinite(parts)]
        return {
            "events": int(rows.size),
            "gross": float(gross[rows].mean()) * _BPS,
            "drift": drift * _BPS,
            "excess": (float(gross[rows].mean()) - drift) * _BPS,
            **{"excess_low": excess[0] * _BPS, "excess_high": excess[1] * _BPS},
            "net": float(net[rows].mean()) * _BPS,
            **{"net_low": after[0] * _BPS, "net_high": after[1] * _BPS},
            "premium_part": float(parts.mean()) * _BPS if parts.size else float("nan"),
        }


def as_rows(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Return findings as plain rows; figures are rounded to 0.1 bps."""
    rows = []
    for finding in findings:
        values = asdict(finding) | {"has_edge": finding.has_edge}
        rows.append(
            {
                key: (round(value, 1) if np.isfinite(value) else None)
                if isinstance(value, float)
                else value
                for key, value in values.items()
            }
        )
    return rows


def verdict(findings: Sequence[Finding]) -> str:
    """Return a sentence that sums up the findings over all candles."""
    overall = [finding for finding in findings if finding.group == ALL]
    if not overall:
        return (
            f"too few trades for a conclusion: no event happened {MIN_EVENTS} times, in "
            f"{MIN_EVENT_BLOCKS} blocks of candles"
        )
    edges = [finding.kind for finding in overall if finding.has_edge]
    informative = sum(finding.excess_low > 0 for finding in overall)
    contrary = sum(finding.excess_high < 0 for finding in overall)
    moves, paid = (
        sum(
            q is not None
            and q <= RATE
            and finding.excess > 0
            and (of == "excess" or finding.net > 0)
            for finding, q in zip(overall, _q_values(overall, of), strict=True)
        )
        for of in ("excess", "edge")
    )
    return (
        f"of {len(overall)} combinations of pair, preset, side, event and horizon, {informative} "
        "were followed by a move in their favour beyond the drift, "
        f"{contrary} by one against them, and {len(edges)} earned more than fees and funding and "
        f"beat the drift, {edges.count('entry')} after entries and {edges.count('flip')} after "
        f"flips, which are not trades (each at 95 %; with the false discovery rate over all of "
        f"them held at 5 %, {moves} of the moves in their favour and {paid} of the earnings remain)"
    )


def _q_values(overall: Sequence[Finding], of: Literal["excess", "edge"]) -> list[float | None]:
    return false_discovery([getattr(finding, f"{of}_p") for finding in overall])
