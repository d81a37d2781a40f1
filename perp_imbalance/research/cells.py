"""The cells of a heat map: combinations of about the same enter_z and exit_z."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import floor
from typing import NamedTuple

import numpy as np

from perp_imbalance.indicators.rolling import Bools

#: A cell's width in z, at least: nearer than that, thresholds have much the same events, and a cell
#: between such neighbours stands for nothing but itself.
CELL = 0.1

#: A heat map of more cells is not kept: with its page they would take above 200 MB.
MAX_CELLS = 150_000

# What floats of one decimal are off by, and more.
_SLACK = 1e-6

#: Pair, side, horizon, len_prem and the numbers of the cells of enter_z and exit_z.
CellKey = tuple[str, str, int, int, int, int]


class Span(NamedTuple):
    """The values of a threshold that one cell holds, of those in the grid: the first and the last.

    >>> str(Span(1.2, 1.2)), str(Span(1.2, 1.28))
    ('1.2', '1.2 to 1.28')
    """

    low: float
    high: float

    def __str__(self) -> str:
        """Return it in words: a single value as it is."""
        return f"{self.low:g}" if self.low == self.high else f"{self.low:g} to {self.high:g}"


class CellAxis:
    """A threshold's values in a grid, collected into cells.

    Values that are all at least :data:`CELL` apart are a cell each; of others, each cell has those
    between two multiples of it; what hangs over at an end by less than half of it belongs to the
    cell beside it.

    >>> [str(span) for span in CellAxis([1.2, 1.3, 1.5]).spans]
    ['1.2', '1.3', '1.5']
    >>> [str(span) for span in CellAxis([1.2, 1.25, 1.3, 1.35, 1.5]).spans]
    ['1.2 to 1.25', '1.3 to 1.35', '1.5']

    :param values: each once.
    :ivar spans: what each cell holds, rising.
    """

    def __init__(self, values: Sequence[float]) -> None:
        held: dict[float, list[float]] = {}
        rising = sorted(values)
        apart = all(after - before > CELL - _SLACK for before, after in pairwise(rising))
        for value in rising:
            held.setdefault(value if apart else floor(value / CELL + _SLACK), []).append(value)
        cells = list(held.values())
        little = CELL / 2 - _SLACK
        if len(cells) > 1 and cells[-1][-1] - cells[-2][-1] < little:
            cells[-2:] = [cells[-2] + cells[-1]]
        if len(cells) > 1 and cells[1][0] - cells[0][0] < little:
            cells[:2] = [cells[0] + cells[1]]
        self.spans = [Span(together[0], together[-1]) for together in cells]
        self._number = {
            value: number for number, together in enumerate(cells) for value in together
        }

    def number_of(self, value: float) -> int:
        """Return the number of the cell that holds a value of the grid."""
        return self._number[value]


def cells_there(enters: CellAxis, exits: CellAxis) -> Bools:
    """Return which cells the grid has: in a row for each ``enter_z``, those with any below it."""
    highest = np.array([span.high for span in enters.spans])
    lowest = np.array([span.low for span in exits.spans])
    there: Bools = highest[:, None] > lowest
    return there


@dataclass(slots=True)
class Cell:
    """What the combinations of one cell earned together.

    :ivar combinations: those with enough events; so are ``events`` and ``mean_sum``.
    :ivar few: combinations with some events, but not enough; so is ``few_sum``.
    """

    combinations: int = 0
    events: int = 0
    mean_sum: float = 0.0
    few: int = 0
    few_sum: float = 0.0

    def add(self, events: int, mean: float, min_events: int) -> None:
        """Count what a combination earned."""
        if events >= min_events:
            self.combinations += 1
            self.events += events
            self.mean_sum += mean
        elif events:
            self.few += 1
            self.few_sum += mean

    @property
    def has_enough(self) -> bool:
        """Tell whether any combination had enough events: a mean of few says nothing."""
        return self.combinations > 0

    @property
    def mean(self) -> float:
        """The mean over the combinations with enough events, NaN where none had."""
        return self.mean_sum / self.combinations if self.combinations else float("nan")

    @property
    def mean_at_least(self) -> float:
        """The same, of combinations with few events where there are no others."""
        if self.combinations or not self.few:
            return self.mean
        return self.few_sum / self.few
