"""A sweep: trade every combination of a grid on every pair, and stream the results to a file."""

import math
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import groupby, tee
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from perp_imbalance.errors import CommandError
from perp_imbalance.files import atomic_write
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.research.grid import Grid
from perp_imbalance.research.grid_names import AXES
from perp_imbalance.research.held_entries import HeldEntries
from perp_imbalance.research.luck import Luck
from perp_imbalance.research.pair_history import PairHistory
from perp_imbalance.research.threshold_trades import ThresholdTrades
from perp_imbalance.research.trade_figures import Calendar, Figures, Ints, figures_of, span_of
from perp_imbalance.research.walk_forward.run import RETRIES, Cluster
from perp_imbalance.research.walk_forward.task import code_versions
from perp_imbalance.simulation import Rules, Trades
from perp_imbalance.strategy.settings import Settings

#: What all pairs together are called where a pair's name stands.
ALL = "all"

#: Combinations of one pair that are computed and written at a time: what bounds the memory. Of
#: several pairs fewer, so that a worker is soon done with what nobody waits for any more.
PART = 5_000

#: The best combinations of each selection that are kept.
KEPT = 1_000

_TYPES = {float: pa.float64(), int: pa.int64(), bool: pa.bool_(), str: pa.string()}

#: The columns of the file: what was traded, the thresholds, and what came of them.
SCHEMA = pa.schema(
    [
        ("pair", pa.string()),
        ("horizon", pa.int64()),
        *((name, _TYPES[type(getattr(Thresholds(), name))]) for name in AXES),
        *((name, _TYPES[Figures.__annotations__[name]]) for name in Figures._fields),
    ]
)


class Selection(NamedTuple):
    """The pairs and the exit rule on which combinations are tried.

    :ivar pair: name of a pair, or :data:`ALL` for all pairs with one wallet.
    :ivar horizon: candles for which entries are held; None for the strategy's own exits.
    """

    pair: str
    horizon: int | None = None


class Source(Protocol):
    """An object that computes the trades of thresholds."""

    times: list[Ints]

    def trades(self, thresholds: Thresholds) -> Trades:
        """Return the trades of thresholds."""

    def each(self, combinations: Iterable[Thresholds]) -> Iterator[Trades]:
        """Yield the trades of many thresholds."""


