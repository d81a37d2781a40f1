"""The account of a walk-forward: what its trades earned, and what that proves."""

import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from perp_imbalance.research.account import (
    daily_sharpe,
    deflated_sharpe,
    describe,
    expected_best,
    growth_equity,
    sharpe_error,
    stability,
    stitch,
    trial_deviation,
    window_equity,
)
from perp_imbalance.research.walk_forward.summary import summarise, verdict

BTC = "BTC/USDT:USDT"


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def trades(*rows: tuple[str, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["close_date", "profit_abs"])


def test_equity_counts_profit_on_the_day_a_trade_closes() -> None:
    found = window_equity(
        trades(
            ("2024-01-01 05:00:00+00:00", 10.0),
            ("2024-01-01 23:00:00+00:00", -5.0),
            ("2024-01-03 00:00:00+00:00", 20.0),
            ("2024-01-04 00:00:00+00:00", 1.0),  # closed by the end of the test
        ),
        1000,
        day("2024-01-01"),
        day("2024-01-04"),
    )
    assert list(found) == [1000, 1005, 1005, 1026]
    assert list(found.index) == list(pd.date_range("2023-12-31", "2024-01-03", tz="UTC"))


def test_windows_compound_on_the_wallet_unless_stakes_are_fixed() -> None:
    windows = [
        window_equity(trades(("2024-01-01", 100.0)), 1000, day("2024-01-01"), day("2024-01-03")),
        window_equity(trades(("2024-01-04", 100.0)), 1000, day("2024-01-03"), day("2024-01-05")),
    ]
    assert list(stitch(windows, 1000)) == pytest.approx([1000, 1100, 1100, 1100, 1210])
    assert list(stitch(windows, 1000, compounding=False)) == [1000, 1100, 1100, 1100, 1200]


def test_buy_and_hold_is_drawn_in_the_equity_figure() -> None:
    found = growth_equity(
        {"2024-01-01": 1.1, "2024-01-03": 0.9}, 1000, day("2024-01-01"), day("2024-01-04")
    )
    assert list(found) == pytest.approx([1000, 1100, 1100, 900])


def test_sharpe_of_daily_returns() -> None:
    equity = pd.Series(
        [100, 101, 102.01, 100.9899], index=pd.date_range("2024-01-01", periods=4, tz="UTC")
    )
    returns = np.array([0.01, 0.01, -0.01])
    assert daily_sharpe(equity) == pytest.approx(returns.mean() / returns.std())
    assert daily_sharpe(equity * 0 + 100) is None


def test_sharpe_error_and_deflated_sharpe_of_the_paper() -> None:
    # Bailey and López de Prado (2014), the numerical example: 100 trials with a variance of 1/2 a
    # year, 1250 daily returns with skew -3 and kurtosis 10, an annual Sharpe of 2.5.
    ratio = 2.5 / math.sqrt(250)
    luck = expected_best(100, math.sqrt(0.5 / 250))
    assert luck == pytest.approx(0.1132, abs=5e-5)
    error = sharpe_error(ratio, 1250, -3, 10)
    assert deflated_sharpe(ratio, luck, error) == pytest.approx(0.9004, abs=5e-5)
    # Normal returns: Lo's sqrt((1 + SR²/2) / n).
    assert sharpe_error(1.0, 101, 0, 3) == pytest.approx(math.sqrt(1.5 / 100))
    assert expected_best(1, 0.1) == 0


def test_deviation_of_trials_is_around_each_windows_mean() -> None:
    # Two windows, one good market and one bad: their means are not the trials' spread.
    trials: list[list[float | None]] = [[1.0, 3.0, None], [11.0, 13.0]]
    assert trial_deviation(trials, [50, 50], 50) == pytest.approx(math.sqrt(2))
    assert trial_deviation([[1.0], []], [50, 50], 50) == 0


def test_luck_of_a_training_part_is_that_of_its_length() -> None:
    """Of worthless trials, so many years long, the best is as good as ``expected_best`` says."""
    rng = np.random.default_rng(7)
    days, train, count = 1200, 150, 200
    daily = rng.normal(0, 0.01, (count, days))
    ratios = [list(part.mean(axis=1) / part.std(axis=1)) for part in np.split(daily, 8, axis=1)]
    luck = expected_best(8 * count, trial_deviation(ratios, [train] * 8, days))
    found = rng.normal(0, 0.01, (8 * count, days))
    best = (found.mean(axis=1) / found.std(axis=1)).max()
    assert luck == pytest.approx(best, rel=0.2)


def test_more_epochs_deflate_more() -> None:
    rng = np.random.default_rng(3)
    steps = 1 + rng.normal(0.002, 0.01, 200)
    equity = pd.Series(steps.cumprod(), index=pd.date_range("2024-01-01", periods=200, tz="UTC"))
    said = [describe(equity, 100, trials=count, deviation=0.05) for count in (2, 100, 10_000)]
    deflated = [found.deflated or 0 for found in said]
    assert deflated[0] > deflated[1] > deflated[2] > 0
    assert describe(equity, 100).deflated is None


def test_too_few_trades_say_so_instead_of_a_number() -> None:
    equity = pd.Series([100.0, 101, 102], index=pd.date_range("2024-01-01", periods=3, tz="UTC"))
    said = describe(equity, 29)
    assert said.sharpe is None
    assert said.unsaid == "too few trades for a conclusion: 29, fewer than 30"
    assert said.profit == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("above_zero", "deflated", "said"),
    [
        (0.90, 0.08, "skill is not shown at 95%"),
        (0.97, 0.50, "more than 0 is shown, more than the luck of so many trials is not at 95%"),
        (0.99, 0.96, "skill is shown at 95%"),
    ],
)
def test_verdict_tells_above_zero_from_above_luck(
    above_zero: float, deflated: float, said: str
) -> None:
    account = {
        **{"unsaid": None, "profit": 0.1, "days": 100, "sharpe": 1.0, "sharpe_error": 0.5},
        **{"above_zero": above_zero, "expected_best": 1.5, "deflated": deflated},
    }
    found = verdict({"walk-forward": account}, [{"unsaid": None, "profit": 0.1}])
    assert found.endswith(f"with {deflated:.0%}: {said}.")
    assert f"above 0 with {above_zero:.0%}, and above 1.50" in found


def test_stability_of_parameters() -> None:
    found = stability([{"enter_z": 1.0, "use_htf": True}, {"enter_z": 2.0, "use_htf": False}])
    assert found["enter_z"] == {"mean": 1.5, "stdev": math.sqrt(0.5), "min": 1.0, "max": 2.0}
    assert found["use_htf"]["mean"] == 0.5


def test_window_without_a_winner_is_cash() -> None:
    result: dict[str, Any] = {
        **{"window": "001", "train": ["2024-01-01T00:00:00+00:00", "2024-01-11T00:00:00+00:00"]},
        **{"test": ["2024-01-11T00:00:00+00:00", "2024-01-16T00:00:00+00:00"], "presets": {}},
        **{"epochs": 3, "epoch_sharpes": [None] * 3, "params": {}, "in_sample": {}},
        **{"parameter_file": None, "hold": {"pairs": {BTC: 0.1}, "days": {"2024-01-11": 1.1}}},
    }
    found = summarise([result], 1000, compounding=True)
    assert set(found["equity"]["walk-forward"].values()) == {1000}
    assert found["accounts"]["buy and hold"]["profit"] == pytest.approx(0.1)
    assert "too few trades for a conclusion" in found["verdict"]
    assert "nothing was traded" in found["windows"][0]["unsaid"]
