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
Rows = Bools | slice

# Below this share of the largest square seen so far, a variance from running sums has lost too
# many digits and is computed again from its window.
_CANCELLATION = 1e-8

# Rows computed again at a time: bounds the memory of a long frozen stretch.
_CHUNK = 4096


class MeanStdev(NamedTuple):
    """A moving mean and the population standard deviation around it; same length as the input."""

    mean: Floats
    stdev: Floats


def finite_rows(values: Floats) -> Rows:
    """Return which values are finite: a slice, which costs no copy, where they are in one run.

    >>> finite_rows(np.array([np.nan, 1.0, 2.0]))
    slice(1, 3, None)
    """
    finite = np.isfinite(values)
    first = int(finite.argmax()) if finite.size else 0
    return slice(first, finite.size) if finite[first:].all() else finite


def expand(values: Floats, rows: Rows, size: int) -> Floats:
    """Put compacted values back on the rows they came from, NaN elsewhere.

    :param values: one value per row.
    :param rows: from :func:`finite_rows`.
    :param size: length of the result.

    >>> expand(np.array([1.0, 2.0]), np.array([True, False, True]), 3)
    array([ 1., nan,  2.])
    """
    if values.size == size:
        return values
    if isinstance(rows, slice):
        result = np.full(size, np.nan)
    else:
        result = np.empty(size)
        result[~rows] = np.nan
    result[rows] = values
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
    rows = finite_rows(values)
    mean, stdev = dense_mean_stdev(values[rows], length)
    return MeanStdev(expand(mean, rows, values.size), expand(stdev, rows, values.size))


def dense_mean_stdev(dense: Floats, length: int) -> MeanStdev:
    """Do the same as :func:`rolling_mean_stdev` with finite values only."""
    if dense.size < length:
        return MeanStdev(np.full(dense.size, np.nan), np.full(dense.size, np.nan))
    mean = talib.SMA(dense, length)
    # Not STDDEV: before 0.8 that takes every variance below 1e-14 for zero, a premium's easily is.
    variance = talib.VAR(dense, length)
    _repair_cancellation(dense, length, mean, variance)
    return MeanStdev(mean, np.sqrt(variance, out=variance))


def _repair_cancellation(dense: Floats, length: int, mean: Floats, variance: Floats) -> None:
    """Compute in place again the rows whose variance the running sums cannot resolve."""
    bound = max(dense.max(), -dense.min())
    if variance[length - 1 :].min() > _CANCELLATION * bound * bound:
        return
    largest_square = np.maximum.accumulate(dense * dense)
    doubtful = np.flatnonzero(variance <= _CANCELLATION * largest_square)
    windows = sliding_window_view(dense, length)
    for start in range(0, doubtful.size, _CHUNK):
        rows = doubtful[start : start + _CHUNK]
        window = windows[rows - length + 1]
        frozen = window.min(axis=1) == window.max(axis=1)
        mean[rows] = np.where(frozen, window[:, -1], window.mean(axis=1))
        variance[rows] = np.where(frozen, 0.0, window.var(axis=1))


def ema(values: Floats, length: int) -> Floats:
    """Return the exponential moving average, seeded with the mean of its first inputs.

    alpha = 2 / (length + 1). A value that is not finite gives NaN and leaves the state untouched.

    :param values: any unit; may hold NaN and infinities.
    :param length: period; 1 returns the finite values unchanged.
    :return: array of the input's length, NaN until ``length`` finite values exist.

    >>> ema(np.array([1.0, 3.0, np.nan, 4.0]), 2)
    array([       nan, 2.        ,        nan, 3.33333333])
    """
    rows = finite_rows(values)
    dense = values[rows]
    if dense.size < length:
        return np.full(values.size, np.nan)
    smooth = talib.EMA(dense, length) if length > 1 else dense
    return expand(smooth, rows, values.size)
