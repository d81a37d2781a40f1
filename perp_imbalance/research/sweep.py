"""A sweep: every combination of a grid on every pair, streamed to a file as it is found."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from perp_imbalance.files import appearing
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.research.grid import AXES, Grid
from perp_imbalance.research.market import PairCandles
from perp_imbalance.research.screen import Row, Screen
from perp_imbalance.settings import Settings

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

#: Pair, side, horizon, len_prem, enter_z, exit_z: a cell of a heat map.
CellKey = tuple[str, str, int, int, float, float]


@dataclass
class Cell:
    """What the combinations of one cell earned together."""

    combinations: int = 0
    events: int = 0
    mean_sum: float = 0.0

    @property
    def mean(self) -> float:
        """The mean over the combinations that had events, NaN where none had."""
        return self.mean_sum / self.combinations if self.combinations else float("nan")

    def has_enough(self, events: int) -> bool:
        """Tell whether the combinations had so many events each: a mean of few says nothing."""
        return self.combinations > 0 and self.events >= events * self.combinations


@dataclass
class Sweep:
    """What a sweep left: the file with every row, and the cells of its heat map.

    :ivar enters: every ``enter_z`` of the grid, rising.
    :ivar exits: every ``exit_z`` of it.
    :ivar held_pct: what holding each pair made over the same candles.
    """

    file: Path
    enters: Sequence[float]
    exits: Sequence[float]
    combinations: int = 0
    cells: dict[CellKey, Cell] = field(default_factory=dict)
    held_pct: dict[str, float] = field(default_factory=dict)

    def add(self, pair: str, thresholds: Thresholds, row: Row) -> None:
        """Count a row into its cell."""
        key = (
            *(pair, row.side, row.horizon),
            *(thresholds.len_prem, thresholds.enter_z, thresholds.exit_z),
        )
        cell = self.cells.setdefault(key, Cell())
        if row.events:
            cell.combinations += 1
            cell.events += row.events
            cell.mean_sum += row.mean


@dataclass(frozen=True)
class Plan:
    """What to sweep over.

    :param horizons: candles to hold after an entry.
    :param cost: fees of the way in and out, as a fraction.
    :param sample: combinations to draw from the grid; None for all of it.
    """

    grid: Grid
    settings: Settings
    horizons: Sequence[int]
    cost: float
    sample: int | None = None
    seed: int = 0

    @property
    def combinations(self) -> int:
        """Combinations a pair."""
        size = len(self.grid)
        return size if self.sample is None else min(self.sample, size)


def run_sweep(
    plan: Plan, pairs: Iterable[PairCandles], file: Path, tell: Callable[[str], None]
) -> Sweep:
    """Screen every combination on every pair and write a parquet file.

    The file appears when it is whole; an interrupt leaves nothing.

    :param tell: told the pair before each combination, to show progress.
    """
    sweep = Sweep(file, plan.grid.values("enter_z"), plan.grid.values("exit_z"))
    with appearing(file) as part, pq.ParquetWriter(part, SCHEMA, compression="zstd") as writer:
        for group in _in_groups(_rows(plan, pairs, sweep, tell)):
            columns = [list(column) for column in zip(*group, strict=True)]
            writer.write_table(pa.table(columns, schema=SCHEMA))
    return sweep


def _rows(
    plan: Plan, pairs: Iterable[PairCandles], sweep: Sweep, tell: Callable[[str], None]
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
