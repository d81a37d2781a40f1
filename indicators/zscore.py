"""The smoothed z-score of a premium: how extreme it is."""

import math
from typing import NamedTuple

import numpy as np
import talib
from numpy.typing import NDArray

from perp_imbalance.indicators.rolling import (
    MEMORY_CANDLES,
    Floats,
    Rows,
    check_memory,
    dense_ema,
    dense_mean_stdev,
    expand,
    finite_rows,
    forget,
    row_numbers,
    span,
)

#: A premium whose standard deviation is not above this does not move: it has no z-score.
MIN_STDEV = 1e-10

#: No standard deviation of a premium index counts for less than 0.5 bps: see :func:`z_score`.
LEAST_INDEX_STDEV = 5e-5

# A share of a z-score that is lost in its rounding.
_NOTHING = 1e-17


class ZScore(NamedTuple):
    """The z-score before (``raw``) and after (``z``) smoothing; same length as the premium."""

    raw: Floats
    z: Floats


def z_score(
    premium: Floats,
    len_prem: int,
    smooth_len: int,
    memory: int = MEMORY_CANDLES,
    dead_zone: bool = False,
) -> ZScore:
    """Return ``(premium - mean) / stdev`` over the last finite premiums, and its EMA.

    A value equals that of a bot which loaded ``memory`` rows up to it: neither the window of
    premiums nor the EMA uses older rows.

    A premium index is exactly 0 while the index price lies inside the spread of the order book,
    often for hours. The standard deviation of a window of mostly zeros is near 0, so that any small
    premium would be extreme; a window of zeros would have no z-score. It is therefore never taken
    for less than 0.5 bps.

    Source: ``docs/reference/signal.md``, rules 2 and 3.

    :param premium: fractions; NaN where there is no fresh price.
    :param len_prem: finite premiums in the window, the current one included.
    :param smooth_len: period of the EMA; 1 does not smooth.
    :param memory: rows over which a value may reach back, its own included.
    :param dead_zone: whether this is a premium index, whose standard deviation is at least
        0.5 bps.
    :return: two arrays of the premium's length, NaN where undefined.
    :raises SettingsError: if the windows are longer than the memory.

    >>> z_score(np.array([0.0, 2.0, 4.0]), 2, 1).z
    array([nan,  1.,  1.])
    """
    check_memory(len_prem + smooth_len - 1, memory)
    rows = finite_rows(premium)
    dense = premium[rows]
    mean, stdev = dense_mean_stdev(dense, len_prem)
    if dead_zone:
        np.maximum(stdev, LEAST_INDEX_STDEV, out=stdev)
    stdev[stdev <= MIN_STDEV] = np.nan
    forget(stdev, rows, len_prem, memory)
    raw = np.subtract(dense, mean, out=mean)
    raw /= stdev
    return smooth_raw(raw, rows, premium.size, len_prem, smooth_len, memory)


def smooth_raw(
    raw: Floats, rows: Rows, size: int, window: int, smooth_len: int, memory: int
) -> ZScore:
    """Return raw z-scores and their EMA, both on the rows of all premiums.

    :param raw: one per finite premium, NaN where undefined.
    :param rows: rows of the finite premiums.
    :param size: length of the result.
    :param window: finite premiums in the window of each raw z-score.
    :param smooth_len: period of the EMA; 1 does not smooth.
    :param memory: rows over which a value may reach back, its own included.
    """
    known = finite_rows(raw)
    inputs = raw[known]
    smooth = dense_ema(inputs, smooth_len)
    settled = _candles_to_settle(smooth_len)
    # The fast path: so few rows are missing that every EMA has settled within the memory.
    if smooth_len > 1 and span(rows) - inputs.size + smooth_len + settled > memory:
        ends = row_numbers(known)
        numbers = row_numbers(rows)
        begins = numbers[ends - window + 1]
        _start_anew(smooth, inputs, begins, numbers[ends] - memory + 1, smooth_len)
    z = expand(smooth, known, raw.size)
    return ZScore(expand(raw, rows, size), expand(z, rows, size))


def _candles_to_settle(smooth_len: int) -> int:
    """Return the number of inputs after which the seed of an EMA no longer affects a float."""
    if smooth_len == 1:
        return 0
    return math.ceil(math.log(_NOTHING) / math.log(_kept_share(smooth_len)))


def _kept_share(smooth_len: int) -> float:
    """Return the weight of the previous value in an EMA: 1 - alpha."""
    return (smooth_len - 1) / (smooth_len + 1)


def _start_anew(
    smooth: Floats,
    inputs: Floats,
    begins: NDArray[np.int64],
    oldest: NDArray[np.int64],
    smooth_len: int,
) -> None:
    """Replace each value of an EMA, in place, by that of an EMA which starts within the memory.

    The difference of two EMAs over the same inputs shrinks by a constant factor per input. So the
    later EMA equals the given one minus what remains of their difference at the later seed.

    :param smooth: the EMA over all inputs.
    :param inputs: raw z-scores, all finite.
    :param begins: the first row of each window, increasing.
    :param oldest: the first row of each memory, increasing.
    """
    settled = _candles_to_settle(smooth_len) + smooth_len - 1
    # The seed of an EMA that is as old as the inputs is its own.
    late = np.flatnonzero(begins[0] < oldest[:settled]) if begins.size else begins
    late = np.append(late, np.flatnonzero(begins[:-settled] < oldest[settled:]) + settled)
    if not late.size:
        return
    seeded = begins.searchsorted(oldest[late]) + smooth_len - 1
    known = seeded <= late
    unknown, late, seeded = late[~known], late[known], seeded[known]
    seeds = talib.SMA(inputs, smooth_len)[seeded]
    left = _kept_share(smooth_len) ** (late - seeded)
    smooth[late] -= left * (smooth[seeded] - seeds)
    smooth[unknown] = np.nan
