"""Faults of an exchange: what a replay exchange answers while one lasts.

The time of a fault is that of the replay's clock; pairs have freqtrade's names::

    outage = MissingCandles(pair="BTC/USDT", start=noon, end=one_o_clock)
    with running_test_replay(Path("candles/binance"), faults=[outage]) as replay:
        ...

or, for the command ``perp-imbalance replay --faults faults.json``::

    [{"fault": "missing_candles", "pair": "BTC/USDT", "start": "2025-03-10T12:00"}]
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from aiohttp import web
from freqtrade.enums import CandleType
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

from perp_imbalance.errors import DataError
from perp_imbalance.replay.candle_store import CandleStore, Market, Series, Symbol
from perp_imbalance.replay.overlay import STEPPED_HEADER

Clock = Callable[[], int]
Bools = npt.NDArray[np.bool_]

# How long a silent exchange sleeps before it looks at its clock again.
LOOK_SECONDS = 0.02
NO_TRADE = "BREAK"
# Binance's words: number and message of the body that comes with a status.
REFUSALS = {
    418: (-1003, "Way too many requests; IP banned."),
    429: (-1003, "Too many requests; current limit of IP is 2400 requests per minute."),
}
UNKNOWN = (-1000, "An unknown error occurred while processing the request.")


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


Moment = Annotated[datetime, AfterValidator(_utc)]


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


class Fault(BaseModel, ABC):
    """A fault that lasts for a time.

    :param start: begin of the fault; without it, the fault is there from the start
    :param end: end of the fault, exclusive; without it, the fault never ends
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Moment | None = None
    end: Moment | None = None

    def lasts(self, now: int) -> bool:
        """Return whether the fault is active at the time of the clock."""
        return bool(self._during(np.array([now]))[0])

    def _has_begun(self, now: int) -> bool:
        return self.start is None or now >= _milliseconds(self.start)

    def _during(self, times: npt.NDArray[np.int64]) -> Bools:
        """Return whether each time lies within the fault."""
        during: Bools = np.ones(len(times), np.bool_)
        if self.start is not None:
            during &= times >= _milliseconds(self.start)
        if self.end is not None:
            during &= times < _milliseconds(self.end)
        return during


class CandleFault(Fault):
    """A fault of one market.

    :param pair: freqtrade's name: ``BTC/USDT`` for spot, ``BTC/USDT:USDT`` for the perp
    """

    pair: str

    def shown(self, series: Series, now: int) -> Series:
        """Return the candles that a request returns."""
        return self.traded(series, now)

    def traded(self, series: Series, now: int) -> Series:
        """Return the candles from which prices and order books are made."""
        return series

    def status(self, now: int) -> str | None:
        """Return the status of the market in the market list; None if it is not listed."""
        return ""


class LateCandles(CandleFault):
    """Candles that end within the fault appear late, and not as unfinished candles before.

    :param seconds: delay in seconds
    :param candles: delay in candles
    """

    fault: Literal["late_candles"] = "late_candles"
    seconds: NonNegativeFloat = 0
    candles: NonNegativeInt = 0

    def shown(self, series: Series, now: int) -> Series:
        """Return the candles without the late ones."""
        if not self._has_begun(now):
            return series
        delay = round(self.seconds * 1000) + self.candles * (series.ends - series.times)
        hidden = self._during(series.ends) & (series.ends + delay > now)
        # Nor can what follows them: candles come in order.
        return _rows(series, ~np.logical_or.accumulate(hidden))


class MissingCandles(CandleFault):
    """Candles that begin within the fault are missing.

    :param afterwards: ``gone`` if they stay missing when the fault is over, ``there`` if not
    """

    fault: Literal["missing_candles"] = "missing_candles"
    afterwards: Literal["gone", "there"] = "gone"

    def shown(self, series: Series, now: int) -> Series:
        """Return the candles that are not missing."""
        if self.afterwards == "there" and not self.lasts(now):
            return series
        return _rows(series, ~self._during(series.times))


class Delisted(CandleFault):
    """The market is delisted: it has no further candles, and the market list says so.

    :param removed: whether the market list no longer contains the symbol
    """

    fault: Literal["delisted"] = "delisted"
    removed: bool = False

    def traded(self, series: Series, now: int) -> Series:
        """Return the candles that closed before the market ended."""
        if not self._has_begun(now):
            return series
        return _rows(series, ~self._during(series.ends - 1))

    def status(self, now: int) -> str | None:
        """Return the status of a halted market."""
        if not self.lasts(now):
            return ""
        return None if self.removed else NO_TRADE


class BadPrices(CandleFault):
    """Candles that begin within the fault have wrong prices.

    A candle whose price is not a number has volume 0, as on all known exchanges.

    :param price: the wrong price: not a number, zero, or the right one times ``factor``
    """

    fault: Literal["bad_prices"] = "bad_prices"
    price: Literal["nan", "zero", "absurd"]
    factor: PositiveFloat = 10.0

    def shown(self, series: Series, now: int) -> Series:
        """Return the candles with wrong prices."""
        values = series.values.copy()
        factor = {"nan": float("nan"), "zero": 0.0, "absurd": self.factor}[self.price]
        bad = self._during(series.times)
        values[bad, :4] *= factor
        if self.price == "nan":
            values[bad, 4] = 0.0
        return replace(series, values=values)


