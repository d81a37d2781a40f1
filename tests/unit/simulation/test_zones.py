"""The compiled pass makes the entries and exits of the indicators."""

from typing import Any, Literal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from perp_imbalance.indicators.hysteresis import (
    LONG,
    SHORT,
    entries,
    exits,
    hysteresis,
    stale_rows,
)
from perp_imbalance.simulation import signals, zone_events
from perp_imbalance.simulation.markets import ENTER_LONG, ENTER_SHORT
from perp_imbalance.simulation.records import EVENT


@njit
def zone_events_of(*arguments: Any) -> int:
    return zone_events(*arguments)


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(1, 60),
    stale=st.integers(0, 4),
    mode=st.sampled_from(["zone", "flip"]),
    begin=st.integers(0, 5),
)
def test_flags_are_those_of_the_indicators(
    seed: int, count: int, stale: int, mode: Literal["zone", "flip"], begin: int
) -> None:
    random = np.random.default_rng(seed)
    z = np.round(random.normal(0, 1.5, count), 1)
    has_premium = random.random(count) < 0.7
    z[~has_premium | (random.random(count) < 0.1)] = np.nan
    long_passes, short_passes = random.random((2, count)) < 0.5
    bias = hysteresis(z, has_premium, enter_z=1.7, exit_z=0.9, max_stale_candles=stale)
    expected = signals(
        enter_long=entries(bias, LONG, long_passes & has_premium, mode),
        exit_long=exits(bias, LONG),
        enter_short=entries(bias, SHORT, short_passes & has_premium, mode),
        exit_short=exits(bias, SHORT),
    ).flags
    gates = np.vstack([long_passes * ENTER_LONG + short_passes * ENTER_SHORT, has_premium * 5])
    is_stale = np.zeros(count, np.uint8)
    if stale:
        is_stale[stale_rows(has_premium, stale)] = 1
    extremes = np.flatnonzero(np.abs(z) >= 1.2)
    events = np.empty(count, EVENT)
    chosen = np.array([[-1, -1, -1], [0, -1, 1]])
    begin = min(begin, count)
    found = zone_events_of(
        *(z, is_stale, gates.astype(np.uint8), chosen, 1, extremes, 0, extremes.size, count),
        *(1.7, 0.9, mode == "flip", begin, 7, events, 0),
    )
    flags = np.zeros(count, np.uint8)
    flags[events["row"][:found] - 7] = events["bits"][:found]
    assert flags.tolist() == [0] * begin + expected.tolist()[begin:]
