"""From a z-score to the flags of a run in one compiled pass, for grids of thresholds.

The rules are those of ``perp_imbalance.indicators.hysteresis``; a test compares them.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from perp_imbalance.simulation.markets import (
    ENTER_LONG,
    ENTER_SHORT,
    EXIT_LONG,
    EXIT_SHORT,
    Flags,
    Floats,
)

Bools = NDArray[np.bool_]


@njit(cache=True, error_model="numpy")
def zone_flags(  # noqa: C901
    z: Floats,
    has_premium: Bools,
    passes_long: Bools,
    passes_short: Bools,
    enter_z: float,
    exit_z: float,
    max_stale_candles: int,
    only_flips: bool,
    flags: Flags,
) -> None:
    """Write the flags of ``Signals``.

    :param passes_long: whether every gate of a LONG passes; a side that is off passes nowhere.
    :param max_stale_candles: candles in a row without a premium that end a bias; 0: none do.
    :param only_flips: entry mode ``flip`` in place of ``zone``.
    :param flags: is overwritten.

    >>> flags = np.empty(4, np.uint8)
    >>> yes = np.ones(4, np.bool_)
    >>> zone_flags(np.array([0.0, 2.0, 1.2, 0.5]), yes, yes, yes, 1.7, 0.9, 12, False, flags)
    >>> flags
    array([0, 4, 0, 8], dtype=uint8)
    """
    bias, missing, may_enter = 0, 0, False
    for row in range(z.size):
        value, before = z[row], bias
        missing = 0 if has_premium[row] else missing + 1
        if value >= enter_z:
            bias = -1
        elif value <= -enter_z:
            bias = 1
        elif abs(value) < exit_z or 0 < max_stale_candles <= missing:
            bias = 0
        flag = 0
        if bias != before:
            may_enter = bias != 0
            if before != 0:
                flag = EXIT_LONG if before > 0 else EXIT_SHORT
        elif only_flips:
            may_enter = False
        if may_enter and has_premium[row]:
            if bias > 0 and passes_long[row]:
                flag |= ENTER_LONG
                may_enter = False
            elif bias < 0 and passes_short[row]:
                flag |= ENTER_SHORT
                may_enter = False
        flags[row] = flag
