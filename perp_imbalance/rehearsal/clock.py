"""A wall clock that moves only while the bot sleeps."""

import math
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import SupportsIndex

import time_machine

# The timer of this machine, whatever becomes of ``time.sleep``.
_sleep = time.sleep


class SteppedClock:
    """The wall clock of this process, moved explicitly during the block.

    ``time.time``, ``datetime.now`` and all other functions of the time of day follow it, in every
    thread. ``time.monotonic`` stays real, since event loops and timeouts use it. ``time.sleep`` on
    the main thread moves the clock instead of waiting; other threads wait as usual.

    :param start: initial time of the clock, timezone-aware

    >>> from datetime import UTC
    >>> with SteppedClock(datetime(2025, 1, 1, tzinfo=UTC)) as clock:
    ...     time.sleep(90)
    ...     print(datetime.now(UTC))
    2025-01-01 00:01:30+00:00
    """

    def __init__(self, start: datetime) -> None:
        self._travel = time_machine.travel(start, tick=False)

    def __enter__(self) -> "SteppedClock":
        """Stop the clock at the start."""
        self._place = self._travel.start()
        time.sleep = self.sleep
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Restore the real clock."""
        time.sleep = _sleep
        self._travel.stop()

    def sleep(self, seconds: SupportsIndex | float) -> None:
        """Replace ``time.sleep``."""
        if threading.current_thread() is threading.main_thread():
            self._place.shift(float(seconds))
        else:
            _sleep(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """Replace ``asyncio.sleep`` for one task at a time; time moves for all tasks."""
        self._place.shift(seconds)

    def now(self) -> float:
        """Return the time in seconds since 1970."""
        return time.time()

    def move_to(self, moment: float) -> None:
        """Set the clock to a time in seconds since 1970."""
        self._place.move_to(moment)


def next_look(now: float, candle: int, offsets: Sequence[float]) -> float:
    """Return the first time after ``now`` that has one of the offsets within its candle.

    :param now: seconds since 1970
    :param candle: length of a candle in seconds
    :param offsets: seconds after a candle's opening, increasing, each in [0, candle)

    >>> next_look(7205, 3600, [1, 1801])
    9001.0
    >>> next_look(9001, 3600, [1, 1801])
    10801.0
    """
    opened = math.floor(now / candle) * candle
    moments = [opened + offset for offset in (*offsets, candle + offsets[0])]
    return float(next(moment for moment in moments if moment > now))


def even_looks(count: int, candle: int) -> list[float]:
    """Return offsets that divide a candle evenly; the first is one second after its opening.

    freqtrade also waits one second, so that the exchange has published the new candle.

    >>> even_looks(3, 3600)
    [1.0, 1201.0, 2401.0]
    """
    return [1.0 + look * candle / count for look in range(count)]
