"""Parse the parameters of requests, and refuse invalid ones."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import numpy as np

from perp_imbalance.errors import PerpImbalanceError
from perp_imbalance.replay.candle_store import Series

BAD_PARAMETER = -1102
INVALID_INTERVAL = -1120
#: Binance's LONG: what a larger number would be compared with has 64 bits.
MAX_INTEGER = 2**63 - 1
MAX_DIGITS = 40
# Case tells a month from a minute.
INTERVALS = frozenset(
    {"1s", "1m", "3m", "5m", "15m", "30m"}
    | {"1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"}
)


class RequestError(PerpImbalanceError):
    """A request that Binance refuses.

    :param code: Binance's number of the error
    :param message: Binance's wording
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Window:
    """The rows that a request asks for; times in ms, both inclusive."""

    start: int | None
    end: int | None
    limit: int

    def rows(self, series: Series, now: int) -> slice:
        """Return the first ``limit`` rows from ``start``, or without a start the last ones."""
        last = now if self.end is None else min(now, self.end)
        stop = series.opened(last)
        if self.start is None:
            return slice(max(0, stop - self.limit), stop)
        begin = int(np.searchsorted(series.times, self.start, side="left"))
        return slice(begin, max(begin, min(stop, begin + self.limit)))


class Query:
    """The parameters of a request; invalid ones are refused with Binance's messages."""

    def __init__(self, params: Iterable[tuple[str, str]]) -> None:
        self._params = dict(params)

    def has(self, name: str) -> bool:
        """Return whether the parameter was sent."""
        return name in self._params

    def text(self, name: str) -> str:
        """Return a required parameter."""
        value = self._params.get(name)
        if not value:
            raise _malformed(name)
        return value

    def integer(self, name: str, default: int, minimum: int = 0) -> int:
        """Return a whole number of at least ``minimum``."""
        if name not in self._params:
            return default
        try:
            value = int(self._params[name])
        except ValueError:
            raise _malformed(name) from None
        if not minimum <= value <= MAX_INTEGER:
            raise _malformed(name)
        return value

    def decimal(self, name: str, default: Decimal | None = None) -> Decimal:
        """Return a decimal number exactly as written; required unless it has a default."""
        if default is not None and name not in self._params:
            return default
        try:
            value = Decimal(self.text(name))
        except InvalidOperation:
            raise _malformed(name) from None
        # Far beyond any price or amount, sums of it would end in an overflow.
        if not value.is_finite() or abs(value.adjusted()) > MAX_DIGITS:
            raise _malformed(name)
        return value

    def flag(self, name: str) -> bool:
        """Return whether a parameter is true; False if it was not sent."""
        value = self._params.get(name, "false").lower()
        if value not in ("true", "false"):
            raise _malformed(name)
        return value == "true"

    def interval(self, name: str) -> str:
        """Return a timeframe that Binance supports."""
        interval = self.text(name)
        if interval not in INTERVALS:
            raise RequestError(INVALID_INTERVAL, "Invalid interval.")
        return interval

    def names(self, name: str) -> list[str]:
        """Return a JSON list of texts."""
        try:
            names = json.loads(self.text(name))
        except (ValueError, RecursionError):
            raise _malformed(name) from None
        if not isinstance(names, list) or not all(isinstance(item, str) for item in names):
            raise _malformed(name)
        return names

    def window(self, default_limit: int, max_limit: int) -> Window:
        """Return the requested rows; a limit that is too high is lowered, as Binance does."""
        return Window(
            start=self.integer("startTime", 0) if self.has("startTime") else None,
            end=self.integer("endTime", 0) if self.has("endTime") else None,
            limit=min(self.integer("limit", default_limit, minimum=1), max_limit),
        )


def _malformed(name: str) -> RequestError:
    return RequestError(
        BAD_PARAMETER,
        f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.",
    )