class Halted(CandleFault):
    """Trading is halted: flat candles without volume, and a constant price."""

    fault: Literal["halted"] = "halted"

    def traded(self, series: Series, now: int) -> Series:
        """Return the candles with flat ones during the halt."""
        halted = np.flatnonzero(self._during(series.times))
        if not halted.size:
            return series
        values = series.values.copy()
        first = int(halted[0])
        values[halted, :4] = values[first - 1, 3] if first else values[first, 0]
        values[halted, 4] = 0
        return replace(series, values=values)


class TickChange(CandleFault):
    """Prices have fewer decimals during the fault.

    :param decimals: number of removed decimals
    """

    fault: Literal["tick_change"] = "tick_change"
    decimals: PositiveInt = 1


class HttpFault(Fault):
    """A fault of the whole exchange.

    :param paths: patterns of affected paths, such as ``*/klines``; all by default
    """

    paths: Annotated[list[str], Field(min_length=1)] = ["*"]

    def hits(self, path: str, now: int) -> bool:
        """Return whether the fault affects a request."""
        return self.lasts(now) and any(fnmatch(path, pattern) for pattern in self.paths)

    @abstractmethod
    async def answer(self, request: web.Request, clock: Clock) -> web.Response | None:
        """Return the faulty answer; None for the normal one."""


class HttpErrors(HttpFault):
    """Every request is refused.

    :param status: HTTP status: 500 and others for an exchange that is down, 429 for too many
        requests, 418 for a ban
    :param retry_after: seconds in the ``Retry-After`` header
    """

    fault: Literal["http_errors"] = "http_errors"
    status: Annotated[int, Field(ge=400, le=599)]
    retry_after: NonNegativeInt | None = None

    async def answer(self, request: web.Request, clock: Clock) -> web.Response | None:
        """Return Binance's error message."""
        code, message = REFUSALS.get(self.status, UNKNOWN)
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        body = {"code": code, "msg": message}
        return web.json_response(body, status=self.status, headers=headers)


class NoAnswer(HttpFault):
    """Every answer is delayed.

    A client on a stepped clock gets its answer at once, with the delay.

    :param seconds: delay on the clock of the replay
    """

    fault: Literal["no_answer"] = "no_answer"
    seconds: PositiveFloat

    async def answer(self, request: web.Request, clock: Clock) -> web.Response | None:
        """Wait until the delay is over or the client disconnects."""
        if STEPPED_HEADER in request.headers:
            return None
        end = clock() + round(self.seconds * 1000)
        while clock() < end and request.transport and not request.transport.is_closing():
            await asyncio.sleep(LOOK_SECONDS)
        return None


class FaultyStore(CandleStore):
    """A store that applies faults to its candles.

    :param datadir: folder in freqtrade's layout
    :param extra_pairs: freqtrade names of pairs that are listed but have no candles
    :param faults: faults; only those of candles apply here
    :param clock: returns the time in ms
    :raises DataError: if a fault names a pair that the folder does not have
    """

    def __init__(
        self, datadir: Path, extra_pairs: Iterable[str], faults: Sequence[Fault], clock: Clock
    ) -> None:
        super().__init__(datadir, extra_pairs)
        self._clock = clock
        self._faults: dict[str, list[CandleFault]] = {}
        known = {symbol.pair for market in Market for symbol in self.symbols(market).values()}
        for fault in faults:
            if isinstance(fault, CandleFault):
                if fault.pair not in known:
                    raise DataError(f"a fault names {fault.pair}, but {datadir} has no such pair")
                self._faults.setdefault(fault.pair, []).append(fault)

    def symbols(self, market: Market) -> dict[str, Symbol]:
        """Return the symbols that are listed at this time."""
        symbols = super().symbols(market)
        if not self._faults:
            return symbols
        now, listed = self._clock(), dict(symbols)
        for name, symbol in symbols.items():
            for fault in self._faults.get(symbol.pair, ()):
                status = fault.status(now)
                if status is None:
                    listed.pop(name, None)
                elif status:
                    listed[name] = replace(symbol, status=status)
        return listed

    def series(self, symbol: Symbol, timeframe: str, candle_type: CandleType) -> Series:
        """Return the candles that a request returns at this time."""
        series = super().series(symbol, timeframe, candle_type)
        if candle_type == symbol.market.candle_type and len(series.times):
            for fault in self._faults.get(symbol.pair, ()):
                series = fault.shown(series, self._clock())
        return series

    def finest(self, symbol: Symbol, candle_type: CandleType) -> Series:
        """Return the candles from which prices are made; only halts of trading change them."""
        series = super().finest(symbol, candle_type)
        if candle_type == symbol.market.candle_type and len(series.times):
            for fault in self._faults.get(symbol.pair, ()):
                series = fault.traded(series, self._clock())
        return series


def _rows(series: Series, kept: Bools) -> Series:
    return Series(series.times[kept], series.ends[kept], series.values[kept])
