"""Bad days of an exchange, written down: what a replay exchange answers while one lasts.

Every fault is bound to the clock of the replay, and candles to a pair as freqtrade names it::

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
    """Something that goes wrong for a while.

    :param start: when it begins; without, it always has
    :param end: when it is over, itself excluded; without, it never is
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Moment | None = None
    end: Moment | None = None

    def lasts(self, now: int) -> bool:
        """Tell whether the clock is within the fault."""
        return bool(self._during(np.array([now]))[0])

    def _has_begun(self, now: int) -> bool:
        return self.start is None or now >= _milliseconds(self.start)

    def _during(self, times: npt.NDArray[np.int64]) -> Bools:
        """Return which times lie within the fault."""
        during: Bools = np.ones(len(times), np.bool_)
        if self.start is not None:
            during &= times >= _milliseconds(self.start)
        if self.end is not None:
            during &= times < _milliseconds(self.end)
        return during


class CandleFault(Fault):
    """A fault of one market.

    :param pair: as freqtrade names it: ``BTC/USDT`` is spot, ``BTC/USDT:USDT`` the perp
    """

    pair: str

    def shown(self, series: Series, now: int) -> Series:
        """Return the candles that a request for candles can find."""
        return self.traded(series, now)

    def traded(self, series: Series, now: int) -> Series:
        """Return the candles that prices and order books come from."""
        return series

    def status(self, now: int) -> str | None:
        """Return what the market list says of the market, None where it does not list it."""
        return ""


class LateCandles(CandleFault):
    """Candles that end within the fault can be seen only some time later, not even unfinished.

    :param seconds: how much later
    :param candles: how much later, in candles
    """

    fault: Literal["late_candles"] = "late_candles"
    seconds: NonNegativeFloat = 0
    candles: NonNegativeInt = 0

    def shown(self, series: Series, now: int) -> Series:
        """Return the candles without those that are yet to come."""
        if not self._has_begun(now):
            return series
        delay = round(self.seconds * 1000) + self.candles * (series.ends - series.times)
        hidden = self._during(series.ends) & (series.ends + delay > now)
        # Nor can what follows them: candles come in order.
        return _rows(series, ~np.logical_or.accumulate(hidden))


class MissingCandles(CandleFault):
    """Candles that begin within the fault are gone.

    :param afterwards: whether they are still ``gone`` when the fault is over, or ``there``
    """

    fault: Literal["missing_candles"] = "missing_candles"
    afterwards: Literal["gone", "there"] = "gone"

    def shown(self, series: Series, now: int) -> Series:
        """Return the other candles."""
        if self.afterwards == "there" and not self.lasts(now):
            return series
        return _rows(series, ~self._during(series.times))


class Delisted(CandleFault):
    """The market ends: no candles from then on, and the market list says so.

    :param removed: whether the exchange forgets the symbol altogether
    """

    fault: Literal["delisted"] = "delisted"
    removed: bool = False

    def traded(self, series: Series, now: int) -> Series:
        """Return the candles without those that had not closed when the market ended."""
        if not self._has_begun(now):
            return series
        return _rows(series, ~self._during(series.ends - 1))

    def status(self, now: int) -> str | None:
        """Tell that nothing is traded."""
        if not self.lasts(now):
            return ""
        return None if self.removed else NO_TRADE


class BadPrices(CandleFault):
    """Candles that begin within the fault have prices at which nothing was traded.

    No exchange known sends a volume with a price that is not a number: such a candle has volume 0.

    :param price: what they have: no number, zero, or their own times ``factor``
    """

    fault: Literal["bad_prices"] = "bad_prices"
    price: Literal["nan", "zero", "absurd"]
    factor: PositiveFloat = 10.0

    def shown(self, series: Series, now: int) -> Series:
        """Return the candles with these prices."""
        values = series.values.copy()
        factor = {"nan": float("nan"), "zero": 0.0, "absurd": self.factor}[self.price]
        bad = self._during(series.times)
        values[bad, :4] *= factor
        if self.price == "nan":
            values[bad, 4] = 0.0
        return replace(series, values=values)


