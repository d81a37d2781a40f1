"""Moving averages and standard deviations that survive gaps and frozen prices.

TA-Lib computes them. Version 0.8 or newer is needed: older ones take every variance below 1e-14
for zero, and that of a premium often is smaller. In TA-Lib a NaN inside the input makes everything
after it NaN; the functions here remove NaN first.
"""

from typing import NamedTuple

import numpy as np
import talib
from numpy.typing import NDArray

from perp_imbalance.errors import SettingsError

#: Candles over which a window may reach back, the current one included: those that the strategy
#: loads at its start. Binance answers 494 in one request.
MEMORY_CANDLES = 459

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Rows = Bools | slice


class MeanStdev(NamedTuple):
    """A moving mean and the population standard deviation around it; same length as the input."""

    mean: Floats
    stdev: Floats


def finite_rows(values: Floats) -> Rows:
    """Return which values are finite: as a slice, which needs no copy, if they are contiguous.

    >>> finite_rows(np.array([np.nan, 1.0, 2.0]))
    slice(1, 3, None)
    """
    finite = np.isfinite(values)
    first = int(finite.argmax()) if finite.size else 0
    return slice(first, finite.size) if finite[first:].all() else finite


def expand(values: Floats, rows: Rows, size: int) -> Floats:
    """Return compacted values on the rows they came from, NaN elsewhere.

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

    Rows whose value is not finite get NaN and are not counted in the window.

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
    variance = talib.VAR(dense, length)
    return MeanStdev(talib.SMA(dense, length), np.sqrt(variance, out=variance))


def check_memory(length: int, memory: int) -> None:
    """Raise if a window is longer than the memory.

    :raises SettingsError: if it is.
    """
    if length > memory:
        raise SettingsError(
            f"a window of {length} candles does not fit into the {memory} that are loaded at the "
            "start: shorten the lookback"
        )


def row_numbers(rows: Rows) -> Ints:
    """Return the number of each row that :func:`finite_rows` found."""
    return np.arange(rows.start, rows.stop) if isinstance(rows, slice) else np.flatnonzero(rows)


def span(rows: Rows) -> int:
    """Return the most rows that the finite values can span."""
    return int(rows.stop - rows.start) if isinstance(rows, slice) else rows.size


def forget(windows: Floats, rows: Rows, length: int, memory: int) -> None:
    """Set to NaN, in place, values whose window begins before the memory.

    :param windows: one value per finite row: a mean, a standard deviation.
    :param rows: from :func:`finite_rows`.
    :param length: finite values in a window.
    :param memory: most rows that a window may span, its last row included.

    >>> means = np.array([np.nan, 1.5, 2.5])
    >>> forget(means, np.array([True, True, False, False, True]), 2, 3)
    >>> means
    array([nan, 1.5, nan])
    """
    if span(rows) - windows.size + length <= memory or windows.size < length:
        return
    numbers = row_numbers(rows)
    reach = numbers[length - 1 :] - numbers[: numbers.size - length + 1]
    windows[length - 1 :][reach >= memory] = np.nan


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
    return expand(dense_ema(values[rows], length), rows, values.size)


def dense_ema(dense: Floats, length: int) -> Floats:
    """Do the same as :func:`ema` with finite values only."""
    if dense.size < length:
        return np.full(dense.size, np.nan)
    return talib.EMA(dense, length) if length > 1 else dense
