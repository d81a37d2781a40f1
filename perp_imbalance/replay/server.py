"""The HTTP server of the replay exchange: takes requests, returns Binance's JSON."""

import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from typing import Any, NamedTuple

from aiohttp import web
from freqtrade.enums import CandleType

from perp_imbalance.errors import PerpImbalanceError
from perp_imbalance.replay import binance
from perp_imbalance.replay.binance import Quote
from perp_imbalance.replay.candle_store import CandleStore, Market, Series, Symbol
from perp_imbalance.replay.query import Query, RequestError
from perp_imbalance.replay.rules import TradingRules, trading_rules

logger = logging.getLogger(__name__)

Clock = Callable[[], int]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# A replay in the foreground may run for weeks; tests look at far fewer requests.
REQUESTS_KEPT = 100_000
INVALID_SYMBOL = -1121
CANDLES_PER_RULES = 500
KLINES_DEFAULT = 500
KLINES_MAX = {Market.SPOT: 1000, Market.PERP: 1500}
FUNDING_DEFAULT, FUNDING_MAX = 100, 1000
OPEN_INTEREST_DEFAULT, OPEN_INTEREST_MAX = 30, 500
DEPTH_DEFAULT, DEPTH_MAX = 100, 5000


class ServedRequest(NamedTuple):
    """A received request."""

    method: str
    path: str
    params: dict[str, str]


def system_clock() -> int:
    """Return the time of this machine in ms."""
    return int(time.time() * 1000)


