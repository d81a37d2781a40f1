"""A plateau is told from a lucky line by what its neighbours earn apart from it."""

import math
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from perp_imbalance.indicators import Thresholds
from perp_imbalance.research.plateau import MIN_OTHERS, Around, around
from perp_imbalance.simulation import TRADE, Trades

ROWS = 10_000
Span = tuple[int, int, float]


def trades(*spans: Span, pair: int = 0) -> Trades:
    """Return trades from entry, exit and net return."""
    made = np.zeros(len(spans), TRADE)
    made["pair"] = pair
    if spans:
        made["entry_row"], made["exit_row"], made["profit_ratio"] = zip(*spans, strict=True)
    return made


def every(step: int, count: int, net: float, begin: int = 0, held: int = 5) -> list[Span]:
    return [(begin + step * n, begin + step * n + held, net) for n in range(count)]


class Fake:
    """Trades by enter_z, of two pairs."""

    def __init__(self, of: dict[float, Trades]) -> None:
        self._of = of
        self.times: list[NDArray[np.int64]] = [np.arange(ROWS), np.arange(ROWS)]

    def trades(self, thresholds: Thresholds) -> Trades:
        return self._of[thresholds.enter_z]

    def each(self, combinations: Iterable[Thresholds]) -> Iterator[Trades]:
        return map(self.trades, combinations)


def judged(own: Trades, *neighbours: Trades) -> Around:
    of = {2.0 + number: made for number, made in enumerate(neighbours)}
    return around(Fake(of), own, [Thresholds(enter_z=enter) for enter in of])


OWN = trades(*every(100, 30, 0.01))


@pytest.mark.parametrize(("net", "is_plateau"), [(0.02, True), (-0.02, False)])
def test_trades_that_are_not_shared_decide(net: float, is_plateau: bool) -> None:
    """However well the shared ones do."""
    neighbour = trades(*every(100, 30, 0.05), *every(100, MIN_OTHERS, net, begin=50))
    found = judged(OWN, neighbour)
    assert (found.neighbours, found.earning, found.others) == (1, 1, MIN_OTHERS)
    assert found.shared == pytest.approx(30 / (30 + MIN_OTHERS))
    assert found.others_bps == pytest.approx(net * 1e4)
    assert found.is_plateau is is_plateau


def test_most_neighbours_must_earn() -> None:
    others = every(100, 30, 0.01, begin=50)
    losing = trades(*every(100, 30, -0.05))
    good = trades(*others)
    assert judged(OWN, good, losing).is_plateau is True
    assert judged(OWN, good, losing, losing).is_plateau is False


def test_few_unshared_trades_give_no_verdict() -> None:
    found = judged(OWN, trades(*every(100, 30, 0.05), *every(100, MIN_OTHERS - 1, 0.1, begin=50)))
    assert found.others == MIN_OTHERS - 1
    assert found.is_plateau is None


@pytest.mark.parametrize(
    ("entry", "leave", "is_shared"),
    [(100, 105, True), (104, 120, True), (90, 101, True), (80, 200, True), (105, 110, False),
     (90, 100, False), (104, 104, True), (105, 105, False)],
)  # fmt: skip
def test_trade_is_shared_that_has_a_candle_in_common(
    entry: int, leave: int, is_shared: bool
) -> None:
    found = judged(trades((100, 105, 0.1), (500, 505, 0.1)), trades((entry, leave, 0.1)))
    assert found.shared == float(is_shared)


def test_trade_of_another_pair_is_not_shared() -> None:
    found = judged(trades((100, 105, 0.1)), trades((100, 105, 0.1), pair=1))
    assert (found.shared, found.others) == (0.0, 1)


def test_long_trade_overlaps_later_ones() -> None:
    """Entries that are held for a fixed time may overlap each other."""
    found = judged(trades((100, 300, 0.1), (110, 120, 0.1)), trades((250, 260, 0.1)))
    assert found.shared == 1.0


def test_other_trade_of_several_neighbours_counts_once() -> None:
    others = every(100, MIN_OTHERS, 0.01, begin=50)
    found = judged(OWN, trades(*others), trades(*others), trades(*others))
    assert found.others == MIN_OTHERS
    assert found.others_bps == pytest.approx(100.0)


def test_line_without_neighbours_is_not_judged() -> None:
    found = judged(OWN)
    assert (found.neighbours, found.others, found.is_plateau) == (0, 0, None)
    assert math.isnan(found.shared)
    assert math.isnan(judged(OWN, trades()).shared)
