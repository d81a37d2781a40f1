"""Gate's v4 API: times in seconds, perps counted in contracts, two formats of candles."""

from typing import Any

from freqtrade.enums import CandleType

from perp_imbalance.replay.binance import Quote, number
from perp_imbalance.replay.candle_store import Market, Symbol
from perp_imbalance.replay.query import Window
from support.dialects.base import (
    MAINTENANCE,
    MAX_LEVERAGE,
    MAX_POSITION,
    Dialect,
    Handler,
    Params,
    tick,
)

#: Coins per contract, as Gate lists them; other perps have 1.
CONTRACTS = {"BTC": 0.0001, "ETH": 0.01, "PEPE": 10_000_000.0, "HYPE": 0.01}
CANDLES_MOST = 1999
# Prefixes of the contract name for candles of mark and index prices.
PREFIXES = {"mark_": CandleType.MARK, "index_": CandleType.INDEX}


class Gate(Dialect):
    """Markets such as ``PEPE_USDT``; spot pair and perp have the same name on two paths."""

    name = "gate"

    def routes(self) -> dict[str, Handler]:
        """Return the handler of each path."""
        routes: dict[str, Handler] = {
            "spot/time": lambda params: {"server_time": self.now},
            "spot/currency_pairs": self._pairs,
            "spot/candlesticks": self._spot_candles,
            "spot/order_book": self._spot_book,
            "futures/usdt/contracts": self._contracts,
            "futures/usdt/candlesticks": self._candles,
            "futures/usdt/order_book": self._book,
            "futures/usdt/funding_rate": self._funding,
            "futures/usdt/risk_limit_tiers": self._tiers,
        }
        for path in (
            "spot/currencies",
            "margin/currency_pairs",
            "futures/btc/contracts",
            "delivery/btc/contracts",
            "delivery/usdt/contracts",
            "options/underlyings",
        ):
            routes[path] = _nothing
        return {f"/api/v4/{path}": answer for path, answer in routes.items()}

    def own_name(self, symbol: Symbol) -> str:
        """Return the exchange's name of a symbol."""
        return f"{symbol.base}_{symbol.quote}"

    def _pairs(self, params: Params) -> list[Any]:
        return [
            {
                **{"id": name, "fee": "0.2", "trade_status": "tradable"},
                "amount_precision": quote.rules.amount_decimals,
                "precision": quote.rules.price_decimals,
            }
            for name, quote in self.listed(Market.SPOT)
        ]

    def _contracts(self, params: Params) -> list[Any]:
        return [_contract(name, quote) for name, quote in self.listed(Market.PERP)]

    def _spot_candles(self, params: Params) -> list[Any]:
        symbol = self.find(Market.SPOT, params["currency_pair"])
        return [
            [str(begin // 1000), money, last, high, low, first, coins, str(end < self.now).lower()]
            for begin, first, high, low, last, coins, end, money, *_ in self.candles(
                symbol, params["interval"], _window(params)
            )
        ]

    def _candles(self, params: Params) -> list[Any]:
        name, candle_type = params["contract"], None
        for prefix, kind in PREFIXES.items():
            if name.startswith(prefix):
                name, candle_type = name.removeprefix(prefix), kind
        symbol = self.find(Market.PERP, name)
        rows = self.candles(symbol, params["interval"], _window(params), candle_type)
        return [
            {
                **{"t": row[0] // 1000, **dict(zip("ohlc", row[1:5], strict=True))},
                **(
                    {} if candle_type else {"v": int(float(row[5]) / _coins(symbol)), "sum": row[7]}
                ),
            }
            for row in rows
        ]

    def _funding(self, params: Params) -> list[Any]:
        rates = self.funding(self.find(Market.PERP, params["contract"]), _window(params))
        return [{"t": time // 1000, "r": rate} for time, rate in reversed(rates)]

    def _tiers(self, params: Params) -> list[Any]:
        tier = {"tier": 1, "risk_limit": MAX_POSITION, "initial_rate": "0.02"}
        tier |= {"maintenance_rate": MAINTENANCE, "leverage_max": MAX_LEVERAGE}
        return [{**tier, "contract": name} for name, _ in self.listed(Market.PERP)]

    def _spot_book(self, params: Params) -> Any:
        book = self.book(self.find(Market.SPOT, params["currency_pair"]), params.get("limit"))
        return {"current": self.now, "asks": book["asks"], "bids": book["bids"]}

    def _book(self, params: Params) -> Any:
        symbol = self.find(Market.PERP, params["contract"])
        book = self.book(symbol, params.get("limit"))
        sides = {
            side: [
                {"p": price, "s": int(float(coins) / _coins(symbol))} for price, coins in book[side]
            ]
            for side in ("asks", "bids")
        }
        return {"current": self.now / 1000, **sides}


def _nothing(params: Params) -> list[Any]:
    return []


def _coins(symbol: Symbol) -> float:
    return CONTRACTS.get(symbol.base, 1.0)


def _window(params: Params) -> Window:
    begin, end = (int(params[name]) * 1000 if name in params else None for name in ("from", "to"))
    return Window(begin, end, int(params.get("limit", CANDLES_MOST)))


def _contract(name: str, quote: Quote) -> dict[str, Any]:
    return {
        **{"name": name, "type": "direct", "status": "trading", "create_time": 1585526400},
        **{"quanto_multiplier": number(_coins(quote.symbol)), "order_price_round": tick(quote)},
        **{"mark_price": quote.rules.price(quote.price), "order_price_deviate": "0.15"},
        **{"order_size_min": 1, "order_size_max": 1000000, "leverage_min": "1"},
        "leverage_max": MAX_LEVERAGE,
    }
