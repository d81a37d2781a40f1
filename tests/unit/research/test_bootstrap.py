"""The intervals of evidence miss what is true as seldom as they say."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import lfilter

from perp_imbalance.research.bootstrap import Bootstrap

ROWS = 10_000
BLOCK = 168
Rows = NDArray[np.int64]


def scattered(rng: np.random.Generator, events: int) -> Rows:
    return np.sort(rng.choice(ROWS, events, replace=False))


def clumped(rng: np.random.Generator, events: int) -> Rows:
    """Three at a time, within a day."""
    first = rng.choice(ROWS - 13, events // 3, replace=False)
    return np.unique(np.concatenate([first, first + 6, first + 13]))


def wandering(rng: np.random.Generator, events: int) -> Rows:
    """As flips of a bias come: close together, and for long none."""
    level = lfilter([1.0], [1.0, -0.98], rng.normal(size=ROWS))
    beyond = level > 1.5 * level.std()
    return np.flatnonzero(beyond[1:] & ~beyond[:-1]) + 1


def missed(where: Callable[..., Rows], events: int, horizon: int, times: int = 1500) -> float:
    """Return how often the interval of events that mean nothing is all above 0, or all below.

    Returns have fat tails, and weeks of which some are wilder than others.
    """
    rng = np.random.default_rng(5)
    misses = found = 0
    while found < times:
        loud = np.exp(0.5 * np.repeat(rng.normal(size=ROWS // BLOCK + 3), BLOCK))
        steps = rng.standard_t(3, ROWS + horizon) * loud[: ROWS + horizon]
        path = np.cumsum(steps)
        known = np.ones(ROWS, np.bool_)
        interval = Bootstrap(*(known, where(rng, events), horizon), block=BLOCK, draws=1000, seed=1)
        if interval.event_blocks < 10:
            continue
        low, high = interval.of(path[horizon:] - path[:ROWS], against_drift=True)
        misses += low > 0 or high < 0
        found += 1
    return misses / times


@pytest.mark.parametrize(
    ("where", "events", "horizon"),
    [
        (scattered, 21, 24),
        (scattered, 45, 24),
        (clumped, 36, 24),
        (clumped, 45, 24),
        (wandering, 0, 144),
    ],
)
def test_random_events_are_taken_for_an_edge_as_rarely_as_said(
    where: Callable[..., Rows], events: int, horizon: int
) -> None:
    assert 0.035 < missed(where, events, horizon) < 0.065


def interval_of(rows: Rows, horizon: int = 24) -> Bootstrap:
    known = np.ones(26_000, np.bool_)
    return Bootstrap(known, rows, horizon, block=BLOCK, draws=100, seed=0)


def test_interval_widens_for_few_or_overlapping_events() -> None:
    rng = np.random.default_rng(2)
    many = np.sort(rng.choice(25_900, 1_000, replace=False))
    assert 1.0 < interval_of(many).widening < 1.03
    middles = np.arange(10) * 20 * BLOCK // 2 + BLOCK // 2
    assert interval_of(middles).widening == pytest.approx(2.262 / 1.960 * (10 / 9) ** 0.5, rel=1e-3)
    # Two events on both sides of a border are as good as one: of half the variance for twice.
    borders = np.arange(2, 62, 2) * BLOCK
    apart, shared = (interval_of(np.sort(np.r_[borders - by, borders])) for by in (24, 1))
    assert (shared.widening / apart.widening) ** 2 == pytest.approx(1 + 23 / 24)


def test_interval_lies_about_the_mean() -> None:
    values = np.random.default_rng(3).normal(size=26_000)
    rows = np.arange(0, 26_000, 1_000)
    low, high = interval_of(rows).of(values, against_drift=False)
    assert low < values[rows].mean() < high
