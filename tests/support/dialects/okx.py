"""OKX's v5 API: perps are counted in contracts, and time bounds are exclusive."""

from functools import partial
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
    step,
    tick,
    whole,
)

#: Coins per contract, as OKX lists them; other perps have 1.
CONTRACTS = {"BTC": 0.01, "ETH": 0.1, "PEPE": 10_000_000.0}
CANDLES_MOST = {None: 300, CandleType.MARK: 100, CandleType.INDEX: 100}


class Okx(Dialect):
    """Markets such as ``PEPE-USDT-SWAP`` and ``PEPE-USDT``; rows with times come newest first."""

    name = "okx"

    def routes(self) -> dict[str, Handler]:
        """Return the handler of each path."""
        mark = partial(self._candles, candle_type=CandleType.MARK)
        index = partial(self._candles, candle_type=CandleType.INDEX)
        answers: dict[str, Handler] = {
            "public/time": lambda params: [{"ts": str(self.now)}],
            "public/instruments": self._instruments,
            "public/position-tiers": self._tiers,
            "public/funding-rate-history": self._funding,
            "market/books": self._book,
            "market/candles": self._candles,
            "market/history-candles": self._candles,
            "market/mark-price-candles": mark,
            "market/history-mark-price-candles": mark,
            "market/index-candles": index,
            "market/history-index-candles": index,
        }
        return {f"/api/v5/{path}": partial(_wrapped, answer) for path, answer in answers.items()}

    def own_name(self, symbol: Symbol) -> str:
        """Return the exchange's name of a symbol."""
        swap = "-SWAP" if symbol.market is Market.PERP else ""
        return f"{symbol.base}-{symbol.quote}{swap}"

    def _instruments(self, params: Params) -> list[Any]:
        markets = {"SPOT": Market.SPOT, "SWAP": Market.PERP}
        if params["instType"] not in markets:
            return []
        return [_instrument(*listed) for listed in self.listed(markets[params["instType"]])]

    def _tiers(self, params: Params) -> list[Any]:
        tier = {"tier": "1", "minSz": "0", "maxSz": MAX_POSITION, "imr": "0.02"}
        name = f"{params['instFamily']}-SWAP"
        return [{**tier, "instId": name, "mmr": MAINTENANCE, "maxLever": MAX_LEVERAGE}]

    def _candles(self, params: Params, candle_type: CandleType | None = None) -> list[Any]:
        name = params["instId"]
        # An index has the name of its spot pair.
        symbol = self._symbol(f"{name}-SWAP" if candle_type is CandleType.INDEX else name)
        window = _window(params, CANDLES_MOST[candle_type])
        rows = self.candles(symbol, params["bar"], window, candle_type)
        return [
            [
                str(row[0]),
                *row[1:5],
                *_volume(symbol, row, candle_type),
                str(int(row[6] < self.now)),
            ]
            for row in reversed(rows)
            if row[0] > int(params.get("before", 0))
        ]

    def _funding(self, params: Params) -> list[Any]:
        rates = self.funding(self._symbol(params["instId"]), _window(params, 400))
        return [
            {"instId": params["instId"], "fundingTime": str(time), "realizedRate": rate}
            for time, rate in reversed(rates)
            if time > int(params.get("before", 0))
        ]

    def _book(self, params: Params) -> list[Any]:
        symbol = self._symbol(params["instId"])
        book = self.book(symbol, params.get("sz"))
        sides = {
            side: [
                [price, number(float(amount) / _contract(symbol)), "0", "1"]
                for price, amount in book[side]
            ]
            for side in ("asks", "bids")
        }
        return [{**sides, "ts": str(self.now)}]

    def _symbol(self, name: str) -> Symbol:
        return self.find(Market.PERP if name.endswith("-SWAP") else Market.SPOT, name)


def _wrapped(answer: Handler, params: Params) -> Any:
    return {"code": "0", "msg": "", "data": answer(params)}


def _window(params: Params, most: int) -> Window:
    """Return the newest rows before a time; the caller drops those before the other bound."""
    after = whole(params, "after")
    limit = min(int(params.get("limit", 100)), most)
    return Window(None, None if after is None else after - 1, limit)


def _contract(symbol: Symbol) -> float:
    return CONTRACTS.get(symbol.base, 1.0) if symbol.market is Market.PERP else 1.0


def _volume(symbol: Symbol, row: list[Any], candle_type: CandleType | None) -> list[str]:
    """Return contracts, coins and money of a perp's candle; for spot coins and money twice."""
    if candle_type:
        return []
    coins, money = row[5], row[7]
    if symbol.market is Market.SPOT:
        return [coins, money, money]
    return [number(float(coins) / _contract(symbol)), coins, money]


def _instrument(name: str, quote: Quote) -> dict[str, Any]:
    symbol = quote.symbol
    common = {"instId": name, "tickSz": tick(quote), "state": "live", "listTime": "1585526400000"}
    if symbol.market is Market.SPOT:
        coins = {"instType": "SPOT", "baseCcy": symbol.base, "quoteCcy": symbol.quote}
        return {**common, **coins, "lotSz": step(quote), "minSz": step(quote)}
    family = f"{symbol.base}-{symbol.quote}"
    contract = {"ctVal": number(_contract(symbol)), "ctMult": "1", "ctType": "linear"}
    return {
        **{**common, **contract, "lotSz": "0.01", "minSz": "0.01", "lever": MAX_LEVERAGE},
        **{"instType": "SWAP", "uly": family, "instFamily": family, "settleCcy": symbol.quote},
    }
