"""Align higher-timeframe values with candles, using closed candles only."""

import numpy as np
from numpy.typing import NDArray

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators.rolling import Floats

_MINUTE = 60 * 10**9
_NANOSECONDS = {"m": _MINUTE, "h": 60 * _MINUTE, "d": 24 * 60 * _MINUTE, "w": 7 * 24 * 60 * _MINUTE}


def timeframe_ns(timeframe: str) -> int:
    """Return the length of a timeframe such as ``5m``, ``4h`` or ``1d`` in nanoseconds.

    :raises SettingsError: if it is not a number followed by m, h, d or w.

    >>> timeframe_ns("1h") // 10**9
    3600
    """
    number, unit = timeframe[:-1], timeframe[-1:]
    if not (number.isascii() and number.isdigit() and int(number) > 0 and unit in _NANOSECONDS):
        raise SettingsError(
            f"'{timeframe}' is not a timeframe: use a number and m, h, d or w, such as 5m or 4h"
        )
    return int(number) * _NANOSECONDS[unit]


def check_higher(timeframe: str, htf_timeframe: str) -> None:
    """Raise unless the higher timeframe is a multiple of the timeframe, and longer.

    :raises SettingsError: naming both.
    """
    length, higher = timeframe_ns(timeframe), timeframe_ns(htf_timeframe)
    if higher <= length or higher % length:
        raise SettingsError(
            f"htf_timeframe is {htf_timeframe}, it must be a multiple of the timeframe "
            f"({timeframe}) and longer than it"
        )


def align_higher_timeframe(
    rows: NDArray[np.int64],
    timeframe: str,
    htf_times: NDArray[np.int64],
    htf_timeframe: str,
    values: Floats,
) -> Floats:
    """Return for each candle the value of the last higher-timeframe candle that has closed.

    A higher-timeframe candle is visible from the candle that closes together with it until the
    next higher-timeframe candle is due. If that one is missing, the value is NaN.

    Source: ``docs/reference/signal.md``, rule 7.

    :param rows: opening times of the candles to fill, nanoseconds.
    :param htf_times: opening times of the higher timeframe's candles, rising.
    :param values: one value per element of ``htf_times``.
    :return: array of the rows' length.
    """
    result = np.full(rows.size, np.nan)
    if htf_times.size == 0:
        return result
    length, higher = timeframe_ns(timeframe), timeframe_ns(htf_timeframe)
    closes = rows + length
    htf_closes = htf_times + higher
    at = np.searchsorted(htf_closes, closes, side="right") - 1
    known = (at >= 0) & (closes - htf_closes[at] < higher)
    result[known] = values[at[known]]
    return result
