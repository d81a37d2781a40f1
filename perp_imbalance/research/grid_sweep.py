"""A sweep: every combination of a grid on every pair, streamed to a file as it is found."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from perp_imbalance.files import atomic_write
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.research.cells import Cell, CellAxis, CellKey, cells_there
from perp_imbalance.research.grid import AXES, Grid
from perp_imbalance.research.pair_history import PairHistory
from perp_imbalance.research.screen import Row, Screen
from perp_imbalance.strategy.settings import Settings

# Rows that are held before they are written: what bounds the memory, however large the grid.
_ROWS_A_GROUP = 50_000

_TYPES = {float: pa.float64(), int: pa.int64(), bool: pa.bool_(), str: pa.string()}

#: The columns of the file: the pair, the thresholds, and what came of them.
SCHEMA = pa.schema(
    [
        ("pair", pa.string()),
        *((name, _TYPES[type(getattr(Thresholds(), name))]) for name in AXES),
        *((name, _TYPES[Row.__annotations__[name]]) for name in Row._fields),
    ]
)


@dataclass
class Sweep:
    """What a sweep left: the file with every row, and the cells of its heat map.

    :ivar enters: the cells of ``enter_z``.
    :ivar exits: the cells of ``exit_z``.
    :ivar min_events: events of a combination that counts in its cell.
    :ivar held_pct: what holding each pair made over the same candles.
    """

    file: Path
    enters: CellAxis
    exits: CellAxis
    min_events: int
    combinations: int = 0
    cells: dict[CellKey, Cell] = field(default_factory=dict)
    held_pct: dict[str, float] = field(default_factory=dict)

    def add(self, pair: str, thresholds: Thresholds, row: Row) -> None:
        """Count a row into its cell."""
        key = (
            *(pair, row.side, row.horizon),
            thresholds.len_prem,
            self.enters.number_of(thresholds.enter_z),
            self.exits.number_of(thresholds.exit_z),
        )
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = Cell()
        cell.add(row.events, row.mean, self.min_events)


@dataclass(frozen=True)
class Plan:
    """What to sweep over.

    :param horizons: candles to hold after an entry.
    :param cost: fees of the way in and out, as a fraction.
    :param sample: combinations to draw from the grid; None for all of it.
    :param min_events: events of a combination that counts in its cell of the heat map.
    :param has_map: whether to keep the cells of a heat map.
    """

    grid: Grid
    settings: Settings
    horizons: Sequence[int]
    cost: float
    sample: int | None = None
    seed: int = 0
    min_events: int = 1
    has_map: bool = True

    @property
    def combinations(self) -> int:
        """Combinations a pair."""
        size = self.grid.size
        return size if self.sample is None else min(self.sample, size)

    @property
    def axes(self) -> tuple[CellAxis, CellAxis]:
        """The cells of ``enter_z`` and of ``exit_z``."""
        return CellAxis(self.grid.values("enter_z")), CellAxis(self.grid.values("exit_z"))

    @property
    def cells(self) -> int:
        """Cells of the heat map a pair, at most."""
        a_surface = int(np.count_nonzero(cells_there(*self.axes)))
        drawn = min(a_surface * len(self.grid.values("len_prem")), self.combinations)
        return drawn * len(self.settings.sides) * len(self.horizons)


def run_sweep(
    plan: Plan, pairs: Iterable[PairHistory], file: Path, tell: Callable[[str], None]
) -> Sweep:
    """Screen every combination on every pair and write a parquet file.

    The file appears when it is whole; an interrupt leaves nothing.

    :param tell: told the pair before each combination, to show progress.
    """
    sweep = Sweep(file, *plan.axes, plan.min_events)
    with atomic_write(file) as part, pq.ParquetWriter(part, SCHEMA, compression="zstd") as writer:
        for group in _in_groups(_rows(plan, pairs, sweep, tell)):
            columns = [list(column) for column in zip(*group, strict=True)]
            writer.write_table(pa.table(columns, schema=SCHEMA))
    return sweep


def _rows(
    plan: Plan, pairs: Iterable[PairHistory], sweep: Sweep, tell: Callable[[str], None]
) -> Iterator[tuple[object, ...]]:
    for candles in pairs:
        pair = candles.match.perp
        closes = candles.perp["close"].iloc[candles.begin :]
        sweep.held_pct[pair] = float(closes.iloc[-1] / closes.iloc[0] - 1.0) * 100.0
        screen = Screen(candles, plan.settings, plan.horizons, plan.cost)
        for thresholds in plan.grid.combinations(plan.sample, plan.seed):
            tell(pair)
            sweep.combinations += 1
            values = tuple(getattr(thresholds, name) for name in AXES)
            for row in screen.rows_of(thresholds):
                if plan.has_map:
                    sweep.add(pair, thresholds, row)
                yield (pair, *values, *row)


def _in_groups(rows: Iterator[tuple[object, ...]]) -> Iterator[list[tuple[object, ...]]]:
    group: list[tuple[object, ...]] = []
    for row in rows:
        group.append(row)
        if len(group) >= _ROWS_A_GROUP:
            yield group
            group = []
    if group:
        yield group
