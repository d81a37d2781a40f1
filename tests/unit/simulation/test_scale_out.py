"""A scale-out closes a part of a position at the middle band, with its funding."""

from typing import Any

import numpy as np
import pytest
from support.hand_made import FLAT, HOUR, PLAIN, at_times, candles, flat, said

from perp_imbalance.simulation import (
    market,
    simulate,
)


def test_scale_out_closes_part_once_at_the_middle() -> None:
    rows = [(98.0, 98.0, 98.0, 98.0)] * 3 + [FLAT, (101.0, 101.0, 101.0, 101.0)] * 2
    rules = PLAIN._replace(scale_out=0.5, stake_amount=98.0)
    given = said(7, middle=[100.0] * 7, enter_long=[0], exit_long=[5])
    (trade,) = simulate(candles(rows), given, rules)
    assert (trade["scaled_row"], trade["exit_row"]) == (4, 6)
    assert trade["amount"] == 0.5
    assert trade["profit_abs"] == pytest.approx(0.5 * 3 + 0.5 * 3)


@pytest.mark.parametrize(("minutes", "units"), [(60, 1.0 + 0.5), (5, 1.0 + 1.0)])
def test_settlement_at_a_partial_exit_counts_twice(minutes: int, units: float) -> None:
    """The second time for what is left, but for the whole until another hour has begun."""
    rows = [(98.0, 98.0, 98.0, 98.0)] * 3 + [FLAT] * 5
    given = said(8, middle=[100.0] * 8, enter_long=[0], exit_long=[5])
    rules = PLAIN._replace(scale_out=0.5, stake_amount=98.0)
    pair = candles(rows, funding_times=[4 * HOUR], funding_fees=[0.25])
    times = 4 * HOUR + (pair.times - 4 * HOUR) * minutes // 60
    funded = np.searchsorted(times, 4 * HOUR) < np.arange(8)
    assert pair.candles["funded_before"].tolist() == funded.tolist()
    (trade,) = simulate(at_times(pair, times), given, rules)
    assert trade["scaled_row"] == 4
    assert trade["funding"] == pytest.approx(-0.25 * units)


@pytest.mark.parametrize(
    ("minutes", "stop_row", "funding"), [(60, 3, 2.0), (5, 4, 2.0), (60, 4, 1.5)]
)
def test_settlement_at_a_scale_out_counts_again_for_the_rest(
    minutes: int, stop_row: int, funding: float
) -> None:
    """freqtrade reckons it anew at each full hour: before that, it counts for the whole amount."""
    prices = {name: np.full(6, 98.0) for name in ("open", "high", "low", "close")}
    for price in prices.values():
        price[2:] = 100.0
    prices["low"][stop_row] = 50.0
    # The scale-out at the open of row 3 falls on a full hour, at which funding is settled.
    times = 10 * HOUR + (np.arange(6) - 3) * (minutes * HOUR // 60)
    paid: dict[str, Any] = {"funding_times": [10 * HOUR], "funding_fees": [-1.0]}
    pair = market(times, prices, tick=0.01, amount_step=0.001, **paid)
    rules = PLAIN._replace(scale_out=0.5, stake_amount=98.0)
    (trade,) = simulate(pair, said(6, middle=[100.0] * 6, enter_long=[0]), rules)
    assert (trade["scaled_row"], trade["exit_row"]) == (3, stop_row)
    assert trade["funding"] == pytest.approx(funding)


def test_scale_out_needs_a_price_that_was_beyond_the_middle() -> None:
    given = said(5, middle=[99.0] * 5, enter_long=[0])
    (trade,) = simulate(flat(5), given, PLAIN._replace(scale_out=0.5))
    assert trade["scaled_row"] == -1
