"""The probability of backtest overfitting: how often the best trial fails on other data."""

from itertools import combinations

import numpy as np
from scipy.stats import rankdata

from perp_imbalance.indicators.rolling import Floats


def overfitting_probability(sums: Floats, squares: Floats, lengths: Floats) -> float:
    """Return the share of splits in which the best trial of one half is below the other's median.

    Combinatorially symmetric cross-validation by Sharpe ratios: Bailey, Borwein, López de Prado and
    Zhu (2017), "The Probability of Backtest Overfitting". It tries all splits of the blocks into
    two halves. A trial with constant returns has the ratio 0.

    :param sums: sum of the returns of each trial (row) in each block (column); the number of blocks
        is even.
    :param squares: sum of their squares, of the same shape.
    :param lengths: number of returns in each block.

    Use: ``overfitting_probability(outcome.sums, outcome.squares, folds.lengths)``
    """
    blocks = range(sums.shape[1])
    lost = 0
    halves = list(combinations(blocks, len(blocks) // 2))
    for inside in halves:
        outside = [block for block in blocks if block not in inside]
        chosen = int(np.argmax(_sharpe(sums, squares, lengths, list(inside))))
        ranks = rankdata(_sharpe(sums, squares, lengths, outside))
        lost += bool(ranks[chosen] / (ranks.size + 1) < 0.5)
    return lost / len(halves)


def _sharpe(sums: Floats, squares: Floats, lengths: Floats, blocks: list[int]) -> Floats:
    """Return the Sharpe ratio of each trial over some blocks."""
    count = lengths[blocks].sum()
    mean = sums[:, blocks].sum(axis=1) / count
    variance = squares[:, blocks].sum(axis=1) / count - mean**2
    # What rounding leaves of a constant is no variance.
    moves = variance > 1e-24
    return np.where(moves, mean / np.sqrt(np.where(moves, variance, 1.0)), 0.0)
