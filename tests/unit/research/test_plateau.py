"""A plateau of a sweep is told from a lucky cell by its neighbours."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perp_imbalance.indicators import Thresholds
from perp_imbalance.research.cells import CellAxis
from perp_imbalance.research.grid import parse_values
from perp_imbalance.research.grid_sweep import Sweep
from perp_imbalance.research.plateau import plateaus, rank
from perp_imbalance.research.screen import Row

BTC = "BTC/USDT:USDT"


def ranked(means: list[list[float]], enough: list[list[int]] | None = None) -> Any:
    """Return the worst around every cell of a grid that has them all."""
    values = np.array(means)
    speaking = np.isfinite(values) if enough is None else np.array(enough, dtype=np.bool_)
    return rank(values, speaking, np.ones(values.shape, np.bool_))[0]


NAN = float("nan")


def test_lucky_cell_is_no_plateau() -> None:
    worst = ranked([[1.0, 1.0, 1.0, -2.0], [1.0, 2.0, 1.0, 9.0], [1.0, 1.0, 1.0, -2.0]])
    assert worst[1, 1] == 1.0
    assert worst[1, 3] == -2.0
    # What had no event is no neighbour, and what stands alone is no plateau.
    assert np.isnan(ranked([[9.0, NAN, NAN], [NAN, NAN, NAN], [1.0, 1.0, NAN]])[0, 0])
    assert np.isnan(ranked([[9.0]])).all()


def test_plateau_has_events_on_half_of_its_sides() -> None:
    """Of the eight cells around the middle one, three and four have events."""
    few = [[1.0, 1.0, 1.0], [NAN, 5.0, NAN], [NAN, NAN, NAN]]
    assert np.isnan(ranked(few)[1, 1])
    half = [[1.0, 1.0, 1.0], [2.0, 5.0, NAN], [NAN, NAN, NAN]]
    assert ranked(half)[1, 1] == 1.0


def test_neighbour_with_few_events_does_not_count() -> None:
    means = [[4.0, 4.0, 4.0], [4.0, 5.0, -3.0]]
    assert ranked(means, [[1, 1, 1], [1, 1, 0]])[1, 1] == -3.0
    # Itself it is not ranked; and if most are such, the cell beside them is not either.
    assert np.isnan(ranked(means, [[1, 1, 1], [1, 1, 0]])[1, 2])
    assert np.isnan(ranked(means, [[1, 0, 0], [1, 1, 0]])[1, 1])


def test_row_ends_are_no_plateau() -> None:
    np.testing.assert_array_equal(ranked([[7.0, 3.0, 2.0, 4.0]]), [[NAN, 2.0, 2.0, NAN]])
    np.testing.assert_array_equal(ranked([[7.0], [3.0]]), [[NAN], [NAN]])


def test_equal_events_are_listed_once() -> None:
    enters, exits = [0.5, 1.0, 1.5], [0.3, 0.6, 0.9]
    found = Sweep(Path("unused"), CellAxis(enters), CellAxis(exits), 30)
    for enter, leave in itertools.product(enters, exits):
        if enter > leave:
            thresholds = Thresholds(enter_z=enter, exit_z=leave)
            # Of 1.0 all exits had the same events.
            mean = 0.03 if enter == 1.0 else (enter + leave) / 100
            row = Row("long", 4, 9, 50, 50, mean, 0.5, 0.5, 1.0)
            found.add(BTC, thresholds, row)
    assert len(found.cells) == 7
    listed = plateaus(found)
    assert [one.worst for one in listed] == sorted((one.worst for one in listed), reverse=True)
    assert [one.enter_z.low for one in listed].count(1.0) == 1
    assert len(listed) == 5
    counts = {
        (one.enter_z.low, one.exit_z.low): (one.with_events, one.neighbours) for one in listed
    }
    # There is no cell where exit_z is not below enter_z.
    assert counts[0.5, 0.3] == (2, 2)
    assert counts[1.5, 0.3] == (3, 3)


@pytest.mark.parametrize("step", [0.1, 0.05, 0.01])
def test_neighbours_are_elsewhere_however_fine_the_grid(step: float) -> None:
    """What lies within 0.1 has much the same events, and is one cell."""
    enters = parse_values(f"1.5:{2 - step}:{step}", float)
    exits = parse_values(f"0.3:{0.6 - step}:{step}", float)
    found = Sweep(Path("unused"), CellAxis(enters), CellAxis(exits), 30)
    for enter, leave in itertools.product(enters, exits):
        # Only what is entered between 1.7 and 1.8 earns.
        lucky = 1.7 <= enter < 1.8
        row = Row("long", 4, 9, 50, 50 + lucky, 0.01 if lucky else -0.01, 0.5, 0.5, 1.0)
        found.add(BTC, Thresholds(enter_z=enter, exit_z=leave), row)
    assert len(found.cells) == 5 * 3
    assert {str(span.low) for span in found.enters.spans} == {"1.5", "1.6", "1.7", "1.8", "1.9"}
    # All that earned had the same events, of which one is listed; so had all that did not.
    best, worst = sorted(plateaus(found), key=lambda one: -one.cell.mean)
    assert (best.enter_z.low, round(best.enter_z.high + step, 2)) == (1.7, 1.8)
    assert best.worst == worst.worst == pytest.approx(-0.01)


def test_cells_of_equal_events_are_listed_once() -> None:
    found = Sweep(Path("unused"), CellAxis([2.0, 2.2, 2.4, 2.6]), CellAxis([0.3]), 30)
    for enter, combinations in ((2.0, 1), (2.2, 3), (2.4, 7), (2.6, 1)):
        for _ in range(combinations):
            row = Row("long", 4, 9, 50, 50, 0.1, 0.5, 0.5, 1.0)
            found.add(BTC, Thresholds(enter_z=enter, exit_z=0.3), row)
            found.add(BTC, Thresholds(enter_z=enter, exit_z=0.3, len_prem=60), row)
    assert [one.enter_z.low for one in plateaus(found)] == [2.2]


def test_values_that_are_far_enough_apart_are_a_cell_each() -> None:
    for values in ([1.25, 1.35, 1.45], [0.1 * step for step in range(1, 30)], [2.0]):
        spans = CellAxis(values).spans
        assert [(span.low, span.high) for span in spans] == [(value, value) for value in values]
    assert [str(span) for span in CellAxis([1.29, *range(2, 4), 1.3, 1.34, 1.38, 3.02]).spans] == [
        *("1.29 to 1.38", "2", "3 to 3.02")
    ]
    axis = CellAxis([1.7000000000000002, 1.75, 0.30000000000000004, 0.35, 0.1 * 3 - 1e-12])
    assert [span.high for span in axis.spans] == [0.35, 1.75]
