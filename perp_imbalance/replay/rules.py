"""Tick and step sizes of a symbol, derived from its candles."""

import math
from dataclasses import dataclass

import pandas as pd
from freqtrade.data.btanalysis import get_tick_size_over_time

from perp_imbalance.replay.candle_store import OHLCV, Series

# A tick shows in some candle of a few hundred; more of them cost time and change nothing.
CANDLES_FOR_TICK = 500


@dataclass(frozen=True)
class TradingRules:
    """Decimal places of a symbol's prices and amounts."""

    price_decimals: int = 8
    amount_decimals: int = 8

    @property
    def tick(self) -> float:
        """The smallest step of a price."""
        return float(10**-self.price_decimals)

    def price(self, value: float) -> str:
        """Write a price on a tick."""
        return f"{value:.{self.price_decimals}f}"

    def amount(self, value: float) -> str:
        """Write an amount of the base on a step."""
        return f"{value:.{self.amount_decimals}f}"


def trading_rules(series: Series, opened: int) -> TradingRules:
    """Return the rules that fit the newest of the first ``opened`` candles.

    The step of an amount is a power of ten, worth at most 1 of the quote currency and never more
    than 1 of the base.
    """
    recent = slice(max(0, opened - CANDLES_FOR_TICK), opened)
    values = series.values[recent].copy()
    if not len(values) or values[-1, 0] <= 0:
        return TradingRules()
    # The open alone is known of a candle that is not closed yet.
    values[-1, 1:4] = values[-1, 0]
    frame = pd.DataFrame(values, columns=OHLCV)
    frame["date"] = pd.to_datetime(series.times[recent], unit="ms", utc=True)
    tick = get_tick_size_over_time(frame).min()
    return TradingRules(
        price_decimals=0 if math.isnan(tick) else round(-math.log10(tick)),
        amount_decimals=max(0, math.ceil(math.log10(values[-1, 0]))),
    )
