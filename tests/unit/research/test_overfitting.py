"""The probability of overfitting is that of CSCV, as another implementation computes it."""

import numpy as np
import pytest
from numpy.typing import NDArray
from purgedcv import probability_of_backtest_overfitting

from perp_imbalance.research.overfitting import overfitting_probability

Floats = NDArray[np.float64]


def probability(returns: Floats, blocks: int) -> float:
    """Return ours of returns, a row for each trial."""
    parts = np.array_split(returns, blocks, axis=1)
    return overfitting_probability(
        np.column_stack([part.sum(axis=1) for part in parts]),
        np.column_stack([np.square(part).sum(axis=1) for part in parts]),
        np.array([part.shape[1] for part in parts], dtype=float),
    )


@pytest.mark.parametrize("blocks", [4, 8, 10])
@pytest.mark.parametrize("skill", [0.0, 0.02, 0.1])
def test_probability_is_that_of_purgedcv(blocks: int, skill: float) -> None:
    rng = np.random.default_rng(blocks)
    # 251 days: the blocks differ in length.
    returns = rng.standard_normal((20, 251)) + skill * np.arange(20)[:, np.newaxis]
    returns[3] = 0.0
    expected = probability_of_backtest_overfitting(returns, blocks).pbo
    assert probability(returns, blocks) == pytest.approx(expected)


def test_trial_that_is_always_best_is_not_overfitted() -> None:
    rng = np.random.default_rng(1)
    returns = rng.standard_normal((5, 80)) * 0.01
    returns[2] += 1.0
    assert probability(returns, 8) == 0.0


def test_best_trial_that_is_worst_elsewhere_is_overfitted() -> None:
    returns = np.array([[1.0, 1.1] * 10 + [-1.0, -1.1] * 10, [-1.0, -1.1] * 10 + [1.0, 1.1] * 10])
    assert probability(returns, 2) == 1.0
