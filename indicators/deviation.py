"""The distance of a premium from its own median, in basis points and as a robust z-score."""

from contextlib import suppress
from typing import NamedTuple

import bottleneck
import numpy as np

from perp_imbalance.indicators.rolling import (
    MEMORY_CANDLES,
    Floats,
    Ints,
    check_memory,
    expand,
    finite_rows,
    forget,
    row_numbers,
    span,
)
from perp_imbalance.indicators.zscore import LEAST_INDEX_STDEV, MIN_STDEV, smooth_raw

#: Finite premiums before a deviation is defined, or the whole window where that is shorter.
LEAST_PREMIUMS = 100

#: The standard deviation of a normal distribution in units of its median absolute deviation (MAD).
_NORMAL = 1.4826
_BPS = 1e4
#: From so many rows on, compiled code is worth the third of a second that numba takes to import.
_MANY_ROWS = 10_000


class Deviation(NamedTuple):
    """Distance of each premium from its moving median, in basis points."""

    bps: Floats


class RobustZScore(NamedTuple):
    """The robust z-score before and after smoothing, and the deviations behind it."""

    raw: Floats
    z: Floats
    bps: Floats


def deviation_bps(premium: Floats, dev_len: int, memory: int = MEMORY_CANDLES) -> Deviation:
    """Return ``1e4 × (premium − median)`` over the last finite premiums, the current one included.

    The window holds the last ``dev_len`` premiums that lie within the memory. The result is NaN
    where the window holds fewer than ``min(100, dev_len)`` premiums.

    Source: ``docs/reference/signal.md``, rule 8.

    :param premium: fractions; NaN where there is no fresh price.
    :param dev_len: finite premiums in the window; at least 2.
    :param memory: rows over which a window may reach back, its own included.
    :return: one array of the premium's length, NaN where undefined.

    >>> deviation_bps(np.array([0.0, 0.0, 0.001]), 3).bps
    array([nan, nan, 10.])
    """
    rows = finite_rows(premium)
    dense = premium[rows]
    begins = _begins(dense.size, dev_len)
    # Otherwise so few rows are missing that no window reaches back beyond the memory.
    if span(rows) - dense.size + dev_len > memory:
        numbers = row_numbers(rows)
        np.maximum(begins, numbers.searchsorted(numbers - memory + 1), out=begins)
    median = _moving_median(dense, begins, dev_len, min(LEAST_PREMIUMS, dev_len))
    return Deviation(expand((dense - median) * _BPS, rows, premium.size))


def robust_z_score(
    premium: Floats,
    dev_len: int,
    smooth_len: int,
    memory: int = MEMORY_CANDLES,
    dead_zone: bool = False,
) -> RobustZScore:
    """Return ``(premium − median) / (1.4826 × MAD)``, and its EMA.

    MAD is the median absolute deviation: the median distance of the last ``dev_len`` premiums
    from their moving medians. Both windows must be full, so the first value needs
    ``2 × dev_len − 1`` finite premiums.

    Source: ``docs/reference/signal.md``, rule 2.

    :param premium: fractions; NaN where there is no fresh price.
    :param dev_len: finite premiums in each window, the current one included.
    :param smooth_len: period of the EMA; 1 does not smooth.
    :param memory: rows over which a value may reach back, its own included.
    :param dead_zone: whether this is a premium index. Its MAD leaves out premiums of 0 and is at
        least 0.5 bps; otherwise it would be 0 where half of the premiums are 0.
    :return: three arrays of the premium's length, NaN where undefined.
    :raises SettingsError: if the windows are longer than the memory.

    >>> robust_z_score(np.array([0.0, 2.0, 0.0, 3.0]), 2, 1).z.round(4)
    array([    nan,     nan, -0.6745,  0.8094])
    """
    window = 2 * dev_len - 1
    check_memory(window + smooth_len - 1, memory)
    deviation = deviation_bps(premium, dev_len, memory).bps
    rows = finite_rows(premium)
    dense = deviation[rows]
    if dead_zone:
        known = np.where(premium[rows] == 0.0, np.nan, np.abs(dense))
        spread = _spread_beside_zeros(known, dev_len)
    else:
        spread = _moving_median(np.abs(dense), _begins(dense.size, dev_len), dev_len, dev_len)
        spread *= _NORMAL
        spread[spread <= MIN_STDEV * _BPS] = np.nan
    # Distances to the median of a window that was not full yet do not count.
    spread[: window - 1] = np.nan
    forget(spread, rows, window, memory)
    smoothed = smooth_raw(dense / spread, rows, premium.size, window, smooth_len, memory)
    return RobustZScore(smoothed.raw, smoothed.z, deviation)


def _spread_beside_zeros(distances: Floats, dev_len: int) -> Floats:
    """Return 1.4826 × MAD of the last nonzero premiums, but at least 0.5 bps.

    :param distances: distance of each premium from the moving median, in bps; NaN where the
        premium is 0.
    """
    if not distances.size:
        return distances
    median = bottleneck.move_median(distances, min(dev_len, distances.size), 1)
    least: Floats = np.fmax(median * _NORMAL, LEAST_INDEX_STDEV * _BPS)
    return least


def _begins(size: int, length: int) -> Ints:
    """Return the first row of each window of that length."""
    return np.maximum(np.arange(1 - length, size + 1 - length), 0)


def _moving_median(dense: Floats, begins: Ints, longest: int, least: int) -> Floats:
    """Return the median of each window, NaN where it holds fewer than ``least``.

    Long series use compiled code. A bot's short ones use bottleneck, since freqtrade's Docker
    image has no numba. numba raises RuntimeError where it cannot write its cache.
    """
    if dense.size >= _MANY_ROWS:
        with suppress(ImportError, RuntimeError):
            from perp_imbalance.indicators.moving_median import moving_median

            return moving_median(dense, begins, longest, least)
    median = _full_median(dense, longest, least)
    held = np.arange(1, dense.size + 1) - begins
    short = held < np.minimum(np.arange(1, dense.size + 1), longest)
    for length in np.unique(held[short]):
        those = short & (held == length)
        median[those] = _full_median(dense, int(length), least)[those]
    return median


def _full_median(dense: Floats, length: int, least: int) -> Floats:
    """Return the median of the last values, NaN where there are fewer than ``least``."""
    if dense.size < least or length < least:
        return np.full(dense.size, np.nan)
    median: Floats = bottleneck.move_median(dense, min(length, dense.size), least)
    return median
