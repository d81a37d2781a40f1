"""Hyperliquid's API: one path; the ``type`` in the body selects the request."""

from typing import Any

from perp_imbalance.replay.binance import Quote
from perp_imbalance.replay.candle_store import Market, Symbol
from perp_imbalance.replay.query import Window
from support.dialects.base import Dialect, Handler, Params

CANDLES_MOST, FUNDING_MOST, LEVELS = 5000, 500, 20
#: Perps of a thousand coins, and spot tokens that Unit redeems for the real coin.
THOUSANDS = {"KBONK", "KPEPE", "KSHIB"}
UNIT = {"BTC", "ETH", "SOL", "BONK"}
# A price has at most 6 decimals, less those of the amount.
AMOUNT_DECIMALS_MOST = 5


class Hyperliquid(Dialect):
    """Perps such as ``kPEPE``, spot pairs such as ``@0``, whose token is ``UBTC``."""

    name = "hyperliquid"

    def routes(self) -> dict[str, Handler]:
        """Return the handler of each path."""
        answers: dict[str, Handler] = {
            "exchangeStatus": lambda params: {"time": str(self.now)},
            # Only Hyperliquid's own perps are served, no other deployer's.
            "perpDexs": lambda params: [None],
            "spotMeta": lambda params: self._spot_list(),
            "spotMetaAndAssetCtxs": lambda params: [self._spot_list(), self._prices(Market.SPOT)],
            "metaAndAssetCtxs": lambda params: [self._perp_list(), self._prices(Market.PERP)],
            "candleSnapshot": self._candles,
            "l2Book": self._book,
            "fundingHistory": self._funding,
        }

        def answer(params: Params) -> Any:
            if params["type"] not in answers:
                self.unknown.add(params["type"])
                return []
            return answers[params["type"]](params)

        return {"/info": answer}

    def own_name(self, symbol: Symbol) -> str:
        """Return the exchange's name of a symbol."""
        if symbol.market is Market.SPOT:
            return f"@{list(self.store.symbols(Market.SPOT)).index(symbol.name)}"
        return f"k{symbol.base[1:]}" if symbol.base in THOUSANDS else symbol.base

    def _spot_list(self) -> Any:
        pairs = self.listed(Market.SPOT)
        bases = [quote.symbol.base for _, quote in pairs]
        names = ["USDC", *(f"U{base}" if base in UNIT else base for base in bases)]
        decimals = [8, *(_amount_decimals(quote) for _, quote in pairs)]
        tokens = [
            {"name": name, "index": at, "tokenId": str(at), "szDecimals": size, "weiDecimals": 8}
            for at, (name, size) in enumerate(zip(names, decimals, strict=True))
        ]
        universe = [
            {"name": name, "index": at, "tokens": [at + 1, 0], "isCanonical": False}
            for at, (name, _) in enumerate(pairs)
        ]
        return {"tokens": tokens, "universe": universe}

    def _perp_list(self) -> Any:
        return {
            "universe": [
                {"name": name, "szDecimals": _amount_decimals(quote), "maxLeverage": 40}
                for name, quote in self.listed(Market.PERP)
            ]
        }

    def _prices(self, market: Market) -> list[Any]:
        prices = [quote.rules.price(quote.price) for _, quote in self.listed(market)]
        names = ("markPx", "midPx", "oraclePx", "prevDayPx")
        return [{**dict.fromkeys(names, price), "dayNtlVlm": "1"} for price in prices]

    def _candles(self, params: Params) -> list[Any]:
        window = Window(int(params["startTime"]), int(params["endTime"]), CANDLES_MOST)
        return [
            {
                **{"t": row[0], "T": row[6], "s": params["coin"], "i": params["interval"], "n": 1},
                **dict(zip("ohlcv", row[1:6], strict=True)),
            }
            for row in self.candles(self._symbol(params), params["interval"], window)
        ]

    def _book(self, params: Params) -> Any:
        book = self.book(self._symbol(params), str(LEVELS))
        levels = [
            [{"px": price, "sz": coins, "n": 1} for price, coins in book[side]]
            for side in ("bids", "asks")
        ]
        return {"coin": params["coin"], "time": self.now, "levels": levels}

    def _funding(self, params: Params) -> list[Any]:
        end = int(params["endTime"]) if "endTime" in params else None
        window = Window(int(params["startTime"]), end, FUNDING_MOST)
        return [
            {"coin": params["coin"], "fundingRate": rate, "premium": "0", "time": time}
            for time, rate in self.funding(self._symbol(params), window)
        ]

    def _symbol(self, params: Params) -> Symbol:
        market = Market.SPOT if params["coin"].startswith("@") else Market.PERP
        return self.find(market, params["coin"])


def _amount_decimals(quote: Quote) -> int:
    return min(quote.rules.amount_decimals, AMOUNT_DECIMALS_MOST)
