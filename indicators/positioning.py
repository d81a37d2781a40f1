"""Signs of crowded positions besides the premium: the funding rate and the open interest.

Each is an array on the rows of the perp's candles, NaN where it is unknown at a candle's close.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from perp_imbalance.indicators.higher_timeframe import timeframe_ns
from perp_imbalance.indicators.premium import on_rows_of, open_times
from perp_imbalance.indicators.rolling import Floats

#: Rates are compared per so many hours, whatever the interval of their settlement.
FUNDING_HOURS = 8

#: A funding rate that was settled longer ago than this is no longer known: exchanges settle at
#: least every 8 hours, so one was missed.
MAX_FUNDING_AGE = timeframe_ns("16h")

_SECOND, _HOUR = 10**9, timeframe_ns("1h")


def known_funding(candles: pd.DataFrame, timeframe: str, rates: pd.DataFrame) -> dict[str, Floats]:
    """Return for each candle the last funding rate that was settled before its close.

    A rate settled exactly at the close belongs to the next candle: exchanges publish it seconds
    later, when a bot has already decided.

    :param candles: column ``date``.
    :param timeframe: length of these candles.
    :param rates: freqtrade's funding rates: ``date`` of the settlement, ``funding_rate``.
    :return: ``funding_rate``, a fraction of the position per 8 hours, and ``funding_rate_raw``, the
        fraction that was paid; NaN where unknown.
    """
    closes = open_times(candles, "perp") + timeframe_ns(timeframe)
    known = {name: np.full(closes.size, np.nan) for name in ("funding_rate", "funding_rate_raw")}
    if rates.empty:
        return known
    # Exchanges stamp a settlement some milliseconds late; freqtrade keeps what they write.
    settled = open_times(rates, "funding rate") // _SECOND * _SECOND
    at = np.searchsorted(settled, closes, side="left") - 1
    there = at >= 0
    there[there] = closes[there] - settled[at[there]] <= MAX_FUNDING_AGE
    paid = rates["funding_rate"].to_numpy(dtype=np.float64)
    known["funding_rate_raw"][there] = paid[at[there]]
    known["funding_rate"][there] = (paid * FUNDING_HOURS / funding_hours(settled))[at[there]]
    return known


def funding_hours(settled: NDArray[np.int64]) -> Floats:
    """Return the hours that each funding rate covers: those since the settlement before it.

    Uses settlements up to each one only. An interval of more than 8 hours (a settlement is missing)
    or less than one is replaced by the interval before it.

    :param settled: times of settlements in nanoseconds, rising.
    :return: whole hours, NaN before the first interval.

    >>> funding_hours(np.array([0, 8, 12, 36]) * 3600 * 10**9)
    array([nan,  8.,  4.,  4.])
    """
    hours = np.full(settled.size, np.nan)
    hours[1:] = np.rint(np.diff(settled) / _HOUR)
    hours[(hours < 1) | (hours > FUNDING_HOURS)] = np.nan
    return pd.Series(hours).ffill().to_numpy(dtype=np.float64)


def open_interest(candles: pd.DataFrame, interest: pd.DataFrame) -> Floats:
    """Return the open interest of each candle; exchanges stamp it with the opening time.

    In coins, so that the price does not change it; in money where an exchange gives no coins.

    :param candles: column ``date``.
    :param interest: freqtrade's open interest on the same timeframe: ``date``,
        ``open_interest_amount``, ``open_interest_value``.
    :return: NaN where it is not known or not above 0.
    """
    rows = open_times(candles, "perp")
    if interest.empty:
        return np.full(rows.size, np.nan)
    columns = (interest[f"open_interest_{name}"] for name in ("amount", "value"))
    amount, value = (column.to_numpy(dtype=np.float64) for column in columns)
    values = amount if np.isfinite(amount).any() else value
    found = on_rows_of(rows, open_times(interest, "open interest"), values)
    return np.where(found > 0, found, np.nan)


def change(values: Floats, candles: int) -> Floats:
    """Return the relative change over a number of rows; NaN where either value is NaN.

    :param values: one per candle.

    >>> change(np.array([2.0, 3.0, 1.0]), 1)
    array([        nan,  0.5       , -0.66666667])
    """
    result = np.full(values.size, np.nan)
    if candles < values.size:
        result[candles:] = values[candles:] / values[:-candles] - 1
    return result
