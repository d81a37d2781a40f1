"""The intervals of evidence lie about the mean, and are wider where events are few."""

import numpy as np
import pytest
from numpy.typing import NDArray

from perp_imbalance.research.bootstrap import Bootstrap

BLOCK = 168
Rows = NDArray[np.int64]


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
