"""Moving averages and standard deviations that survive gaps and frozen prices.

TA-Lib does the work. Two of its habits are dealt with here, once: a NaN inside the input makes
everything after it NaN, and its running sums leave a rounding error where a window is constant.
"""

from typing import NamedTuple

import numpy as np
import talib
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# TA-Lib before 0.8 takes every variance below 1e-14 for zero, which a premium's easily is.
# Scaling by a power of two is exact, so newer versions give the same digits with it.
_UNIT = 2.0**14

# Below this share of the largest square seen so far, a variance from running sums has lost too
# many digits and is computed again from its window.
_CANCELLATION = 1e-8

# Rows computed again at a time: bounds the memory of a long frozen stretch.
_CHUNK = 4096


class MeanStdev(NamedTuple):
    """A moving mean and the population standard deviation around it; same length as the input."""

    mean: Floats
    stdev: Floats


def expand(values: Floats, mask: Bools) -> Floats:
    """Put compacted values back where the mask is true, NaN elsewhere.

    :param values: one value per true element of ``mask``.
    :param mask: where they came from.
    :return: array of the mask's length.

    >>> expand(np.array([1.0, 2.0]), np.array([True, False, True]))
    array([ 1., nan,  2.])
    """
    if values.size == mask.size:
        return values
    result = np.full(mask.size, np.nan)
    result[mask] = values
    return result


def rolling_mean_stdev(values: Floats, length: int) -> MeanStdev:
    """Return mean and population standard deviation over the last ``length`` finite values.

    Rows whose value is not finite are skipped: they get NaN and do not count.

    :param values: any unit; may hold NaN and infinities.
    :param length: window in finite values, the current one included; at least 2.
    :return: arrays of the input's length, NaN until ``length`` finite values exist.

    >>> rolling_mean_stdev(np.array([1.0, np.nan, 3.0]), 2).stdev
    array([nan, nan,  1.])
    """
    finite = np.isfinite(values)
    dense = values if finite.all() else values[finite]
    if dense.size < length:
        nothing = np.full(values.size, np.nan)
        return MeanStdev(nothing, nothing.copy())
    mean = talib.SMA(dense, length)
    stdev = talib.STDDEV(dense * _UNIT, length)
    stdev /= _UNIT
    _repair_cancellation(dense, length, mean, stdev)
    return MeanStdev(expand(mean, finite), expand(stdev, finite))


def _repair_cancellation(dense: Floats, length: int, mean: Floats, stdev: Floats) -> None:
    """Compute in place again the rows whose variance the running sums cannot resolve."""
    bound = max(dense.max(), -dense.min())
    if stdev[length - 1 :].min() ** 2 > _CANCELLATION * bound * bound:
        return
    largest_square = np.maximum.accumulate(dense * dense)
    doubtful = np.flatnonzero(stdev * stdev <= _CANCELLATION * largest_square)
    windows = sliding_window_view(dense, length)
    for start in range(0, doubtful.size, _CHUNK):
        rows = doubtful[start : start + _CHUNK]
        window = windows[rows - length + 1]
        frozen = window.min(axis=1) == window.max(axis=1)
        mean[rows] = np.where(frozen, window[:, -1], window.mean(axis=1))
        stdev[rows] = np.where(frozen, 0.0, window.std(axis=1))


def ema(values: Floats, length: int) -> Floats:
    """Return the exponential moving average, seeded with the mean of its first inputs.

    alpha = 2 / (length + 1). A value that is not finite gives NaN and leaves the state untouched.

    :param values: any unit; may hold NaN and infinities.
    :param length: period; 1 returns the finite values unchanged.
    :return: array of the input's length, NaN until ``length`` finite values exist.

    >>> ema(np.array([1.0, 3.0, np.nan, 4.0]), 2)
    array([       nan, 2.        ,        nan, 3.33333333])
    """
    finite = np.isfinite(values)
    dense = values if finite.all() else values[finite]
    if length == 1:
        return expand(dense, finite)
    if dense.size < length:
        return np.full(values.size, np.nan)
    return expand(talib.EMA(dense, length), finite)
