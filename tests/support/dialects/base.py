"""The common base of all dialects: candles, prices and trading rules at the clock's time."""

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web
from freqtrade.enums import CandleType

from perp_imbalance.replay import binance
from perp_imbalance.replay.binance import Quote
from perp_imbalance.replay.candle_store import CandleStore, Market, Series, Symbol
from perp_imbalance.replay.query import Window
from perp_imbalance.replay.server import ReplayExchange, ServedRequest, system_clock

Params = Mapping[str, str]
Handler = Callable[[Params], Any]

#: The leverage tier of all perps.
MAX_LEVERAGE, MAINTENANCE, MAX_POSITION = "50", "0.005", "2000000"


class Dialect:
    """Another exchange's API for the candles of a store.

    :mod:`perp_imbalance.replay.binance` decides what is known at the clock's time; a dialect only
    converts its answers. The formats are those that ccxt's source documents and reads.

    :param store: the candles
    """

    #: ccxt's name of the exchange.
    name: str

    def __init__(self, store: CandleStore) -> None:
        self.store = store
        self.exchange = ReplayExchange(store)
        self.exchange.prepare()
        #: Requested paths that the dialect does not have.
        self.unknown: set[str] = set()
        self._own = {
            market: {self.own_name(symbol): symbol for symbol in store.symbols(market).values()}
            for market in Market
        }

    def routes(self) -> dict[str, Handler]:
        """Return the handler of each path."""
        raise NotImplementedError

    def own_name(self, symbol: Symbol) -> str:
        """Return the exchange's name of a symbol."""
        return symbol.name

    def timeframe(self, interval: str) -> str:
        """Return ccxt's name of a timeframe from the exchange's, such as ``6Hutc`` or ``5min``."""
        plain = interval.removesuffix("utc").replace("min", "m")
        return plain if plain.endswith("M") else plain.lower()

    def app(self) -> web.Application:
        """Return the web application; it records each request as the replay exchange does."""
        app, routes = web.Application(), self.routes()

        async def answer(request: web.Request) -> web.Response:
            params: dict[str, Any] = dict(request.query)
            if request.can_read_body:
                params |= await request.json()
                params |= params.pop("req", {})
            params = {name: str(value) for name, value in params.items()}
            self.exchange.requests.append(ServedRequest(request.method, request.path, params))
            if request.path not in routes:
                self.unknown.add(request.path)
                return web.json_response({}, status=404)
            return web.json_response(routes[request.path](params))

        app.router.add_route("*", "/{path:.*}", answer)
        return app

    @property
    def now(self) -> int:
        """The time in ms."""
        return system_clock()

    def listed(self, market: Market) -> list[tuple[str, Quote]]:
        """Return the symbols of a market, each with its native name, price and trading rules."""
        return [
            (name, self.exchange.quote(symbol, self.now))
            for name, symbol in self._own[market].items()
        ]

    def find(self, market: Market, name: str) -> Symbol:
        """Return the symbol with an exchange's name."""
        return self._own[market][name]

    def candles(
        self,
        symbol: Symbol,
        interval: str,
        window: Window,
        candle_type: CandleType | None = None,
    ) -> list[list[Any]]:
        """Return the candles of a window, the oldest first, like Binance's ``klines``.

        :param interval: the exchange's name of the timeframe
        :param candle_type: by default that of the symbol's trades
        """
        kind = candle_type or symbol.market.candle_type
        series = self.store.series(symbol, self.timeframe(interval), kind)
        return binance.klines(series, self.now, window)

    def funding(self, symbol: Symbol, window: Window) -> list[tuple[int, str]]:
        """Return times and rates of past fundings, the oldest first."""
        series: Series = self.store.finest(symbol, CandleType.FUNDING_RATE)
        rates = binance.funding_rates(symbol, series, self.now, window)
        return [(rate["fundingTime"], rate["fundingRate"]) for rate in rates]

    def book(self, symbol: Symbol, limit: str | None = None) -> dict[str, Any]:
        """Return bids and asks, the best first, like Binance's ``depth``."""
        quote = self.exchange.quote(symbol, self.now)
        return binance.depth(quote, int(limit or binance.DEPTH_LEVELS), self.now)


def whole(params: Params, name: str) -> int | None:
    """Return a parameter as an integer; None if it was not sent."""
    return int(params[name]) if name in params else None


def step(quote: Quote) -> str:
    """Return the smallest step of an amount in the base currency."""
    return quote.rules.amount(10**-quote.rules.amount_decimals)


def tick(quote: Quote) -> str:
    """Return the smallest step of a price."""
    return quote.rules.price(quote.rules.tick)
