"""How extreme a premium is: its smoothed z-score."""

from typing import NamedTuple

import numpy as np

from perp_imbalance.indicators.rolling import (
    Floats,
    dense_mean_stdev,
    ema,
    expand,
    finite_rows,
)

#: A premium whose standard deviation is not above this does not move: it has no z-score.
MIN_STDEV = 1e-10


class ZScore(NamedTuple):
    """The z-score before (``raw``) and after (``z``) smoothing; same length as the premium."""

    raw: Floats
    z: Floats


def z_score(premium: Floats, len_prem: int, smooth_len: int) -> ZScore:
    """Return ``(premium - mean) / stdev`` over the last finite premiums, and its EMA.

    Source: ``spec.md``, rules 2 and 3.

    :param premium: fractions; NaN where there is no fresh price.
    :param len_prem: finite premiums in the window, the current one included.
    :param smooth_len: period of the EMA; 1 is none.
    :return: two arrays of the premium's length, NaN where undefined.

    >>> z_score(np.array([0.0, 2.0, 4.0]), 2, 1).z
    array([nan,  1.,  1.])
    """
    rows = finite_rows(premium)
    dense = premium[rows]
    mean, stdev = dense_mean_stdev(dense, len_prem)
    stdev[stdev <= MIN_STDEV] = np.nan
    raw = np.subtract(dense, mean, out=mean)
    raw /= stdev
    z = ema(raw, smooth_len)
    return ZScore(expand(raw, rows, premium.size), expand(z, rows, premium.size))
