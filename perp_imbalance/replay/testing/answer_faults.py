"""Bad days of an exchange that show in its answers: right ones that arrive wrong, or not at all."""

import json
from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field, PositiveInt, PrivateAttr

from perp_imbalance.replay.testing.faults import Clock, Fault, HttpFault

CANDLES = ["*/klines"]


class SpoiltAnswer(HttpFault):
    """Every request is served, and something happens to its answer."""

    async def answer(self, request: web.Request, clock: Clock) -> web.Response | None:
        """Leave the request to the exchange."""
        return None

    @abstractmethod
    async def spoil(
        self, request: web.Request, response: web.StreamResponse
    ) -> web.StreamResponse | None:
        """Return what is sent instead of an answer; None: the connection has been cut."""


class RepeatedCandles(SpoiltAnswer):
    """The newest candles of an answer come twice, each right after itself.

    :param candles: how many of them
    """

    fault: Literal["repeated_candles"] = "repeated_candles"
    paths: list[str] = Field(default=CANDLES, min_length=1)
    candles: PositiveInt = 2

    async def spoil(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        """Repeat them."""
        rows = _rows(response)
        newest = [row for row in rows[-self.candles :] for _ in range(2)]
        return web.json_response(rows[: -self.candles] + newest)


class ReorderedCandles(SpoiltAnswer):
    """The newest candles of an answer come in the wrong order, the newest one first.

    :param candles: how many of them
    """

    fault: Literal["reordered_candles"] = "reordered_candles"
    paths: list[str] = Field(default=CANDLES, min_length=1)
    candles: Annotated[int, Field(ge=2)] = 3

    async def spoil(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        """Turn them round."""
        rows = _rows(response)
        return web.json_response(rows[: -self.candles] + rows[-self.candles :][::-1])


class HalfAnswers(SpoiltAnswer):
    """Only the first half of an answer arrives.

    :param announced: the length that the header names: of the ``whole`` answer, as when a
        connection breaks, or of the ``half``, as when a proxy has cut it
    """

    fault: Literal["half_answers"] = "half_answers"
    announced: Literal["whole", "half"] = "whole"

    async def spoil(
        self, request: web.Request, response: web.StreamResponse
    ) -> web.StreamResponse | None:
        """Send the half."""
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
    """The connection is cut when an order has been accepted, before its answer.

    :param times: how many answers are lost; None: all of them
    """

    fault: Literal["lost_answers"] = "lost_answers"
    paths: list[str] = Field(default=["/fapi/v1/order"], min_length=1)
    times: PositiveInt | None = None
    _lost: int = PrivateAttr(0)

    @property
    def is_left(self) -> bool:
        """Whether the next answer will be lost."""
        return self.times is None or self._lost < self.times

    async def spoil(
        self, request: web.Request, response: web.StreamResponse
    ) -> web.StreamResponse | None:
        """Cut the connection, unless nothing was placed."""
        if request.method != "POST" or not self.is_left:
            return response
        self._lost += 1
        return None


class ClockSkew(HttpFault):
    """The clock of the exchange is wrong: the time that it tells, and holds a request's against.

    :param seconds: how far it is ahead, below 0: behind
    """

    fault: Literal["clock_skew"] = "clock_skew"
    paths: list[str] = Field(default=["*/time"], min_length=1)
    seconds: float

    async def answer(self, request: web.Request, clock: Clock) -> web.Response | None:
        """Tell the wrong time."""
        return web.json_response({"serverTime": self.shifted(clock())})

    def shifted(self, now: int) -> int:
        """Return the wrong time at a moment, in ms."""
        return now + round(self.seconds * 1000) if self.lasts(now) else now


def skewed(faults: Sequence[Fault], clock: Clock) -> Clock:
    """Return the clock that the exchange holds the time of signed requests against."""
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
