"""The intervals of evidence miss what is true as seldom as they say: 1500 markets for each case."""

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
def test_false_edges_of_random_events_have_the_stated_rate(
    where: Callable[..., Rows], events: int, horizon: int
) -> None:
    assert 0.035 < missed(where, events, horizon) < 0.065
