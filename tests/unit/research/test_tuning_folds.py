"""A trial is scored by folds of time that share no position."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.tuning import HOUR_NS, hours, trades

from perp_imbalance.errors import SettingsError
from perp_imbalance.research.account import DAYS_A_YEAR, daily_sharpe
from perp_imbalance.research.tuning.folds import (
    DAY_NS,
    OBJECTIVES,
    FoldReturns,
    Folds,
    Outcome,
    chosen_ahead,
    score_of,
)
from perp_imbalance.research.tuning.names import OBJECTIVE_NAMES

WALLET = 1000.0


def folds(**changed: Any) -> Folds:
    options: dict[str, Any] = {
        "start": 0,
        "days": 40,
        "count": 4,
        "objective": "profit",
        "least_trades": 1,
    }
    return Folds(**(options | changed))


def outcome(*rows: tuple[float, float, float], **changed: Any) -> Outcome:
    found = folds(**changed)
    return found.outcome(trades(*rows), hours(found.days), WALLET)


def test_trades_count_in_the_fold_in_which_they_open_and_close() -> None:
    found = outcome((1, 2, 10.0), (12, 13, 20.0), (25, 26, -10.0))
    assert found.sums == pytest.approx([0.01, 20 / 1010, -10 / 1030, 0.0])
    assert found.figures == pytest.approx(found.sums / 10 * DAYS_A_YEAR)
    assert (found.trades, found.kept) == (3, 3)
    assert found.profit == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("opened", "closed", "is_kept"),
    [
        (9.0, 9.9, True),
        # It straddles the border.
        (9.5, 10.5, False),
        # It closes with the candle that opens the next fold.
        (9.5, 10.0, False),
        # Within the embargo of two days, as long as the longest trade.
        (10.0, 10.5, False),
        (11.9, 12.5, False),
        (12.0, 12.5, True),
    ],
)
def test_folds_share_no_position_and_no_aftermath(
    opened: float, closed: float, is_kept: bool
) -> None:
    found = outcome((1, 3, 1.0), (opened, closed, 10.0))
    assert found.embargo == 2 * DAY_NS
    assert found.kept == 1 + is_kept
    assert found.trades == 2


def test_first_fold_has_no_embargo_and_the_last_takes_its_end() -> None:
    found = outcome((0, 1, 1.0), (39, 40, 1.0))
    assert found.kept == 2


def test_squared_returns_are_daily() -> None:
    found = outcome((1, 1.25, 10.0), (1.5, 1.75, 10.1), (5, 6, 0.0))
    assert found.squares[0] == pytest.approx(0.02**2, rel=1e-6)


def test_sharpe_of_the_account_is_that_of_walk_forward() -> None:
    found = outcome((1, 2, 10.0), (12, 13, -20.0), (25, 26, 30.0))
    equity = pd.Series(WALLET, index=pd.date_range("2024-01-01", periods=41, tz="UTC"))
    for day, profit in ((2, 10.0), (13, -20.0), (26, 30.0)):
        equity.iloc[day + 1 :] += profit
    assert found.sharpe == pytest.approx(daily_sharpe(equity))


def test_too_few_trades_have_no_score() -> None:
    assert outcome((1, 2, 10.0), least_trades=2).score is None
    assert outcome(least_trades=1).score is None


def test_score_is_less_where_folds_differ() -> None:
    assert score_of(np.array([1.0, 1.0])) == 1.0
    assert score_of(np.array([0.0, 2.0])) == 0.5


def returns(daily: list[float], ratios: list[float], weeks: list[int]) -> FoldReturns:
    return FoldReturns(np.array(daily), np.array(ratios), np.array(weeks))


def test_objectives_are_what_their_names_say() -> None:
    assert tuple(OBJECTIVES) == OBJECTIVE_NAMES
    part = returns([0.02, -0.01, 0.02, -0.01], [0.1, 0.3, 0.2], [7, 7, 8])
    year = DAYS_A_YEAR
    assert OBJECTIVES["profit"](part) == pytest.approx(0.005 * year)
    assert OBJECTIVES["sharpe"](part) == pytest.approx(0.005 / 0.015 * year**0.5)
    # The deepest fall is of 1 %.
    assert OBJECTIVES["calmar"](part) == pytest.approx(0.5 * year)
    # The trades of week 7 go together: their errors cancel.
    assert OBJECTIVES["t"](returns([0.0], [0.1, 0.3, 0.5], [7, 7, 8])) == pytest.approx(
        0.9 / np.hypot(0.2, 0.2)
    )


@pytest.mark.parametrize("name", OBJECTIVE_NAMES)
def test_fold_without_trades_has_a_figure(name: str) -> None:
    assert OBJECTIVES[name](returns([0.0, 0.0], [], [])) == 0.0


def test_choice_for_a_fold_uses_earlier_folds_only() -> None:
    steady, late = outcome((1, 2, 5.0)), outcome((31, 32, 90.0))
    early = [fold for fold, _ in chosen_ahead([late, steady])]
    assert early == [2, 3]
    assert [trial for _, trial in chosen_ahead([late, steady])] == [1, 1]
    assert chosen_ahead([outcome(least_trades=9)]) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"count": 3}, "--folds is 3, it must be an even number from 4 to 16"),
        ({"count": 18}, "--folds is 18, it must be an even number from 4 to 16"),
        ({"count": 10}, "40 days to search on are too few for 10 folds of at least 5 days"),
    ],
)
def test_invalid_number_of_folds_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        folds(**changed)


def test_rows_count_from_the_start_of_the_folds() -> None:
    moved = Folds(10 * DAY_NS, 40, 4, "profit", 1)
    found = moved.outcome(trades((11, 12, 10.0)), [np.arange(51 * 24) * HOUR_NS], WALLET)
    assert found.sums == pytest.approx([0.01, 0, 0, 0])
