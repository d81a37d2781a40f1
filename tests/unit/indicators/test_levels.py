"""Levels of past weeks and days: by hand-made candles, and without a look ahead."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators.levels import (
    LEVELS,
    ROWS,
    levels,
    monday_range,
    previous_profile,
    volume_profile,
    weekly_vwap,
)

# A Monday.
MONDAY = "2024-01-01"


def candles(
    prices: list[float], start: str = MONDAY, step: str = "6h", **more: Any
) -> pd.DataFrame:
    """Candles without a range, unless ``high`` or ``low`` is given."""
    dates = pd.date_range(start, periods=len(prices), freq=step, tz="UTC")
    values = {"high": prices, "low": prices, "close": prices, "volume": 1.0} | more
    return pd.DataFrame({"date": dates, **values})


def market(seed: int, hours: int, start: str) -> pd.DataFrame:
    """A random walk that begins anywhere in a week, with hours that nobody trades in."""
    random = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(random.normal(0, 5e-3, hours)))
    spread = random.exponential(2e-3, (2, hours)) * (random.random((2, hours)) > 0.2)
    volume = random.gamma(1.0, 10.0, hours) * (random.random(hours) > 0.2)
    frame = candles(list(close), start, "1h", volume=volume)
    return frame.assign(high=close * (1 + spread[0]), low=close * (1 - spread[1]))


markets = st.builds(
    market,
    st.integers(0, 2**32 - 1),
    st.just(400),
    st.sampled_from(["2024-01-01 00:00", "2024-01-03 07:00", "2024-01-07 23:00"]),
)


@settings(max_examples=12)
@given(markets, st.integers(1, 399))
def test_later_candles_change_no_level(frame: pd.DataFrame, rows: int) -> None:
    past = levels(frame.iloc[:rows])
    pd.testing.assert_frame_equal(past, levels(frame).iloc[:rows], check_exact=True)


@settings(max_examples=12)
@given(markets)
def test_levels_lie_within_the_prices_they_come_from(frame: pd.DataFrame) -> None:
    found = levels(frame)
    assert tuple(found.columns) == LEVELS
    inside = found.dropna()
    assert len(inside) > 100
    for low, middle, high in (("vwap_lower", "vwap", "vwap_upper"), ("val", "poc", "vah")):
        assert (inside[low] <= inside[middle]).all()
        assert (inside[middle] <= inside[high]).all()
    day = frame.groupby(frame["date"].dt.floor("D")).agg({"low": "min", "high": "max"}).shift()
    before = day.loc[frame["date"].dt.floor("D")].iloc[inside.index]
    assert (inside["val"].to_numpy() >= before["low"].to_numpy() - 1e-9).all()
    assert (inside["vah"].to_numpy() <= before["high"].to_numpy() + 1e-9).all()


def test_vwap_weighs_prices_since_monday() -> None:
    # Saturday 12:00 to Monday 06:00, then the Sunday before it is forgotten.
    frame = candles([9.0] * 6 + [1.0, 4.0], "2024-01-06 12:00", volume=[1.0] * 6 + [1.0, 3.0])
    found = weekly_vwap(frame)
    assert found["vwap"].tolist()[-2:] == [1.0, 3.25]
    # Of the week before, the beginning is not there.
    assert np.isnan(found["vwap"][:6]).all()
    deviation = np.sqrt((1 * 2.25**2 + 3 * 0.75**2) / 4)
    assert found["vwap_upper"][-1] == pytest.approx(3.25 + deviation)
    assert found["vwap_lower"][-1] == pytest.approx(3.25 - deviation)


def test_vwap_takes_the_mean_of_high_low_and_close() -> None:
    frame = candles([2.0], high=[6.0], low=[1.0])
    assert weekly_vwap(frame)["vwap"].tolist() == [3.0]


def test_vwap_is_unknown_until_the_week_has_volume() -> None:
    frame = candles([1.0, 2.0, 3.0], volume=[0.0, 0.0, 2.0])
    np.testing.assert_array_equal(weekly_vwap(frame)["vwap"], [np.nan, np.nan, 3.0])


def test_deviation_of_large_prices_keeps_its_digits() -> None:
    frame = candles([1e8, 1e8 + 1e-3])
    found = weekly_vwap(frame)
    assert found["vwap_upper"][1] - found["vwap"][1] == pytest.approx(5e-4, rel=1e-3)


def test_mondays_range_is_known_from_tuesday_to_the_weeks_end() -> None:
    prices = [5.0, 8.0, 3.0, 6.0, *[99.0] * 24, 1.0, 1.0]
    found = monday_range(candles(prices))
    assert np.isnan(found["monday_high"][:4]).all()
    assert found["monday_high"][4:28].tolist() == [8.0] * 24
    assert found["monday_low"][4:28].tolist() == [3.0] * 24
    # On the next Monday it is forgotten.
    assert np.isnan(found["monday_high"][28:]).all()


def test_profile_is_of_the_day_before() -> None:
    low, high = [1.0, 1.0, 1.0, 1.0], [25.0, 25.0, 25.0, 25.0]
    frame = candles([5.0] * 9, low=[*low, *[7.0] * 5], high=[*high, *[7.0] * 5])
    found = previous_profile(frame)
    assert np.isnan(found["poc"][:4]).all()
    assert {*found["poc"][4:8]} == {1.5}
    assert (found["val"][4], found["vah"][4]) == (1.0, 18.0)
    assert found["poc"][8] == 7.0


def test_profile_of_an_incomplete_or_untraded_day_is_unknown() -> None:
    cut = previous_profile(candles([5.0] * 6, "2024-01-01 06:00"))
    assert np.isnan(cut["poc"]).all()
    idle = previous_profile(candles([5.0] * 5, volume=[0.0] * 4 + [1.0]))
    assert np.isnan(idle["poc"]).all()


@pytest.mark.parametrize(
    ("volumes", "area"),
    [
        # Rows of one unit of price each: the busiest, then its busier neighbour, until 70 %.
        ({10: 70, 3: 30}, (10, 10, 11)),
        ({10: 50, 11: 30, 9: 20}, (10, 10, 12)),
        ({10: 50, 11: 10, 9: 40}, (9, 10, 11)),
        # Of two that tie, the nearer to the busiest row.
        ({10: 40, 12: 60}, (10, 12, 14)),
        ({0: 60, 23: 40}, (0, 0, 24)),
        ({23: 60, 22: 40}, (22, 23, 24)),
    ],
)
def test_value_area_grows_to_the_busier_neighbour(
    volumes: dict[int, float], area: tuple[float, ...]
) -> None:
    # Candles without volume at both ends span the rows from 0 to 24.
    prices = np.array([0.0, float(ROWS), *(row + 0.5 for row in volumes)])
    volume = np.array([0.0, 0.0, *volumes.values()])
    val, poc, vah = volume_profile(prices, prices, volume)
    assert (val, poc, vah) == (area[0], area[1] + 0.5, area[2])


def test_volume_is_spread_over_a_candles_range() -> None:
    # Rows below 12 have 1 each, those above have 2: 24 of 36, and 2 more make 70 %.
    val, poc, vah = volume_profile(
        np.array([0.0, 12.0]), np.array([24.0, 24.0]), np.array([24.0, 12.0])
    )
    assert (val, poc) == (10.0, 12.5)
    assert vah == 24.0


@pytest.mark.parametrize("function", [weekly_vwap, monday_range, previous_profile])
def test_levels_take_one_candle(function: Callable[[pd.DataFrame], dict[str, Any]]) -> None:
    assert all(len(values) == 1 for values in function(candles([5.0])).values())


def test_candles_longer_than_a_day_are_refused() -> None:
    with pytest.raises(SettingsError, match="levels need candles of at most a day"):
        levels(candles([1.0, 2.0], step="3D"))
