"""Bollinger bands of the perp's close."""

from typing import NamedTuple

import numpy as np

from perp_imbalance.indicators.rolling import Floats, rolling_mean_stdev


class Bands(NamedTuple):
    """Moving mean and the bands around it, in units of the price."""

    middle: Floats
    upper: Floats
    lower: Floats


def bollinger_bands(close: Floats, bb_len: int, bb_k: float) -> Bands:
    """Return ``mean ± bb_k × population stdev`` over the last ``bb_len`` finite closes.

    Source: ``spec.md``, rule 4. On a frozen price the bands coincide exactly.

    :param close: prices; NaN rows get NaN bands and do not count.
    :param bb_len: closes in the window, the current one included.
    :param bb_k: width in standard deviations.
    :return: three arrays of the input's length, NaN until ``bb_len`` closes exist.

    >>> bollinger_bands(np.array([1.0, 3.0]), 2, 1.0).upper
    array([nan,  3.])
    """
    middle, width = rolling_mean_stdev(close, bb_len)
    width *= bb_k
    upper = middle + width
    return Bands(middle, upper, np.subtract(middle, width, out=width))
