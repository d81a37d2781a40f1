"""A candle whose successor is missing reaches the bot late, and when it acts follows from that."""

import pandas as pd
import pytest

from perp_imbalance.rehearsal.late_candles import LateCandles

HOURS = pd.date_range("2021-03-06", periods=6, freq="h", tz="UTC")
PAIR = "ETH/USDT:USDT"
REASON = "ETH/USDT has no candle of 02:00, so that of 01:00 came 90 s late"


def late(looks: list[float] | None, missing: list[int] | None = None) -> LateCandles:
    spot = HOURS.delete([2] if missing is None else missing)
    return LateCandles({PAIR: {PAIR: HOURS, "ETH/USDT": spot}}, 3600, looks, 90.0)


@pytest.mark.parametrize(
    ("looks", "hour", "acted"),
    [
        ([1.0], 2, 3),
        ([1.0, 1801.0], 2, 2),
        ([1.0, 90.0], 2, 2),
        ([1.0, 89.0], 2, 3),
        ([1.0], 1, None),
        ([1.0], 3, None),
        (None, 2, None),
    ],
)
def test_bot_acts_at_the_first_look_after_the_wait(
    looks: list[float] | None, hour: int, acted: int | None
) -> None:
    expected = None if acted is None else (REASON, HOURS[acted])
    assert late(looks).held_back(PAIR, HOURS[hour]) == expected


def test_missing_candle_does_not_count_as_late() -> None:
    found = late([1.0], [1, 2])
    assert found.held_back(PAIR, HOURS[2]) is None
    assert found.held_back(PAIR, HOURS[1]) is not None
    assert found.held_back("BTC/USDT:USDT", HOURS[2]) is None
