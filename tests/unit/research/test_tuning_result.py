"""What a tuning says: a verdict in one sentence, and a warning where one is due."""

from datetime import UTC, datetime
from typing import Any

import pytest

from perp_imbalance.research.tuning.result import HOLD, WINNER, verdict_of, warning_of
from perp_imbalance.research.windows import Window

WINDOW = Window(1, *(datetime(2024, month, 1, tzinfo=UTC) for month in (1, 10, 12)))


def account(profit: float, trades: int | None = 50, **changed: Any) -> dict[str, Any]:
    return {"profit": profit, "trades": trades, "above_zero": 0.97, **changed}


def searched(overfitting: float | None = 0.2, deflated: float | None = 0.96) -> dict[str, Any]:
    found = {"sharpe": 2.0, "expected_best": 1.5, "deflated": deflated}
    return {"overfitting": overfitting, "account": found, "trials": 2000}


@pytest.mark.parametrize(
    ("winner", "overfitting", "expected"),
    [
        (account(0.1), 0.5, None),
        (account(0.1), None, None),
        (
            account(-0.031, 45),
            0.2,
            "tuned thresholds: it lost out of sample (2024-10-01 to 2024-12-01: -3.1% in 45 "
            "trades)",
        ),
        (
            account(0.0, 0),
            0.2,
            "tuned thresholds: it never traded out of sample (2024-10-01 to 2024-12-01: +0.0% in "
            "0 trades)",
        ),
        (account(0.1), 0.51, "tuned thresholds: its probability of overfitting is 51%, above a h"),
        (account(-0.1), 0.6, "-10.0% in 50 trades) and its probability of overfitting is 60%"),
    ],
)
def test_winner_that_is_not_worth_it_is_warned_of(
    winner: dict[str, Any], overfitting: float | None, expected: str | None
) -> None:
    found = warning_of(winner, overfitting, WINDOW)
    assert (found is None) == (expected is None)
    assert expected is None or expected in str(found)


@pytest.mark.parametrize(
    ("winner", "of_search", "proof"),
    [
        (account(0.1), searched(), "skill is shown at 95%."),
        (account(0.1), searched(deflated=0.9), "skill is not shown at 95%."),
        (account(0.1, above_zero=0.9), searched(), "skill is not shown at 95%."),
        (account(0.1, above_zero=None), searched(), "skill is not shown at 95%."),
        (account(0.1, deflated=None), searched(None, None), "skill is not shown at 95%."),
        (account(0.1, 5), searched(), "too few trades for a conclusion."),
        (account(0.1), searched(overfitting=0.6), "it is luck more likely than not."),
        (account(-0.1), searched(), "it is not worth trading."),
    ],
)
def test_verdict_is_one_sentence_that_ends_with_the_proof(
    winner: dict[str, Any], of_search: dict[str, Any], proof: str
) -> None:
    accounts = {WINNER: winner, "A": account(0.05), "B": account(-0.2), HOLD: account(0.3, None)}
    found = verdict_of(accounts, of_search, WINDOW)
    assert found.endswith(f": {proof}")
    assert ". " not in found
    assert "best preset, A (+5.0%), and no more than holding (+30.0%)" in found


def test_verdict_names_the_luck_of_as_many_trials() -> None:
    found = verdict_of({WINNER: account(0.1), HOLD: account(0.05, None)}, searched(), WINDOW)
    assert (
        "50 trades, and more than holding (+5.0%); the probability of overfitting is 20%" in found
    )
    assert "2.00 is truly above 1.50, what the best of 2000 worthless trials would show" in found
