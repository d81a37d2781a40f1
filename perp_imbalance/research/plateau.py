"""Choose the rows that a sweep recommends, by their neighbours' other trades and by luck."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perp_imbalance.indicators.rolling import Bools
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.research.grid import Z_STEP
from perp_imbalance.research.grid_sweep import ALL, Candidate, Plan, Selection, Source, Sweep
from perp_imbalance.research.luck import Best
from perp_imbalance.research.trade_figures import Calendar, Figures, figures_of
from perp_imbalance.simulation import Trades

#: Trades that neighbours must have apart from a line's own, to judge it by them.
MIN_OTHERS = 20

#: A combination that shares as much of its trades with a better line is not listed beside it.
SAME = 0.8

#: Lines of all pairs together, or of the only one; and of each pair alone beside those.
SHOWN, SHOWN_ALONE = 10, 1

#: What makes a plateau, in words, for help and page.
RULE = (
    "A line is a combination that earned more than it cost. Its neighbours lie one step of the "
    f"grid away along one threshold (in z at least {Z_STEP:g}). Most of their trades are the "
    "line's own: those that share a candle with one of its trades in the same pair. What tells a "
    f"plateau from a lucky line are the others, if there are at least {MIN_OTHERS}: on a plateau "
    "they earn as well, and so does at least half of the neighbours. Lines on a plateau come "
    "first, then those for which this is unknown. A combination that shares "
    f"{SAME:.0%} of its trades with a better line is not listed."
)


class Around(NamedTuple):
    """Results of the neighbours of a combination in the grid.

    :ivar neighbours: number of neighbours.
    :ivar earning: number of neighbours with a profit after costs.
    :ivar shared: fraction of their trades that the combination has too; NaN without trades.
    :ivar others: number of their other trades, without duplicates.
    :ivar others_bps: mean net profit of the other trades; NaN if there are none.
    """

    neighbours: int
    earning: int
    shared: float
    others: int
    others_bps: float

    @property
    def is_plateau(self) -> bool | None:
        """Whether the other trades and half of the neighbours have a profit; None if unknown."""
        if self.others < MIN_OTHERS:
            return None
        return self.others_bps > 0 and 2 * self.earning >= self.neighbours


class Line(NamedTuple):
    """A combination that a sweep recommends.

    :ivar p: probability that the best of as many combinations without skill reaches this t.
    :ivar traded: results of the strategy's own trades, if entries were held for a fixed horizon.
    """

    selection: Selection
    thresholds: Thresholds
    figures: Figures
    p: float
    around: Around
    traded: Figures | None = None


class Lines(NamedTuple):
    """The recommendations of a sweep.

    :ivar losing: with fixed horizons, the number of combinations left out because the strategy's
        own trades lose money.
    """

    lines: list[Line]
    losing: int


class _Ledger:
    """Trades as intervals of rows, with pairs concatenated."""

    def __init__(self, trades: Trades, begins: NDArray[np.int64]) -> None:
        at = begins[trades["pair"]]
        self.entries = at + trades["entry_row"]
        # One that ends on the candle of its entry has that one.
        self.exits = np.maximum(at + trades["exit_row"], self.entries + 1)
        self.net = trades["profit_ratio"]
        order = np.argsort(self.entries, kind="stable")
        self._entries = self.entries[order]
        # Held for a fixed time they may overlap: the latest exit so far.
        self._exits = np.maximum.accumulate(self.exits[order])

    def shares(self, other: "_Ledger") -> Bools:
        """Return which of other trades share a candle with one of these."""
        before = self._entries.searchsorted(other.exits, side="left") - 1
        found: Bools = before >= 0
        found[found] = self._exits[before[found]] > other.entries[found]
        return found


def around(source: Source, own: Trades, neighbours: Sequence[Thresholds]) -> Around:
    """Return the results of a combination's neighbours on trades that it does not have.

    :param own: trades of the combination.
    """
    begins = np.cumsum([0, *(times.size for times in source.times)])[:-1]
    line = _Ledger(own, begins)
    earning = trades = shared = 0
    others: dict[int, float] = {}
    for made in source.each(neighbours):
        its = _Ledger(made, begins)
        is_own = line.shares(its)
        earning += bool(its.net.size and its.net.mean() > 0)
        trades += its.net.size
        shared += int(np.count_nonzero(is_own))
        for entry, net in zip(
            its.entries[~is_own].tolist(), its.net[~is_own].tolist(), strict=True
        ):
            others.setdefault(entry, net)
    return Around(
        len(neighbours),
        earning,
        shared / trades if trades else math.nan,
        len(others),
        float(np.mean(list(others.values()))) * 1e4 if others else math.nan,
    )


def lines_of(sweep: Sweep, tell: Callable[[str], None] = lambda _: None) -> Lines:
    """Return the recommendations of a sweep: for all pairs together, then for each pair alone.

    :param tell: called with the current selection.
    """
    plan, best = sweep.plan, sweep.luck.result()
    found: list[Line] = []
    losing = 0
    sources: dict[str, Source] = {}
    for selection in plan.selections:
        tell(selection.pair)
        is_main = selection.pair == ALL or len(plan.pairs) == 1
        source = plan.source(selection)
        strategy = sources.get(selection.pair)
        if strategy is None and selection.horizon is not None:
            strategy = sources[selection.pair] = plan.source(Selection(selection.pair))
        chosen = _chosen(plan, selection, sweep.best.get(selection, []), source, best, strategy)
        kept = []
        for line in chosen:
            if line is None:
                losing += 1
                continue
            kept.append(line)
            if len(kept) == (SHOWN if is_main else SHOWN_ALONE):
                break
        order = {True: 0, None: 1, False: 2}
        # Stable: within each kind as they are ranked.
        found += sorted(kept, key=lambda line: order[line.around.is_plateau])
    return Lines(found, losing)


def _chosen(
    plan: Plan,
    selection: Selection,
    candidates: Sequence[Candidate],
    source: Source,
    best: Best,
    strategy: Source | None,
) -> Iterator[Line | None]:
    """Yield rows by rank; None for a combination with which the strategy loses money.

    :param strategy: source of the strategy's own trades, if ``source`` holds for fixed horizons.
    """
    calendar = Calendar(source.times, *plan.span())
    ledgers: list[_Ledger] = []
    for candidate in candidates:
        own = source.trades(candidate.thresholds)
        ledger = _Ledger(own, calendar.begins)
        if any(float(one.shares(ledger).mean()) >= SAME for one in ledgers):
            continue
        traded = None
        if strategy is not None:
            trades = strategy.trades(candidate.thresholds)
            weekly = calendar.weekly(trades)
            traded = figures_of(trades, weekly, calendar, plan.rules.wallet)
            if not traded.net_bps > 0 or not traded.profit_pct > 0:
                yield None
                continue
        ledgers.append(ledger)
        near = around(source, own, plan.grid.neighbours(candidate.thresholds))
        figures = candidate.figures
        yield Line(selection, candidate.thresholds, figures, best.p(figures.t), near, traded)


def as_row(line: Line) -> dict[str, Any]:
    """Return the figures as plain values; None for undefined ones.

    >>> from perp_imbalance.research.grid_sweep import Selection
    >>> figures = Figures(9, 3, 5.04, math.nan, 1.0, math.nan, 2.0, math.inf, 0.5)
    >>> near = Around(2, 1, 0.5, 30, 4.0)
    >>> line = Line(Selection("BTC/USDT:USDT"), Thresholds(), figures, 0.5, near)
    >>> [as_row(line)[name] for name in ("net_bps", "t", "profit_factor", "is_plateau")]
    [5.0, None, None, True]
    """
    row: dict[str, Any] = {"pair": line.selection.pair, "horizon": line.selection.horizon}
    row |= _plain(line.figures._asdict())
    row |= {"p": round(line.p, 3), **_plain(line.around._asdict())}
    row["is_plateau"] = line.around.is_plateau
    if line.traded is not None:
        row["as_traded"] = _plain(line.traded._asdict())
    return row


_PLACES = {"net_bps": 1, "others_bps": 1, "shared": 3, "won": 3}


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        if isinstance(value, int)
        else (round(value, _PLACES.get(name, 2)) if math.isfinite(value) else None)
        for name, value in values.items()
    }
