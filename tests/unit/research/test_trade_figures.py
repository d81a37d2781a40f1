"""The figures of a combination are those of its trades, week by week."""

import math

import numpy as np
import pytest

from perp_imbalance.research.pooled import clustered_mean
from perp_imbalance.research.trade_figures import (
    Calendar,
    Figures,
    Weekly,
    clustered_t,
    figures_of,
    span_of,
)
from perp_imbalance.simulation import TRADE, Trades

HOUR = 3_600_000_000_000
WEEK = 168
# The first Monday of the epoch.
MONDAY = 4 * 24


def calendar(rows: int, *later: int) -> Calendar:
    """Return the weeks of a pair's hours from a Monday on, and of pairs that begin later."""
    times = [(MONDAY + begin + np.arange(rows)) * HOUR for begin in (0, *later)]
    return Calendar(times, *span_of(times))


def trades(*rows: tuple[int, int, float], pair: int = 0, stake: float = 100.0) -> Trades:
    """Return trades from entry, exit and net return."""
    made = np.zeros(len(rows), TRADE)
    made["pair"] = pair
    made["entry_row"], made["exit_row"], made["profit_ratio"] = zip(*rows, strict=True)
    made["profit_abs"] = made["profit_ratio"] * stake
    return made


def figures(made: Trades, weeks: Calendar, wallet: float | None = 1000.0) -> Figures:
    return figures_of(made, weeks.weekly(made), weeks, wallet)


def test_t_is_that_of_the_evidence() -> None:
    rng = np.random.default_rng(4)
    weeks = calendar(40 * WEEK)
    entries = np.sort(rng.integers(0, 39 * WEEK, 150))
    made = trades(*((int(row), int(row) + 3, rng.normal(0.002, 0.03)) for row in entries))
    expected = clustered_mean(made["profit_ratio"], weeks.weeks_of(made, "entry_row"))
    found = figures(made, weeks)
    assert found.t == pytest.approx(expected.t)
    assert found.net_bps == pytest.approx(expected.net)
    assert (found.trades, found.weeks) == (expected.trades, expected.weeks)


@pytest.mark.parametrize(("count", "weeks"), [(19, 19), (40, 9)])
def test_few_trades_or_weeks_have_no_t(count: int, weeks: int) -> None:
    net = np.linspace(-1, 2, count)
    sums = np.bincount(np.arange(count) % weeks, net).astype(float)
    counts = np.bincount(np.arange(count) % weeks).astype(float)
    assert math.isnan(clustered_t(Weekly(sums, counts)))


def test_figures_of_a_wallet_are_of_its_closed_trades() -> None:
    weeks = calendar(4 * WEEK)
    made = trades((1, 3, 0.5), (5, 8, -1.0), (WEEK - 1, WEEK + 2, 0.25))
    found = figures(made, weeks)
    assert (found.trades, found.weeks) == (3, 1)
    assert found.won == pytest.approx(2 / 3)
    assert found.profit_pct == pytest.approx(-2.5)
    assert found.drawdown_pct == pytest.approx(100 / 1050 * 100)
    assert found.profit_factor == pytest.approx(0.75)
    # Booked when they close: 950 after the first week, 975 after the second.
    returns = np.array([-0.05, 25 / 950, 0.0, 0.0])
    expected = returns.mean() / returns.std(ddof=1) * (365 / 7) ** 0.5
    assert found.sharpe == pytest.approx(expected)


def test_weeks_are_those_of_each_pair() -> None:
    weeks = calendar(2 * WEEK, WEEK)
    assert weeks.weeks == 3
    made = np.concatenate([trades((WEEK, WEEK + 1, 1.0)), trades((WEEK, WEEK + 1, 2.0), pair=1)])
    assert weeks.weekly(made).net.tolist() == [0.0, 1.0, 2.0]


def test_without_a_wallet_there_is_no_wallet_profit() -> None:
    found = figures(trades((1, 3, 0.5), (5, 8, -0.25)), calendar(WEEK), wallet=None)
    assert np.isnan([found.profit_pct, found.sharpe, found.drawdown_pct]).all()
    assert found.profit_factor == 2.0


def test_no_trade_and_no_loss_have_figures() -> None:
    weeks = calendar(2 * WEEK)
    nothing = figures(np.zeros(0, TRADE), weeks)
    assert (nothing.trades, nothing.profit_pct) == (0, 0.0)
    assert math.isnan(nothing.net_bps)
    won = figures(trades((1, 2, 0.1)), weeks)
    assert (won.profit_factor, won.drawdown_pct) == (math.inf, 0.0)


def test_lost_wallet_has_no_sharpe() -> None:
    made = trades((1, 2, -10.0), (WEEK + 1, WEEK + 2, 1.0), (2 * WEEK + 1, 2 * WEEK + 2, 1.0))
    assert math.isnan(figures(made, calendar(4 * WEEK)).sharpe)
