"""Bollinger bands of the perp's close."""

from typing import NamedTuple

import numpy as np

from perp_imbalance.indicators.rolling import (
    MEMORY_CANDLES,
    Floats,
    check_memory,
    dense_mean_stdev,
    expand,
    finite_rows,
    forget,
)


class Bands(NamedTuple):
    """Moving mean and the bands around it, in units of the price."""

    middle: Floats
    upper: Floats
    lower: Floats


def bollinger_bands(close: Floats, bb_len: int, bb_k: float, memory: int = MEMORY_CANDLES) -> Bands:
    """Return ``mean ± bb_k × population stdev`` over the last ``bb_len`` finite closes.

    Source: ``docs/reference/signal.md``, rule 4. While the price does not change, the three bands
    are equal.

    :param close: prices; a NaN row gets NaN bands and is not counted in the window.
    :param bb_len: closes in the window, the current one included.
    :param bb_k: width in standard deviations.
    :param memory: most rows that a window may span.
    :return: three arrays of the input's length, NaN until ``bb_len`` closes exist.
    :raises SettingsError: if the window is longer than the memory.

    >>> bollinger_bands(np.array([1.0, 3.0]), 2, 1.0).upper
    array([nan,  3.])
    """
    check_memory(bb_len, memory)
    rows = finite_rows(close)
    middle, width = dense_mean_stdev(close[rows], bb_len)
    forget(middle, rows, bb_len, memory)
    width *= bb_k
    upper = middle + width
    lower = np.subtract(middle, width, out=width)
    return Bands(*(expand(band, rows, close.size) for band in (middle, upper, lower)))
