"""Bitget's v2 API: separate paths for spot and perps."""

from functools import partial
from typing import Any

from freqtrade.enums import CandleType

from perp_imbalance.replay.binance import Quote
from perp_imbalance.replay.candle_store import Market
from perp_imbalance.replay.query import Window
from support.dialects.base import (
    MAINTENANCE,
    MAX_LEVERAGE,
    MAX_POSITION,
    Dialect,
    Handler,
    Params,
    step,
    whole,
)

CANDLES_MOST, HISTORY_MOST = 1000, 200
PRICES = {"mark": CandleType.MARK, "index": CandleType.INDEX}


class Bitget(Dialect):
    """Markets such as ``1000BONKUSDT``; candles come oldest first, rates newest first."""

    name = "bitget"

    def routes(self) -> dict[str, Handler]:
        """Return the handler of each path."""
        spot, mix = (partial(self._candles, market) for market in (Market.SPOT, Market.PERP))
        mark, index = (partial(mix, candle_type=kind) for kind in PRICES.values())
        answers: dict[str, Handler] = {
            "public/time": lambda params: {"serverTime": str(self.now)},
            "spot/public/coins": _nothing,
            "margin/currencies": _nothing,
            "spot/public/symbols": self._pairs,
            "spot/market/candles": spot,
            "spot/market/history-candles": partial(spot, most=HISTORY_MOST),
            "spot/market/orderbook": partial(self._book, Market.SPOT),
            "mix/market/contracts": self._contracts,
            "mix/market/candles": mix,
            "mix/market/history-candles": partial(mix, most=HISTORY_MOST),
            "mix/market/history-mark-candles": partial(mark, most=HISTORY_MOST),
            "mix/market/history-index-candles": partial(index, most=HISTORY_MOST),
            "mix/market/merge-depth": partial(self._book, Market.PERP),
            "mix/market/history-fund-rate": self._funding,
            "mix/market/query-position-lever": self._tiers,
        }
        return {
            f"/api/v2/{path}": partial(self._wrapped, answer) for path, answer in answers.items()
        }

    def _wrapped(self, answer: Handler, params: Params) -> Any:
        data = answer(params)
        return {"code": "00000", "msg": "success", "requestTime": self.now, "data": data}

    def _pairs(self, params: Params) -> list[Any]:
        return [_pair(quote) for _, quote in self.listed(Market.SPOT)]

    def _contracts(self, params: Params) -> list[Any]:
        if params["productType"] != "USDT-FUTURES":
            return []
        return [_contract(quote) for _, quote in self.listed(Market.PERP)]

    def _candles(
        self,
        market: Market,
        params: Params,
        candle_type: CandleType | None = None,
        most: int = CANDLES_MOST,
    ) -> list[Any]:
        candle_type = candle_type or PRICES.get(params.get("kLineType", ""))
        window = Window(None, whole(params, "endTime"), min(int(params["limit"]), most))
        symbol = self.find(market, params["symbol"])
        return [
            [str(row[0]), *row[1:5], *(("0", "0") if candle_type else (row[5], row[7]))]
            for row in self.candles(symbol, params["granularity"], window, candle_type)
            if row[0] >= int(params.get("startTime", 0))
        ]

    def _book(self, market: Market, params: Params) -> Any:
        book = self.book(self.find(market, params["symbol"]), params.get("limit"))
        return {"asks": book["asks"], "bids": book["bids"], "ts": str(self.now)}

    def _funding(self, params: Params) -> list[Any]:
        window = Window(None, None, int(params.get("pageSize", 20)))
        rates = self.funding(self.find(Market.PERP, params["symbol"]), window)
        return [
            {"symbol": params["symbol"], "fundingRate": rate, "fundingTime": str(time)}
            for time, rate in reversed(rates)
        ]

    def _tiers(self, params: Params) -> list[Any]:
        tier = {"level": "1", "startUnit": "0", "endUnit": MAX_POSITION, "leverage": MAX_LEVERAGE}
        return [{**tier, "symbol": params["symbol"], "keepMarginRate": MAINTENANCE}]


def _nothing(params: Params) -> list[Any]:
    return []


def _pair(quote: Quote) -> dict[str, Any]:
    symbol, rules = quote.symbol, quote.rules
    return {
        **{"symbol": symbol.name, "baseCoin": symbol.base, "quoteCoin": symbol.quote},
        **{"pricePrecision": str(rules.price_decimals), "quotePrecision": "8"},
        **{"quantityPrecision": str(rules.amount_decimals), "minTradeUSDT": "1"},
        **{"status": "online", "takerFeeRate": "0.002", "makerFeeRate": "0.002"},
    }


def _contract(quote: Quote) -> dict[str, Any]:
    symbol, rules = quote.symbol, quote.rules
    return {
        **{"symbol": symbol.name, "baseCoin": symbol.base, "quoteCoin": symbol.quote},
        **{"supportMarginCoins": ["USDT"], "symbolType": "perpetual", "symbolStatus": "normal"},
        **{"takerFeeRate": "0.0006", "makerFeeRate": "0.0002", "minTradeUSDT": "5"},
        **{"pricePlace": str(rules.price_decimals), "priceEndStep": "1"},
        **{"volumePlace": str(rules.amount_decimals), "sizeMultiplier": step(quote)},
        **{"minTradeNum": step(quote), "minLever": "1", "maxLever": MAX_LEVERAGE},
        **{"launchTime": "1585526400000", "limitOpenTime": "-1", "offTime": "-1"},
    }