@dataclass(frozen=True, eq=False)
class Plan:
    """The inputs of a sweep, as plain data that can be sent to workers.

    :param histories: the pairs, as ``PairHistories.traded`` reads them.
    :param rules: trading rules of a backtest.
    :param horizons: candles for which entries are held; empty for the strategy's own exits.
    :param sample: number of combinations to draw from the grid; None for all.
    :param rank_by: one of ``grid_names.RANKS``.
    :param min_trades: fewest trades of a ranked combination.
    """

    grid: Grid
    histories: Sequence[PairHistory]
    settings: Settings
    rules: Rules
    horizons: Sequence[int] = ()
    sample: int | None = None
    seed: int = 0
    rank_by: str = "t"
    min_trades: int = 30

    @property
    def combinations(self) -> int:
        """The combinations of the grid that are tried."""
        size = self.grid.size
        return size if self.sample is None else min(self.sample, size)

    @property
    def pairs(self) -> list[str]:
        """The names of the pairs."""
        return [history.match.perp for history in self.histories]

    @property
    def selections(self) -> list[Selection]:
        """For each horizon: all pairs together if there are several, then each pair alone."""
        pairs = [ALL, *self.pairs] if len(self.pairs) > 1 else self.pairs
        return [Selection(pair, horizon) for horizon in self.horizons or (None,) for pair in pairs]

    def parts(self) -> Iterator[tuple[Selection, slice]]:
        """Yield the parts of the sweep in order."""
        size = max(1, PART // max(1, len(self.histories)))
        for selection in self.selections:
            for begin in range(0, self.combinations, size):
                yield selection, slice(begin, begin + size)

    def source(self, selection: Selection) -> Source:
        """Return the object that computes trades on a selection."""
        histories = [
            history for history in self.histories if selection.pair in (ALL, history.match.perp)
        ]
        if selection.horizon is None:
            return ThresholdTrades(histories, self.settings, self.rules)
        return HeldEntries(histories, self.settings, selection.horizon, 2 * self.rules.fee)

    def wallet(self, selection: Selection) -> float | None:
        """Return the wallet that the trades of a selection share; None if they share none."""
        return self.rules.wallet if selection.horizon is None else None

    def span(self) -> tuple[int, int]:
        """Return the first week of all pairs' candles and the number of weeks."""
        opened = [history.perp["date"].iloc[history.begin :] for history in self.histories]
        return span_of([dates.dt.as_unit("ns").astype("int64").to_numpy() for dates in opened])


class Candidate(NamedTuple):
    """A ranked combination; a higher value is better."""

    rank: float
    thresholds: Thresholds
    figures: Figures


@dataclass
class Sweep:
    """The result of a sweep: the file with all rows, the best of each selection, and luck.

    :ivar held_pct: profit of buy and hold of each pair over the same candles, in percent.
    """

    plan: Plan
    file: Path
    luck: Luck
    tried: int = 0
    best: dict[Selection, list[Candidate]] = field(default_factory=dict)
    held_pct: dict[str, float] = field(default_factory=dict)

    def add(self, selection: Selection, rows: pa.Table) -> None:
        """Keep the best rows, each set of trades once."""
        self.tried += rows.num_rows
        columns = {name: rows[name].to_numpy() for name in Figures._fields}
        rank = columns[self.plan.rank_by].astype(np.float64)
        if self.plan.rank_by == "drawdown_pct":
            rank = -rank
        earns = (columns["net_bps"] > 0) & ~(columns["profit_pct"] <= 0) & np.isfinite(columns["t"])
        ranked = np.flatnonzero(earns & (columns["trades"] >= self.plan.min_trades))
        # Equal ones as the grid has them, however the rows came in parts.
        ranked = ranked[np.argsort(-rank[ranked], kind="stable")][:KEPT]
        found = [
            Candidate(
                float(rank[row]),
                replace(self.plan.grid.base, **{name: rows[name][row].as_py() for name in AXES}),
                Figures(*(columns[name][row].item() for name in Figures._fields)),
            )
            for row in ranked.tolist()
        ]
        together = [*self.best.get(selection, []), *found]
        once: dict[Any, Candidate] = {}
        for candidate in sorted(together, key=lambda one: -one.rank):
            # Written differently, or of a gate that changes nothing: the same trades.
            once.setdefault(tuple(round(value, 9) for value in candidate.figures), candidate)
        self.best[selection] = list(once.values())[:KEPT]


class _Done(NamedTuple):
    """A computed part: its rows, the highest t of each draw, and the number of combinations."""

    rows: pa.Table
    drawn: Floats
    tried: int


def run_sweep(
    plan: Plan,
    file: Path,
    tell: Callable[[str, int, int], None],
    cluster: Cluster | None = None,
) -> Sweep:
    """Trade every combination on every selection and write a parquet file.

    The file is written atomically; an interrupt leaves none.

    :param tell: called with the current selection, the number of done and of all combinations.
    :param cluster: the cluster to compute on; None for this process.
    :raises CommandError: if the cluster's code differs from this machine's, or its workers die.
    """
    _, weeks = plan.span()
    sweep = Sweep(plan, file, Luck(weeks, seed=plan.seed))
    for history in plan.histories:
        closes = history.perp["close"].iloc[history.begin :]
        made = float(closes.iloc[-1] / closes.iloc[0] - 1.0) * 100.0
        sweep.held_pct[history.match.perp] = made
    total = plan.combinations * len(plan.selections)
    parts = _here(plan, tell, total) if cluster is None else _there(plan, cluster, tell, total)
    with (
        atomic_write(file) as part,
        pq.ParquetWriter(part, SCHEMA, compression="zstd") as writer,
        closing(parts) as found,
    ):
        for selection, done in found:
            writer.write_table(done.rows)
            sweep.add(selection, done.rows)
            sweep.luck.join(done.drawn, done.tried)
    return sweep


def _here(
    plan: Plan, tell: Callable[[str, int, int], None], total: int
) -> Generator[tuple[Selection, _Done], None, None]:
    """Compute all parts in this process."""
    done = 0
    for selection, parts in groupby(plan.parts(), key=itemgetter(0)):
        source = plan.source(selection)
        for _, part in parts:

            def told(of_part: int, before: int = done, name: str = selection.pair) -> None:
                tell(name, before + of_part, total)

            found = compute(plan, source, selection, part, told)
            done += found.rows.num_rows
            yield selection, found


def compute(
    plan: Plan,
    source: Source,
    selection: Selection,
    part: slice,
    tell: Callable[[int], None] = lambda _: None,
) -> _Done:
    """Trade a part of the combinations on one selection.

    :param tell: called at intervals with the number of done combinations.
    """
    first, weeks = plan.span()
    calendar, wallet = Calendar(source.times, first, weeks), plan.wallet(selection)
    luck = Luck(weeks, seed=plan.seed)
    tried, given = tee(plan.grid.combinations(plan.sample, plan.seed, part))
    rows: list[tuple[Any, ...]] = []
    for thresholds, trades in zip(tried, source.each(given), strict=True):
        if len(rows) % _TOLD == 0:
            tell(len(rows))
        weekly = calendar.weekly(trades)
        figures = figures_of(trades, weekly, calendar, wallet)
        if figures.trades >= plan.min_trades and math.isfinite(figures.t):
            luck.add(weekly)
        rows.append((*selection, *(getattr(thresholds, name) for name in AXES), *figures))
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in SCHEMA]
    best = luck.result()
    return _Done(pa.table(columns, schema=SCHEMA), best.drawn, best.tried)


