"""Figures of performance: buy and hold, and drawdown."""

import pandas as pd


def buy_and_hold(
    closes: pd.DataFrame, first: "pd.Series[float] | None" = None
) -> "pd.Series[float]":
    """Return the value of 1 spread evenly over all pairs at the start and held.

    The share of a pair whose candles begin later is cash until then.

    :param closes: one column per pair, one row per candle.
    :param first: the price each pair is bought at; its first close unless given.

    >>> buy_and_hold(pd.DataFrame({"a": [10.0, 20.0], "b": [4.0, 2.0]})).tolist()
    [1.0, 1.25]
    """
    if closes.empty:
        return pd.Series(dtype=float)
    bought = closes.bfill().iloc[0] if first is None else first
    return (closes.ffill() / bought).fillna(1.0).mean(axis=1)


def drawdown(equity: "pd.Series[float]") -> "pd.Series[float]":
    """Return the distance of a wallet from its highest value so far, in percent; 0 or below.

    >>> drawdown(pd.Series([100.0, 80.0, 120.0, 90.0])).round(6).tolist()
    [0.0, -20.0, 0.0, -25.0]
    """
    return (equity / equity.cummax() - 1.0) * 100.0
