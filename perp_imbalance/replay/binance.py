"""Binance's answers as pure functions of candles, clock and request.

No answer contains data from after ``now``: a candle that has not closed has its open price only,
because its other values lie in the future.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from perp_imbalance.replay.candle_store import Market, Series, Symbol
from perp_imbalance.replay.query import Window
from perp_imbalance.replay.rules import TradingRules

Json = dict[str, Any]

DAY_MS = 24 * 60 * 60 * 1000
FUNDING_MS = 8 * 60 * 60 * 1000
# What Binance names as the end of a contract that has none.
NO_DELIVERY = 4133404800000
MAX_AMOUNT = 1e10
MIN_NOTIONAL = "5"
DEPTH_LEVELS = 20
DEPTH_QUOTE = 50_000


@dataclass(frozen=True)
class Quote:
    """The newest price of a symbol at the time of the clock; 0 where there is none."""

    symbol: Symbol
    rules: TradingRules
    time: int
    price: float


def number(value: float) -> str:
    """Return a number as text without an exponent that reads back as the same float."""
    text = repr(value)
    return np.format_float_positional(value, trim="0") if "e" in text else text


def klines(series: Series, now: int, window: Window) -> list[list[Any]]:
    """Return candles; the number of trades and the taker volume are unknown and 0."""
    rows = window.rows(series, now)
    values = series.values[rows].copy()
    ends = series.ends[rows]
    unfinished = ends > now
    values[unfinished, 1:4] = values[unfinished, 0:1]
    values[unfinished, 4] = 0
    turnover = values[:, 3] * values[:, 4]
    return [
        [time, *map(number, row), end - 1, number(quote), 0, "0", "0", "0"]
        for time, row, end, quote in zip(
            series.times[rows].tolist(),
            values.tolist(),
            ends.tolist(),
            turnover.tolist(),
            strict=True,
        )
    ]


def funding_rates(symbol: Symbol, series: Series, now: int, window: Window) -> list[Json]:
    """Return the funding rates known at the time of the clock."""
    rows = window.rows(series, now)
    return [
        {"symbol": symbol.name, "fundingTime": time, "fundingRate": number(rate), "markPrice": ""}
        for time, (rate,) in zip(
            series.times[rows].tolist(), series.values[rows].tolist(), strict=True
        )
    ]


def open_interest(symbol: Symbol, series: Series, now: int, window: Window) -> list[Json]:
    """Return the open interest known at the time of the clock."""
    rows = window.rows(series, now)
    return [
        {
            "symbol": symbol.name,
            "sumOpenInterest": number(amount),
            "sumOpenInterestValue": number(value),
            "timestamp": time,
        }
        for time, (amount, value) in zip(
            series.times[rows].tolist(), series.values[rows].tolist(), strict=True
        )
    ]


def newest(series: Series, now: int) -> tuple[int, float]:
    """Return time and value of the newest known price; (0, 0.0) before the first price."""
    opened = series.opened(now)
    if not opened:
        return 0, 0.0
    if series.ends[opened - 1] <= now:
        return int(series.ends[opened - 1]), float(series.values[opened - 1, 3])
    return int(series.times[opened - 1]), float(series.values[opened - 1, 0])


def walked(series: Series, now: int) -> tuple[int, float]:
    """Return time and price as :func:`newest` does, with a SYNTHETIC path inside a candle.

    Prices inside a candle are not known. The path goes from the open to the nearer extreme, then to
    the other extreme, then to the close, each in a third of the candle. The real order may differ,
    and the path approaches the close before the candle ends.
    """
    row = series.opened(now) - 1
    if row < 0 or series.ends[row] <= now or not np.isfinite(series.values[row, :4]).all():
        return newest(series, now)
    begin, end = int(series.times[row]), int(series.ends[row])
    first, high, low, last = (float(value) for value in series.values[row, :4])
    turns = (high, low) if high - first <= first - low else (low, high)
    thirds = 3 * (now - begin) / (end - begin)
    return now, float(np.interp(thirds, (0, 1, 2, 3), (first, *turns, last)))


def exchange_info(symbols: Iterable[tuple[Symbol, TradingRules, int]], now: int) -> Json:
    """Return the market list.

    :param symbols: each with its trading rules and the time of its first candle
    """
    return {
        "timezone": "UTC",
        "serverTime": now,
        "rateLimits": [],
        "exchangeFilters": [],
        "symbols": [_market(*symbol) for symbol in symbols],
    }


def _market(symbol: Symbol, rules: TradingRules, listed: int) -> Json:
    common = {
        "symbol": symbol.name,
        "status": symbol.status,
        "baseAsset": symbol.base,
        "quoteAsset": symbol.quote,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "filters": _filters(rules, symbol.market),
    }
    if symbol.market is Market.SPOT:
        return common | {
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT"],
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "permissions": ["SPOT"],
        }
    return common | {
        "pair": symbol.name,
        "contractType": "PERPETUAL",
        "deliveryDate": NO_DELIVERY,
        "onboardDate": listed,
        "marginAsset": symbol.quote,
        "pricePrecision": rules.price_decimals,
        "quantityPrecision": rules.amount_decimals,
        "underlyingType": "COIN",
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT_MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }


def _filters(rules: TradingRules, market: Market) -> list[Json]:
    step = rules.amount(10**-rules.amount_decimals)
    lot = {"minQty": step, "maxQty": rules.amount(MAX_AMOUNT), "stepSize": step}
    tick = rules.price(rules.tick)
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000", "tickSize": tick},
        {"filterType": "LOT_SIZE", **lot},
        {"filterType": "MARKET_LOT_SIZE", **lot},
        {"filterType": "NOTIONAL", "minNotional": MIN_NOTIONAL}
        if market is Market.SPOT
        else {"filterType": "MIN_NOTIONAL", "notional": MIN_NOTIONAL},
    ]


def _bid_ask(quote: Quote) -> tuple[float, float]:
    return quote.price, quote.price + quote.rules.tick if quote.price else 0.0


def _level_amount(quote: Quote) -> str:
    return quote.rules.amount(DEPTH_QUOTE / quote.price) if quote.price else "0"


def book_ticker(quote: Quote) -> Json:
    """Return the best bid, which is the newest price, and the best ask, one tick above."""
    bid, ask = _bid_ask(quote)
    amount = _level_amount(quote)
    ticker: Json = {
        "symbol": quote.symbol.name,
        "bidPrice": quote.rules.price(bid),
        "bidQty": amount,
        "askPrice": quote.rules.price(ask),
        "askQty": amount,
    }
    # ccxt takes a ticker with a time for one of a perp.
    return ticker if quote.symbol.market is Market.SPOT else ticker | {"time": quote.time}


def price_ticker(quote: Quote) -> Json:
    """Return the newest price."""
    ticker: Json = {"symbol": quote.symbol.name, "price": quote.rules.price(quote.price)}
    return ticker if quote.symbol.market is Market.SPOT else ticker | {"time": quote.time}


def day_ticker(quote: Quote, series: Series, now: int) -> Json:
    """Return the statistics of the 24 hours before the newest price."""
    begin = int(np.searchsorted(series.times, quote.time - DAY_MS, side="left"))
    candles = series.values[begin : max(begin, series.closed(now))]
    first, high, low = quote.price, quote.price, quote.price
    volume, turnover = 0.0, 0.0
    if len(candles):
        first = float(candles[0, 0])
        high = max(high, float(candles[:, 1].max()))
        low = min(low, float(candles[:, 2].min()))
        volume = float(candles[:, 4].sum())
        turnover = float(candles[:, 3] @ candles[:, 4])
    ticker: Json = {
        "symbol": quote.symbol.name,
        "priceChange": number(quote.price - first),
        "priceChangePercent": f"{(quote.price / first - 1) * 100 if first else 0:.3f}",
        "weightedAvgPrice": number(turnover / volume if volume else quote.price),
        "lastPrice": quote.rules.price(quote.price),
        "lastQty": "0",
        "openPrice": number(first),
        "highPrice": number(high),
        "lowPrice": number(low),
        "volume": number(volume),
        "quoteVolume": number(turnover),
        "openTime": quote.time - DAY_MS,
        "closeTime": quote.time,
        "firstId": 0,
        "lastId": 0,
        "count": 0,
    }
    return ticker if quote.symbol.market is Market.PERP else ticker | book_ticker(quote)


def depth(quote: Quote, limit: int, now: int) -> Json:
    """Return an order book of a few levels, one tick apart, each of the same value."""
    book: Json = {"lastUpdateId": now, "bids": [], "asks": []}
    if quote.symbol.market is Market.PERP:
        book |= {"E": now, "T": now}
    if quote.price:
        bid, ask = _bid_ask(quote)
        amount, tick = _level_amount(quote), quote.rules.tick
        for level in range(min(limit, DEPTH_LEVELS)):
            if bid - level * tick > tick / 2:
                book["bids"].append([quote.rules.price(bid - level * tick), amount])
            book["asks"].append([quote.rules.price(ask + level * tick), amount])
    return book


def premium_index(symbol: Symbol, mark: float, index: float, rate: float, now: int) -> Json:
    """Return mark price, index price and the newest funding rate of a perp."""
    return {
        "symbol": symbol.name,
        "markPrice": number(mark),
        "indexPrice": number(index),
        "estimatedSettlePrice": number(index),
        "lastFundingRate": number(rate),
        "interestRate": "0.0001",
        "nextFundingTime": (now // FUNDING_MS + 1) * FUNDING_MS,
        "time": now,
    }
