"""A plateau of a sweep told from a lucky cell: by what stands around it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perp_imbalance.indicators.rolling import Bools
from perp_imbalance.research.cells import CELL, Cell, Span, cells_there

if TYPE_CHECKING:
    from perp_imbalance.research.grid_sweep import Sweep

#: Pair, side, horizon and len_prem: what a surface of enter_z × exit_z belongs to.
Selection = tuple[str, str, int, int]

#: Neighbours with enough events that a cell needs: one alone may be as lucky as the cell.
MIN_NEIGHBOURS = 2

#: What makes a plateau, in words, for help and page.
RULE = (
    f"A cell is an enter_z and an exit_z of the grid; of a grid finer than {CELL:g}, all that lie "
    f"within {CELL:g} of each other, so that its neighbours have not the very same events. Its "
    "mean is that of its combinations with enough events (--min-events). A cell is ranked by the "
    "worst of itself and its neighbours: the up to eight cells around it. It is ranked only if at "
    "least two of them, and at least half of those that the grid has, have enough events as well; "
    "the worst is of those with few events too; cells that a --sample has not drawn have none. So "
    "the two ends of a single row, and cells beside nothing, are no plateaus, however much they "
    "earned."
)


@dataclass(frozen=True)
class Surface:
    """The cells of one selection, a row an ``enter_z`` and a column an ``exit_z``.

    :ivar means: mean net returns, NaN where events are too few.
    :ivar worst: the worst of each cell and its neighbours, NaN where the cell is not ranked.
    :ivar neighbours: how many cells the grid has around each.
    :ivar with_events: how many of these have enough events.
    """

    enters: list[Span]
    exits: list[Span]
    means: NDArray[np.float64]
    worst: NDArray[np.float64]
    neighbours: NDArray[np.int64]
    with_events: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Plateau:
    """A cell that is ranked.

    :ivar worst: of its mean and those of its neighbours.
    :ivar with_events: neighbours with enough events, of all ``neighbours`` that the grid has.
    """

    selection: Selection
    enter_z: Span
    exit_z: Span
    cell: Cell
    worst: float
    with_events: int
    neighbours: int


def surfaces(sweep: "Sweep") -> Iterator[tuple[Selection, Surface]]:
    """Yield the surface of every pair, side, horizon and len_prem on which anything happened."""
    selections: dict[Selection, dict[tuple[int, int], Cell]] = {}
    for (pair, side, horizon, length, enter, leave), cell in sweep.cells.items():
        selections.setdefault((pair, side, horizon, length), {})[enter, leave] = cell
    for selection in sorted(selections):
        yield selection, _surface(sweep, selections[selection])


def _surface(sweep: "Sweep", cells: dict[tuple[int, int], Cell]) -> Surface:
    enters, exits = sweep.enters.spans, sweep.exits.spans
    means = np.full((len(enters), len(exits)), np.nan)
    enough = np.zeros(means.shape, np.bool_)
    for at, cell in cells.items():
        means[at], enough[at] = cell.mean_at_least, cell.has_enough
    in_grid = cells_there(sweep.enters, sweep.exits)
    worst, with_events, neighbours = rank(means, enough, in_grid)
    return Surface(enters, exits, np.where(enough, means, np.nan), worst, neighbours, with_events)


def rank(
    means: NDArray[np.float64], enough: Bools, in_grid: Bools
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the worst around each cell, its neighbours with enough events, and all it has.

    The first is NaN where a cell is not ranked: see :data:`RULE`.

    :param means: NaN where there was no event at all.
    :param enough: where events are enough.
    :param in_grid: where the grid has a cell.

    >>> rank(np.array([[3.0, 1.0, 2.0]]), np.ones((1, 3), bool), np.ones((1, 3), bool))[0]
    array([[nan,  1., nan]])
    """
    with_events = _around(enough.astype(np.int64), 0).sum(axis=(2, 3)) - enough
    neighbours = _around(in_grid.astype(np.int64), 0).sum(axis=(2, 3)) - in_grid
    ranked = enough & (with_events >= MIN_NEIGHBOURS) & (2 * with_events >= neighbours)
    lowest = _around(np.where(np.isnan(means), np.inf, means), np.inf).min(axis=(2, 3))
    return np.where(ranked, lowest, np.nan), with_events, neighbours


def _around(values: NDArray[np.generic], beyond: float) -> NDArray[np.generic]:
    """Return each value's window of three by three."""
    padded = np.pad(values, 1, constant_values=beyond)
    return np.lib.stride_tricks.sliding_window_view(padded, (3, 3))


def plateaus(sweep: "Sweep") -> list[Plateau]:
    """Return the cells that are ranked, the best first, each set of events once.

    Next to each other, cells often have the very same entries: only the best of them is returned.
    """
    found = []
    for selection, surface in surfaces(sweep):
        for row, column in np.argwhere(np.isfinite(surface.worst)):
            found.append(
                Plateau(
                    selection,
                    surface.enters[row],
                    surface.exits[column],
                    sweep.cells[(*selection, int(row), int(column))],
                    float(surface.worst[row, column]),
                    int(surface.with_events[row, column]),
                    int(surface.neighbours[row, column]),
                )
            )
    found.sort(key=lambda one: (one.worst, one.with_events), reverse=True)
    once: dict[tuple[object, ...], Plateau] = {}
    for one in found:
        # Rounded: means of the same events differ by the order in which they were summed up. Of a
        # fine grid, cells of the same events may hold more or fewer values.
        events = one.cell.events / one.cell.combinations
        same = round(events, 6), round(one.cell.mean, 12)
        once.setdefault((*one.selection[:3], *same), one)
    return list(once.values())
