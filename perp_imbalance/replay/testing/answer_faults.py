"""Faults of transport: correct answers arrive changed, in part or not at all."""

import json
from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field, PositiveInt, PrivateAttr

from perp_imbalance.replay.testing.faults import Clock, Fault, HttpFault

CANDLES = ["*/klines"]


class SpoiltAnswer(HttpFault):
    """A fault that changes the answers of served requests."""

    async def answer(self, request: web.Request, clock: Clock) -> web.Response | None:
        """Return None: the exchange serves the request."""
        return None

    @abstractmethod
    async def spoil(
        self, request: web.Request, response: web.StreamResponse
    ) -> web.StreamResponse | None:
        """Return the changed answer; None if the connection was cut."""


class RepeatedCandles(SpoiltAnswer):
    """The newest candles of an answer are duplicated.

    :param candles: number of duplicated candles
    """

    fault: Literal["repeated_candles"] = "repeated_candles"
    paths: list[str] = Field(default=CANDLES, min_length=1)
    candles: PositiveInt = 2

    async def spoil(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        """Duplicate the newest candles."""
        rows = _rows(response)
        newest = [row for row in rows[-self.candles :] for _ in range(2)]
        return web.json_response(rows[: -self.candles] + newest)


class ReorderedCandles(SpoiltAnswer):
    """The newest candles of an answer are in reverse order.

    :param candles: number of reversed candles
    """

    fault: Literal["reordered_candles"] = "reordered_candles"
    paths: list[str] = Field(default=CANDLES, min_length=1)
    candles: Annotated[int, Field(ge=2)] = 3

    async def spoil(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        """Reverse the newest candles."""
        rows = _rows(response)
        return web.json_response(rows[: -self.candles] + rows[-self.candles :][::-1])


class HalfAnswers(SpoiltAnswer):
    """Only the first half of an answer arrives.

    :param announced: the length in the header: of the ``whole`` answer, as when a connection
        breaks, or of the ``half``, as when a proxy cuts it
    """

    fault: Literal["half_answers"] = "half_answers"
    announced: Literal["whole", "half"] = "whole"

    async def spoil(
        self, request: web.Request, response: web.StreamResponse
    ) -> web.StreamResponse | None:
        """Send half of the answer."""
        body = _body(response)
        half = body[: len(body) // 2]
        if self.announced == "half":
            return web.Response(body=half, content_type="application/json")
        cut = web.StreamResponse(headers={"Content-Type": "application/json"})
        cut.content_length = len(body)
        await cut.prepare(request)
        await cut.write(half)
        return None


class LostAnswers(SpoiltAnswer):
    """The connection is cut after an order was accepted and before its answer is sent.

    :param times: number of lost answers; None for all
    """

    fault: Literal["lost_answers"] = "lost_answers"
    paths: list[str] = Field(default=["/fapi/v1/order"], min_length=1)
    times: PositiveInt | None = None
    _lost: int = PrivateAttr(0)

    @property
    def is_left(self) -> bool:
        """Whether the next answer is to be lost."""
        return self.times is None or self._lost < self.times

    async def spoil(
        self, request: web.Request, response: web.StreamResponse
    ) -> web.StreamResponse | None:
        """Cut the connection if the request placed an order."""
        if request.method != "POST" or not self.is_left:
            return response
        self._lost += 1
        return None


class ClockSkew(HttpFault):
    """The clock of the exchange is wrong, in its answers and in its check of a request's time.

    :param seconds: offset of the clock; above 0 it is ahead, below 0 behind
    """

    fault: Literal["clock_skew"] = "clock_skew"
    paths: list[str] = Field(default=["*/time"], min_length=1)
    seconds: float

    async def answer(self, request: web.Request, clock: Clock) -> web.Response | None:
        """Answer with the wrong time."""
        return web.json_response({"serverTime": self.shifted(clock())})

    def shifted(self, now: int) -> int:
        """Return a time in ms plus the error of the exchange's clock."""
        return now + round(self.seconds * 1000) if self.lasts(now) else now


def skewed(faults: Sequence[Fault], clock: Clock) -> Clock:
    """Return the clock for the exchange's check of signed requests."""
    ours = [fault for fault in faults if isinstance(fault, ClockSkew)]

    def now() -> int:
        time = clock()
        for fault in ours:
            time = fault.shifted(time)
        return time

    return now


def _rows(response: web.StreamResponse) -> list[object]:
    rows: list[object] = json.loads(_body(response))
    return rows


def _body(response: web.StreamResponse) -> bytes:
    assert isinstance(response, web.Response)
    assert isinstance(response.body, bytes)
    return response.body
