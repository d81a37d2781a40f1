"""Bybit's v5 API: one path for all markets; the parameter ``category`` selects the market."""

from functools import partial
from typing import Any

import ccxt
from freqtrade.enums import CandleType

from perp_imbalance.replay.binance import Quote
from perp_imbalance.replay.candle_store import Market, Symbol
from perp_imbalance.replay.query import Window
from support.dialects.base import (
    MAINTENANCE,
    MAX_LEVERAGE,
    MAX_POSITION,
    Dialect,
    Handler,
    Params,
    step,
    tick,
    whole,
)

TIMEFRAMES: dict[str, str] = {own: timeframe for timeframe, own in ccxt.bybit().timeframes.items()}
CATEGORIES = {"spot": Market.SPOT, "linear": Market.PERP}


class Bybit(Dialect):
    """Markets such as ``SHIB1000USDT``; candles and rates come newest first."""

    name = "bybit"

    def routes(self) -> dict[str, Handler]:
        """Return the handler of each path."""
        answers: dict[str, Handler] = {
            "time": lambda params: {"timeNano": str(self.now * 1_000_000)},
            "instruments-info": self._instruments,
            "risk-limit": self._tiers,
            "kline": self._candles,
            "mark-price-kline": partial(self._candles, candle_type=CandleType.MARK),
            "index-price-kline": partial(self._candles, candle_type=CandleType.INDEX),
            "premium-index-price-kline": partial(
                self._candles, candle_type=CandleType.PREMIUMINDEX
            ),
            "funding/history": self._funding,
            "orderbook": self._book,
        }
        return {
            f"/v5/market/{path}": partial(self._wrapped, answer) for path, answer in answers.items()
        }

    def timeframe(self, interval: str) -> str:
        """Return ccxt's name of a timeframe: Bybit writes minutes without a letter."""
        return TIMEFRAMES[interval]

    def _wrapped(self, answer: Handler, params: Params) -> Any:
        result = answer(params)
        if isinstance(result, list):
            result = {"category": params["category"], "list": result, "nextPageCursor": ""}
        return {"retCode": 0, "retMsg": "OK", "result": result, "time": self.now}

    def _instruments(self, params: Params) -> list[Any]:
        market = CATEGORIES.get(params["category"])
        if market is None or "status" in params:
            return []
        return [_instrument(quote) for _, quote in self.listed(market)]

    def _tiers(self, params: Params) -> list[Any]:
        return [
            {
                **{"id": 1, "symbol": name, "riskLimitValue": MAX_POSITION, "isLowestRisk": 1},
                **{"maintenanceMargin": MAINTENANCE, "initialMargin": "0.02"},
                "maxLeverage": MAX_LEVERAGE,
            }
            for name, _ in self.listed(Market.PERP)
        ]

    def _candles(self, params: Params, candle_type: CandleType | None = None) -> list[Any]:
        window = Window(whole(params, "start"), whole(params, "end"), int(params["limit"]))
        rows = self.candles(self._symbol(params), params["interval"], window, candle_type)
        # Mark and index candles have no volume.
        kept = 5 if candle_type else 6
        return [[str(row[0]), *row[1:kept]] for row in reversed(rows)]

    def _funding(self, params: Params) -> list[Any]:
        window = Window(whole(params, "startTime"), whole(params, "endTime"), int(params["limit"]))
        return [
            {"symbol": params["symbol"], "fundingRate": rate, "fundingRateTimestamp": str(time)}
            for time, rate in reversed(self.funding(self._symbol(params), window))
        ]

    def _book(self, params: Params) -> Any:
        book = self.book(self._symbol(params), params.get("limit"))
        return {"s": params["symbol"], "a": book["asks"], "b": book["bids"], "ts": self.now}

    def _symbol(self, params: Params) -> Symbol:
        return self.find(CATEGORIES[params["category"]], params["symbol"])


def _instrument(quote: Quote) -> dict[str, Any]:
    symbol = quote.symbol
    common = {
        **{"symbol": symbol.name, "baseCoin": symbol.base, "quoteCoin": symbol.quote},
        **{"status": "Trading", "priceFilter": {"tickSize": tick(quote)}},
    }
    least = {"minOrderQty": step(quote), "maxOrderQty": "10000000000"}
    if symbol.market is Market.SPOT:
        lot = {"basePrecision": step(quote), "quotePrecision": "0.00000001", "minOrderAmt": "5"}
        return {**common, "lotSizeFilter": {**least, **lot}}
    return {
        **common,
        **{"contractType": "LinearPerpetual", "settleCoin": symbol.quote, "fundingInterval": 480},
        **{"launchTime": "1585526400000", "deliveryTime": "0"},
        "leverageFilter": {"minLeverage": "1", "maxLeverage": MAX_LEVERAGE, "leverageStep": "0.01"},
        "lotSizeFilter": {**least, "qtyStep": step(quote), "minNotionalValue": "5"},
    }
