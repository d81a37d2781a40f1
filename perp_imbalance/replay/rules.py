"""Tick and step sizes of a symbol, derived from its candles."""

import math
from dataclasses import dataclass

import numpy as np

from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.replay.candle_store import Series

#: Decimals of a price that a symbol may have.
MAX_DECIMALS = 14


@dataclass(frozen=True)
class TradingRules:
    """Decimal places of a symbol's prices and amounts."""

    price_decimals: int = 8
    amount_decimals: int = 8

    @property
    def tick(self) -> float:
        """The smallest price step."""
        return float(10**-self.price_decimals)

    def price(self, value: float) -> str:
        """Return a price as text, rounded to a tick."""
        return f"{value:.{self.price_decimals}f}"

    def amount(self, value: float) -> str:
        """Return an amount of the base as text, rounded to a step."""
        return f"{value:.{self.amount_decimals}f}"


def trading_rules(series: Series, opened: int) -> TradingRules:
    """Return the rules that fit a symbol's candles.

    The tick is derived from the whole file and never changes: the prices of a few hundred candles
    may all be round by chance. The step of an amount is a power of ten, at most 1 of the base, and
    worth at most 1 of the quote currency at the newest of the first ``opened`` candles.
    """
    price = float(series.values[opened - 1, 0]) if opened else 0.0
    if price <= 0:
        return TradingRules()
    return TradingRules(
        price_decimals=price_decimals(series.values[:, :4]),
        amount_decimals=max(0, math.ceil(math.log10(price))),
    )


def price_decimals(prices: Floats) -> int:
    """Return the largest number of decimals of any price.

    >>> price_decimals(np.array([[42000.0, 42000.5], [41999.25, 0.0]]))
    2
    """
    left = prices[np.isfinite(prices)]
    for decimals in range(MAX_DECIMALS):
        # What is left are prices with more decimals: of a long file, soon few. A float has some 15
        # digits, so what it adds beyond them is no decimal of the price.
        left = left[np.abs(left - np.round(left, decimals)) > np.abs(left) * 1e-14]
        if not len(left):
            return decimals
    return MAX_DECIMALS