class ReplayExchange:
    """Answers requests like Binance, from the candles of a store up to the time of a clock.

    :param store: the candles
    :param clock: returns the time in ms; no later data is ever served
    :param walk: whether prices move inside a candle, on the synthetic path of
        :func:`perp_imbalance.replay.binance.walked`; otherwise they stay at the open
    """

    def __init__(
        self, store: CandleStore, clock: Clock = system_clock, *, walk: bool = False
    ) -> None:
        self.requests: deque[ServedRequest] = deque(maxlen=REQUESTS_KEPT)
        self._store = store
        self._clock = clock
        self._newest = binance.walked if walk else binance.newest
        self._rules: dict[Symbol, tuple[int, TradingRules]] = {}
        self._unknown_paths: set[str] = set()

    def app(self) -> web.Application:
        """Return the web application with all paths that freqtrade needs."""
        app = web.Application(middlewares=[self._middleware()])
        for prefix, market in (("/api/v3", Market.SPOT), ("/fapi/v1", Market.PERP)):
            for path, answer in (
                ("ping", self._ping),
                ("time", self._time),
                ("exchangeInfo", self._exchange_info),
                ("klines", self._klines),
                ("depth", self._depth),
                ("ticker/24hr", self._day_tickers),
                ("ticker/price", self._price_tickers),
                ("ticker/bookTicker", self._book_tickers),
            ):
                app.router.add_get(f"{prefix}/{path}", _json(answer, market))
        for path, answer in (
            ("markPriceKlines", self._mark_klines),
            ("indexPriceKlines", self._index_klines),
            ("premiumIndexKlines", self._premium_klines),
            ("fundingRate", self._funding_rates),
            ("fundingInfo", self._funding_info),
            ("premiumIndex", self._premium_index),
        ):
            app.router.add_get(f"/fapi/v1/{path}", _json(answer, Market.PERP))
        app.router.add_get(
            "/futures/data/openInterestHist", _json(self._open_interest, Market.PERP)
        )
        app.router.add_get("/fapi/v2/ticker/price", _json(self._price_tickers, Market.PERP))
        app.router.add_get("/dapi/v1/exchangeInfo", _json(self._no_markets, Market.PERP))
        return app

    def prepare(self) -> None:
        """Read the data of the market list; a large folder takes longer than ccxt's timeout."""
        now = self._clock()
        for market in Market:
            for symbol in self._store.symbols(market).values():
                self._rules_of(symbol, now)

    def _middleware(self) -> Any:
        @web.middleware
        async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
            self.requests.append(ServedRequest(request.method, request.path, dict(request.query)))
            try:
                return await handler(request)
            except RequestError as error:
                return _error(400, error.code, str(error))
            except PerpImbalanceError as error:
                logger.error("%s %s: %s", request.method, request.path, error)
                return _error(500, -1000, str(error))
            except web.HTTPException as error:
                if request.path not in self._unknown_paths:
                    self._unknown_paths.add(request.path)
                    logger.warning("the replay exchange has no %s %s", request.method, request.path)
                message = f"Path {request.path}, Method {request.method} is invalid"
                return _error(error.status, -5000, message)

        return answer

    def _ping(self, market: Market, query: Query) -> Any:
        return {}

    def _time(self, market: Market, query: Query) -> Any:
        return {"serverTime": self._clock()}

    def _no_markets(self, market: Market, query: Query) -> Any:
        return binance.exchange_info([], self._clock())

    def _exchange_info(self, market: Market, query: Query) -> Any:
        return self.market_list(market)

    def market_list(self, market: Market, pairs: Collection[str] | None = None) -> dict[str, Any]:
        """Return the symbols of a market with their trading rules, as Binance's exchangeInfo.

        :param pairs: freqtrade's names of the requested pairs; None for all.
        """
        now = self._clock()
        return binance.exchange_info(
            [
                (symbol, self._rules_of(symbol, now), self._listed(symbol))
                for symbol in self._store.symbols(market).values()
                if pairs is None or symbol.pair in pairs
            ],
            now,
        )

    def _klines(self, market: Market, query: Query) -> Any:
        return self._candles(market, query, market.candle_type)

    def _mark_klines(self, market: Market, query: Query) -> Any:
        return self._candles(market, query, CandleType.MARK)

    def _index_klines(self, market: Market, query: Query) -> Any:
        return self._candles(market, query, CandleType.INDEX, "pair")

    def _premium_klines(self, market: Market, query: Query) -> Any:
        return self._candles(market, query, CandleType.PREMIUMINDEX)

    def _candles(
        self, market: Market, query: Query, candle_type: CandleType, name: str = "symbol"
    ) -> Any:
        symbol = self._find(market, query.text(name))
        interval = query.interval("interval")
        window = query.window(KLINES_DEFAULT, KLINES_MAX[market])
        series = self._store.series(symbol, interval, candle_type)
        return binance.klines(series, self._clock(), window)

    def _funding_rates(self, market: Market, query: Query) -> Any:
        symbol = self._find(market, query.text("symbol"))
        window = query.window(FUNDING_DEFAULT, FUNDING_MAX)
        return binance.funding_rates(symbol, self._funding(symbol), self._clock(), window)

    def _open_interest(self, market: Market, query: Query) -> Any:
        symbol = self._find(market, query.text("symbol"))
        series = self._store.series(symbol, query.interval("period"), CandleType.OPEN_INTEREST)
        window = query.window(OPEN_INTEREST_DEFAULT, OPEN_INTEREST_MAX)
        return binance.open_interest(symbol, series, self._clock(), window)

    def _funding_info(self, market: Market, query: Query) -> Any:
        # Binance lists here only the perps whose funding differs from every 8 hours.
        return []

    def _premium_index(self, market: Market, query: Query) -> Any:
        now = self._clock()

        def answer(symbol: Symbol) -> Any:
            marks = self._store.finest(symbol, CandleType.MARK)
            mark = self._newest(marks, now)[1] or self.quote(symbol, now).price
            spot = self._store.symbols(Market.SPOT).get(symbol.name)
            index = (self.quote(spot, now).price if spot else 0.0) or mark
            funding = self._funding(symbol)
            known = funding.opened(now)
            rate = float(funding.values[known - 1, 0]) if known else 0.0
            return binance.premium_index(symbol, mark, index, rate, now)

        return self._for_symbols(market, query, answer)

    def _depth(self, market: Market, query: Query) -> Any:
        now = self._clock()
        symbol = self._find(market, query.text("symbol"))
        limit = min(query.integer("limit", DEPTH_DEFAULT, minimum=1), DEPTH_MAX)
        return binance.depth(self.quote(symbol, now), limit, now)

    def _day_tickers(self, market: Market, query: Query) -> Any:
        now = self._clock()

        def answer(symbol: Symbol) -> Any:
            series = self._store.finest(symbol, market.candle_type)
            return binance.day_ticker(self.quote(symbol, now), series, now)

        return self._for_symbols(market, query, answer)

    def _price_tickers(self, market: Market, query: Query) -> Any:
        now = self._clock()
        return self._for_symbols(
            market, query, lambda symbol: binance.price_ticker(self.quote(symbol, now))
        )

    def _book_tickers(self, market: Market, query: Query) -> Any:
        now = self._clock()
        return self._for_symbols(
            market, query, lambda symbol: binance.book_ticker(self.quote(symbol, now))
        )

    def _for_symbols(self, market: Market, query: Query, answer: Callable[[Symbol], Any]) -> Any:
        """Answer for one named symbol, for a list of symbols, or for all symbols with a price."""
        if query.has("symbol"):
            return answer(self._find(market, query.text("symbol")))
        if query.has("symbols"):
            return [answer(self._find(market, name)) for name in query.names("symbols")]
        now = self._clock()
        return [
            answer(symbol)
            for symbol in self._store.symbols(market).values()
            if self.quote(symbol, now).price
        ]

    def _find(self, market: Market, name: str) -> Symbol:
        symbol = self._store.symbols(market).get(name)
        if symbol is None:
            raise RequestError(INVALID_SYMBOL, "Invalid symbol.")
        return symbol

    def _funding(self, symbol: Symbol) -> Series:
        return self._store.finest(symbol, CandleType.FUNDING_RATE)

    def _listed(self, symbol: Symbol) -> int:
        times = self._store.finest(symbol, symbol.market.candle_type).times
        return int(times[0]) if len(times) else 0

    def quote(self, symbol: Symbol, now: int) -> Quote:
        """Return the price of a symbol and its trading rules."""
        series = self._store.finest(symbol, symbol.market.candle_type)
        rules = self._rules_of(symbol, now)
        time, price = self._newest(series, now)
        # On its walk, a price comes between two ticks.
        return Quote(symbol, rules, time, round(price, rules.price_decimals))

    def _rules_of(self, symbol: Symbol, now: int) -> TradingRules:
        series = self._store.finest(symbol, symbol.market.candle_type)
        opened = series.opened(now)
        since, rules = self._rules.get(symbol, (0, None))
        # The step of an amount follows the price, which takes its time.
        if rules is None or not since or not 0 <= opened - since < CANDLES_PER_RULES:
            rules = trading_rules(series, opened)
            self._rules[symbol] = (opened, rules)
        return rules


def _error(status: int, code: int, message: str) -> web.Response:
    return web.json_response({"code": code, "msg": message}, status=status)


def _json(answer: Callable[[Market, Query], Any], market: Market) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.json_response(answer(market, Query(request.query.items())))

    return handle
