"""What else tells of a crowd beside the premium: the funding rate, the open interest.

Each is one array on the rows of the perp's candles, NaN where nothing is known at a candle's close.
"""

import numpy as np
import pandas as pd

from perp_imbalance.indicators.higher_timeframe import timeframe_ns
from perp_imbalance.indicators.premium import on_rows_of, open_times
from perp_imbalance.indicators.rolling import Floats

#: A funding rate that was settled longer ago than this is no longer known: exchanges settle at
#: least every 8 hours, so one was missed.
MAX_FUNDING_AGE = timeframe_ns("16h")

_SECOND = 10**9


def known_funding(candles: pd.DataFrame, timeframe: str, rates: pd.DataFrame) -> Floats:
    """Return for each candle the last funding rate that was settled before its close.

    One that is settled at the very close belongs to the next candle: exchanges publish it seconds
    later, when a bot has already decided.

    :param candles: column ``date``.
    :param timeframe: their length.
    :param rates: freqtrade's funding rates: ``date`` of the settlement, ``funding_rate``.
    :return: fractions of the position, NaN where none is known.
    """
    closes = open_times(candles, "perp") + timeframe_ns(timeframe)
    known = np.full(closes.size, np.nan)
    if rates.empty:
        return known
    # Exchanges stamp a settlement some milliseconds late; freqtrade keeps what they write.
    settled = open_times(rates, "funding rate") // _SECOND * _SECOND
    at = np.searchsorted(settled, closes, side="left") - 1
    there = at >= 0
    there[there] = closes[there] - settled[at[there]] <= MAX_FUNDING_AGE
    known[there] = rates["funding_rate"].to_numpy(dtype=np.float64)[at[there]]
    return known


def open_interest(candles: pd.DataFrame, interest: pd.DataFrame) -> Floats:
    """Return for each candle the open interest that exchanges name by its opening time.

    In coins, so that a move of the price is no move of it; where an exchange gives none, in money.

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
    """Return by which share values have changed over so many rows; NaN where either is.

    :param values: one per candle.

    >>> change(np.array([2.0, 3.0, 1.0]), 1)
    array([        nan,  0.5       , -0.66666667])
    """
    result = np.full(values.size, np.nan)
    if candles < values.size:
        result[candles:] = values[candles:] / values[:-candles] - 1
    return result
