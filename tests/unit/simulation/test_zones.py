"""The compiled pass makes the entries and exits of the indicators."""

from typing import Literal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from perp_imbalance.indicators.hysteresis import LONG, SHORT, entries, exits, hysteresis
from perp_imbalance.simulation import signals, zone_flags


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(1, 60),
    stale=st.integers(0, 4),
    mode=st.sampled_from(["zone", "flip"]),
)
def test_flags_are_those_of_the_indicators(
    seed: int, count: int, stale: int, mode: Literal["zone", "flip"]
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
    found = np.empty(count, np.uint8)
    is_flip = mode == "flip"
    zone_flags(z, has_premium, long_passes, short_passes, 1.7, 0.9, stale, is_flip, found)
    assert found.tolist() == expected.tolist()
