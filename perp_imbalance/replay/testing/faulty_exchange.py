"""A replay exchange with faults."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from aiohttp import web

from perp_imbalance.replay.candle_store import Symbol
from perp_imbalance.replay.overlay import ANSWER_HEADER, STEPPED_HEADER
from perp_imbalance.replay.rules import TradingRules
from perp_imbalance.replay.server import ReplayExchange
from perp_imbalance.replay.testing.answer_faults import SpoiltAnswer
from perp_imbalance.replay.testing.faults import (
    Clock,
    Fault,
    FaultyStore,
    HttpFault,
    NoAnswer,
    TickChange,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FaultyExchange(ReplayExchange):
    """A replay exchange whose trading rules are changed by faults.

    :param store: the candles
    :param faults: faults; only those of trading rules apply here
    :param clock: returns the time in ms
    """

    def __init__(self, store: FaultyStore, faults: Sequence[Fault], clock: Clock) -> None:
        super().__init__(store, clock)
        self._changes = [fault for fault in faults if isinstance(fault, TickChange)]

    def _rules_of(self, symbol: Symbol, now: int) -> TradingRules:
        rules = super()._rules_of(symbol, now)
        for change in self._changes:
            if change.pair == symbol.pair and change.lasts(now):
                decimals = max(0, rules.price_decimals - change.decimals)
                rules = replace(rules, price_decimals=decimals)
        return rules


def http_faults(faults: Sequence[Fault], clock: Clock) -> Any:
    """Return the middleware that applies faults of the whole exchange to requests."""
    ours = [fault for fault in faults if isinstance(fault, HttpFault)]

    @web.middleware
    async def misbehave(request: web.Request, handler: Handler) -> web.StreamResponse:
        now = clock()
        hit = [fault for fault in ours if fault.hits(request.path, now)]
        for fault in hit:
            answer = await fault.answer(request, clock)
            if answer is not None:
                return answer
        response = await handler(request)
        for fault in hit:
            if isinstance(fault, SpoiltAnswer):
                spoilt = await fault.spoil(request, response)
                if spoilt is None:
                    return _cut(request)
                response = spoilt
        return response

    return misbehave


def _cut(request: web.Request) -> web.StreamResponse:
    """Cut the connection; the returned answer is never sent."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


def silences(faults: Sequence[Fault], clock: Clock) -> Any:
    """Return the signal that adds an answer's delay to its headers, for a stepped clock."""
    ours = [fault for fault in faults if isinstance(fault, NoAnswer)]

    async def tell(request: web.Request, response: web.StreamResponse) -> None:
        now = clock()
        seconds = [fault.seconds for fault in ours if fault.hits(request.path, now)]
        if seconds and STEPPED_HEADER in request.headers:
            response.headers[ANSWER_HEADER] = str(max(seconds))

    return tell
