"""The replayed market as an account sees it, up to the time of the clock."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, Protocol

import numpy as np
from freqtrade.enums import CandleType

from perp_imbalance.replay import binance
from perp_imbalance.replay.binance import Quote
from perp_imbalance.replay.candle_store import CandleStore, Market, Series, Symbol


class Price(NamedTuple):
    """The prices of a perp at one time; all 0 if it has no price then."""

    bid: Decimal
    ask: Decimal
    last: Decimal
    mark: Decimal


class Candle(NamedTuple):
    """A closed candle of traded prices, with high and low of the mark price in the same time.

    While a longer candle of the mark price is unfinished, both are the mark price known at the end.
    """

    end: int
    open: Decimal
    high: Decimal
    low: Decimal
    mark_high: Decimal
    mark_low: Decimal


class Funding(NamedTuple):
    """A funding rate and the mark price at its settlement."""

    time: int
    rate: Decimal
    mark: Decimal


@dataclass(frozen=True)
class Steps:
    """The smallest steps of a perp's price and amount."""

    price: Decimal
    amount: Decimal


class Prices(Protocol):
    """The market as an account sees it; times in ms."""

    def symbols(self) -> dict[str, Symbol]:
        """Return the perps by Binance's name."""

    def steps(self, symbol: str, now: int) -> Steps:
        """Return the steps of price and amount."""

    def at(self, symbol: str, now: int) -> Price:
        """Return the prices at a moment."""

    def candles(self, symbol: str, after: int, until: int) -> list[Candle]:
        """Return the candles that closed after one moment and not after the other."""

    def fundings(self, symbol: str, after: int, until: int) -> list[Funding]:
        """Return the funding rates that were charged in that time."""


class StoredPrices:
    """The market of a folder of candles.

    :param store: the candles
    :param quote: returns a perp's quote at a moment, the one that the order book is made of
    """

    def __init__(self, store: CandleStore, quote: Callable[[Symbol, int], Quote]) -> None:
        self._store = store
        self._quote = quote
        # With those that a fault takes from the market list: a position there still has a price.
        self._perps = CandleStore.symbols(store, Market.PERP)

    def symbols(self) -> dict[str, Symbol]:
        """Return the perps by Binance's name."""
        return self._store.symbols(Market.PERP)

    def steps(self, symbol: str, now: int) -> Steps:
        """Return the steps of price and amount."""
        rules = self._quote(self._perps[symbol], now).rules
        tick, step = rules.price(rules.tick), rules.amount(10**-rules.amount_decimals)
        return Steps(Decimal(tick), Decimal(step))

    def at(self, symbol: str, now: int) -> Price:
        """Return the prices at a moment."""
        quote = self._quote(self._perps[symbol], now)
        ticker = binance.book_ticker(quote)
        last = Decimal(quote.rules.price(quote.price))
        return Price(
            bid=Decimal(ticker["bidPrice"]),
            ask=Decimal(ticker["askPrice"]),
            last=last,
            mark=self._mark(symbol, now) or last,
        )

    def candles(self, symbol: str, after: int, until: int) -> list[Candle]:
        """Return the candles that closed after one moment and not after the other."""
        traded = self._store.finest(self._perps[symbol], CandleType.FUTURES)
        marks = self._store.finest(self._perps[symbol], CandleType.MARK)
        found = []
        for row in range(traded.closed(after), traded.closed(until)):
            if not np.isfinite(traded.values[row]).all():
                continue
            end = int(traded.ends[row])
            opened, high, low = (_decimal(traded.values[row, column]) for column in range(3))
            mark = _row_that_ends(marks, end)
            if mark is not None:
                mark_high, mark_low = (_decimal(marks.values[mark, column]) for column in (1, 2))
            elif known := self._mark(symbol, end):
                # Inside a longer candle of the mark price, its reach is not known yet.
                mark_high = mark_low = known
            else:
                mark_high, mark_low = high, low
            found.append(Candle(end, opened, high, low, mark_high, mark_low))
        return found

    def fundings(self, symbol: str, after: int, until: int) -> list[Funding]:
        """Return the funding rates that were charged in that time."""
        rates = self._store.finest(self._perps[symbol], CandleType.FUNDING_RATE)
        return [
            Funding(time, _decimal(rates.values[row, 0]), self.at(symbol, time).mark)
            for row in range(rates.closed(after), rates.closed(until))
            if (time := int(rates.ends[row]))
        ]

    def _mark(self, symbol: str, now: int) -> Decimal:
        series = self._store.finest(self._perps[symbol], CandleType.MARK)
        return _decimal(binance.newest(series, now)[1])


def _row_that_ends(series: Series, end: int) -> int | None:
    row = series.closed(end) - 1
    return row if row >= 0 and int(series.ends[row]) == end else None


def _decimal(value: float) -> Decimal:
    return Decimal(binance.number(float(value)))
