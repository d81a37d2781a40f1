"""Tests of many results at once: whether the best is better than nothing, and which others are."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from perp_imbalance.indicators.rolling import Floats

#: The error rate that is held over a family of tests.
RATE = 0.05

#: Fewer weeks than this are not drawn from.
MIN_WEEKS_DRAWN = 26


class Family(NamedTuple):
    """Tests of a family of results that correct for its size.

    :ivar results: number of results.
    :ivar spa_p: p-value of Hansen's test of superior predictive ability, that the best is no better
        than not trading. None if there are too few weeks.
    :ivar better: results that Romano and Wolf's StepM keeps at 5 % for the whole family.
    :ivar block: weeks per bootstrap block.
    """

    results: int
    weeks: int
    spa_p: float | None
    better: list[str]
    block: int | None


def family_of(weekly: pd.DataFrame, *, draws: int, seed: int) -> Family:
    """Test the best of several weekly results against not trading.

    Uses the stationary bootstrap with arch's optimal block length for the series with the longest
    autocorrelation.

    :param weekly: one column per result, one row per week, 0 where nothing was traded.
    """
    # Late: it is needed by this command alone.
    from arch.bootstrap import SPA, StepM, optimal_block_length

    weekly = weekly.loc[:, weekly.std() > 0]
    if len(weekly) < MIN_WEEKS_DRAWN or weekly.empty:
        return Family(weekly.shape[1], len(weekly), None, [], None)
    longest = float(np.nanmax(optimal_block_length(weekly.to_numpy())["stationary"]))
    block = int(np.clip(np.ceil(longest), 1, len(weekly) // 4))
    # The tests are of losses: trading loses less than nothing where it earns.
    losses, nothing = -weekly.to_numpy(), np.zeros(len(weekly))
    spa = SPA(nothing, losses, block_size=block, reps=draws, seed=seed)
    spa.compute()
    step = StepM(nothing, losses, size=RATE, block_size=block, reps=draws, seed=seed)
    step.compute()
    better = [str(weekly.columns[int(str(number))]) for number in step.superior_models]
    p = float(spa.pvalues["consistent"])
    return Family(weekly.shape[1], len(weekly), p, better, block)


def weekly_totals(table: pd.DataFrame) -> pd.DataFrame:
    """Return the result of each preset and side in every week from the first to the last."""
    named = table.assign(result=table["preset"] + " " + table["side"])
    totals = named.pivot_table(
        index="week", columns="result", values="net", aggfunc="sum", fill_value=0.0, sort=False
    )
    weeks = np.arange(table["week"].min(), table["week"].max() + 1)
    return pd.DataFrame(totals.reindex(weeks, fill_value=0.0))


def false_discovery(p_values: Sequence[float | None] | Floats) -> list[float | None]:
    """Return the q-value of each p-value: the lowest false discovery rate that includes it.

    By Benjamini and Hochberg, valid for positively correlated tests, as those of horizons, pairs
    and presets mostly are.

    >>> false_discovery([None, 0.5])
    [None, 0.5]
    """
    from statsmodels.stats.multitest import multipletests

    known = [p for p in p_values if p is not None]
    if not known:
        return [None for _ in p_values]
    adjusted = iter(multipletests(known, alpha=RATE, method="fdr_bh")[1])
    return [None if p is None else float(next(adjusted)) for p in p_values]


def as_values(family: Family) -> dict[str, Any]:
    """Return the tests of a family of results as plain values, for JSON."""
    return family._asdict() | {"spa_p": None if family.spa_p is None else round(family.spa_p, 4)}