_TOLD = 100


def compute_there(plan: Plan, selection: Selection, part: slice, code: dict[str, str]) -> _Done:
    """Call :func:`compute` on a worker.

    :param code: :func:`code_versions` of the machine that started the sweep.
    :raises CommandError: if the code on this worker differs.
    """
    here = code_versions()
    if other := [name for name, version in code.items() if here.get(name) != version]:
        raise CommandError(
            f"a worker has different code from this machine ({', '.join(other)}): bring both to "
            "the same version"
        )
    return compute(plan, plan.source(selection), selection, part)


def _there(
    plan: Plan, cluster: Cluster, tell: Callable[[str, int, int], None], total: int
) -> Generator[tuple[Selection, _Done], None, None]:
    """Compute all parts on a cluster, and yield them in order."""
    from perp_imbalance.research.walk_forward.worker import hold, stopped_at_exit

    run, code, done = f"sweep-{uuid.uuid4().hex[:12]}", code_versions(), 0
    futures: list[Any] = []
    waiting: deque[tuple[Selection, Any]] = deque()

    def first() -> tuple[Selection, _Done]:
        selection, future = waiting.popleft()
        tell(selection.pair, done, total)
        found = _result(future)
        futures.remove(future)
        return selection, found

    with cluster.client() as client, stopped_at_exit(client, run, futures):
        # Candles are large, and sent once.
        shared = client.submit(hold, plan, key=f"{run}-plan", retries=RETRIES)
        futures.append(shared)
        for number, (selection, part) in enumerate(plan.parts()):
            key = f"{run}-{number}"
            future = client.submit(
                *(compute_there, shared, selection, part, code), key=key, retries=RETRIES
            )
            futures.append(future)
            waiting.append((selection, future))
            # As many as keep the workers busy: results must not pile up.
            if len(waiting) > 2 * _threads(client):
                found = first()
                done += found[1].rows.num_rows
                yield found
        while waiting:
            found = first()
            done += found[1].rows.num_rows
            yield found


def _threads(client: Any) -> int:
    return max(1, int(sum(client.nthreads().values())))


def _result(future: Any) -> _Done:
    """Return the result of a worker.

    :raises CommandError: one line, if the worker failed.
    """
    from distributed import KilledWorker

    try:
        found: _Done = future.result()
    except KilledWorker:
        raise CommandError(
            "a part of the sweep was lost with its workers repeatedly: give them more memory, "
            "or sweep without --scheduler"
        ) from None
    return found
