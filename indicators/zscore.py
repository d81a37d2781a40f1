"""How extreme a premium is: its smoothed z-score."""

from typing import NamedTuple

import numpy as np

from perp_imbalance.indicators.rolling import Floats, ema, rolling_mean_stdev

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
    mean, stdev = rolling_mean_stdev(premium, len_prem)
    raw = (premium - mean) / np.where(stdev > MIN_STDEV, stdev, np.nan)
    return ZScore(raw, ema(raw, smooth_len))