class Halted(CandleFault):
    """Nothing is traded: flat candles without volume, and a price that stands still."""

    fault: Literal["halted"] = "halted"

    def traded(self, series: Series, now: int) -> Series:
        """Return the candles with the halt in them."""
        halted = np.flatnonzero(self._during(series.times))
        if not halted.size:
            return series
        values = series.values.copy()
        first = int(halted[0])
        values[halted, :4] = values[first - 1, 3] if first else values[first, 0]
        values[halted, 4] = 0
        return replace(series, values=values)


class TickChange(CandleFault):
    """Prices have fewer decimals while it lasts.

    :param decimals: how many fewer
    """

    fault: Literal["tick_change"] = "tick_change"
    decimals: PositiveInt = 1


class HttpFault(Fault):
    """A fault of the whole exchange.

    :param paths: patterns of the paths that it hits, such as ``*/klines``; all by default
    """

    paths: Annotated[list[str], Field(min_length=1)] = ["*"]

    def hits(self, path: str, now: int) -> bool:
        """Tell whether a request meets the fault."""
        return self.lasts(now) and any(fnmatch(path, pattern) for pattern in self.paths)

    @abstractmethod
    async def answer(self, request: web.Request, clock: Clock) -> web.Response | None:
        """Return what the request gets, None for what it would get without the fault."""


class HttpErrors(HttpFault):
    """Every request is refused.

    :param status: 500 and the like: the exchange is down; 429: too many requests; 418: banned
    :param retry_after: seconds that a header tells to wait
    """

    fault: Literal["http_errors"] = "http_errors"
    status: Annotated[int, Field(ge=400, le=599)]
    retry_after: NonNegativeInt | None = None

    async def answer(self, request: web.Request, clock: Clock) -> web.Response | None:
        """Refuse in Binance's words."""
        code, message = REFUSALS.get(self.status, UNKNOWN)
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        body = {"code": code, "msg": message}
        return web.json_response(body, status=self.status, headers=headers)


class NoAnswer(HttpFault):
    """Every request waits for its answer.

    A client on a stepped clock is answered at once and told how long that takes.

    :param seconds: how long, on the clock of the replay
    """

    fault: Literal["no_answer"] = "no_answer"
    seconds: PositiveFloat

    async def answer(self, request: web.Request, clock: Clock) -> web.Response | None:
        """Wait until the time is over or the client has given up."""
        if STEPPED_HEADER in request.headers:
            return None
        end = clock() + round(self.seconds * 1000)
        while clock() < end and request.transport and not request.transport.is_closing():
            await asyncio.sleep(LOOK_SECONDS)
        return None


class FaultyStore(CandleStore):
    """A store whose candles have faults, as of a clock.

    :param datadir: folder in freqtrade's layout
    :param extra_pairs: freqtrade names of pairs that are listed but have no candles
    :param faults: those of them that hit candles matter here
    :param clock: returns the time in ms
    :raises DataError: where a fault names a pair that the folder lacks
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
        """Return the symbols that are listed now."""
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
        """Return the candles that a request finds now."""
        series = super().series(symbol, timeframe, candle_type)
        if candle_type == symbol.market.candle_type and len(series.times):
            for fault in self._faults.get(symbol.pair, ()):
                series = fault.shown(series, self._clock())
        return series

    def finest(self, symbol: Symbol, candle_type: CandleType) -> Series:
        """Return the candles that prices come from; only what stops the trading changes them."""
        series = super().finest(symbol, candle_type)
        if candle_type == symbol.market.candle_type and len(series.times):
            for fault in self._faults.get(symbol.pair, ()):
                series = fault.traded(series, self._clock())
        return series


def _rows(series: Series, kept: Bools) -> Series:
    return Series(series.times[kept], series.ends[kept], series.values[kept])
