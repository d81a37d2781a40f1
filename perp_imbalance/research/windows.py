"""Divide a time range into windows: a part for the fit, followed by a part for the test."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from perp_imbalance.errors import SettingsError

_LENGTH = re.compile(r"([1-9]\d*)([dw])")
_DAYS = {"d": 1, "w": 7}
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Window:
    """One fit and its test. Ends are exclusive.

    :ivar number: 1 for the first window.
    :ivar train: begin of the training part.
    :ivar test: begin of the test part, and end of the training part.
    :ivar end: end of the test part.
    """

    number: int
    train: datetime
    test: datetime
    end: datetime

    @property
    def name(self) -> str:
        """Name of the window's result file."""
        return f"{self.number:03d}-{self.test:%Y%m%d}-{self.end:%Y%m%d}"

    @property
    def train_range(self) -> str:
        """Freqtrade's ``--timerange`` of the training part."""
        return _timerange(self.train, self.test)

    @property
    def test_range(self) -> str:
        """Freqtrade's ``--timerange`` of the test part."""
        return _timerange(self.test, self.end)


def _timerange(start: datetime, end: datetime) -> str:
    # freqtrade takes the candle that opens at the end as well: it would be in both parts.
    return f"{start.timestamp():.0f}-{(end - _SECOND).timestamp():.0f}"


def parse_length(text: str, option: str) -> timedelta:
    """Parse a length such as ``180d`` or ``26w``.

    :param option: name of the option, for the message.
    :raises SettingsError: if the text is not a length.

    >>> parse_length("2w", "--test").days
    14
    """
    found = _LENGTH.fullmatch(text)
    if found is None:
        raise SettingsError(
            f"{option} {text!r} is not a length: write days or weeks, such as 180d or 26w"
        )
    return timedelta(days=int(found[1]) * _DAYS[found[2]])


def split(
    start: datetime, end: datetime, train: timedelta, test: timedelta, *, anchored: bool = False
) -> list[Window]:
    """Return all full windows of a time range; the test parts are contiguous.

    :param anchored: whether each training part begins with the time range and grows; otherwise its
        length is constant.
    :raises SettingsError: if no window fits.
    """
    windows: list[Window] = []
    middle = start + train
    while middle + test <= end:
        begin = start if anchored else middle - train
        windows.append(Window(len(windows) + 1, begin, middle, middle + test))
        middle += test
    if not windows:
        raise SettingsError(
            f"{start:%Y-%m-%d} to {end:%Y-%m-%d} is {(end - start).days} days, too short for one "
            f"window of {train.days} + {test.days} days: take a longer time range, or shorter "
            "--train and --test"
        )
    return windows


def check_candles(windows: Sequence[Window], times: Sequence[datetime], startup: timedelta) -> None:
    """Raise if a part has no candles, or a training part is less than half covered.

    :param times: opening times of the candles of all pairs, in any order.
    :param startup: time that the strategy needs before its first signal.
    :raises SettingsError: naming the window.
    """
    import numpy as np

    stamps = np.sort(np.array([time.timestamp() for time in times]))
    ready = min(times) + startup
    first_window = windows[0]
    if ready > first_window.train + (first_window.test - first_window.train) / 2:
        raise SettingsError(
            f"the training part of window 1 begins on {first_window.train:%Y-%m-%d}, and the "
            f"strategy has no signal before {ready:%Y-%m-%d}: begin --timerange there, or take "
            "a longer --train"
        )
    for window in windows:
        parts = {"training": (window.train, window.test), "test": (window.test, window.end)}
        for name, (begin, end) in parts.items():
            first, last = np.searchsorted(stamps, [begin.timestamp(), end.timestamp()])
            if first == last:
                raise SettingsError(
                    f"the {name} part of window {window.number} is empty: no candles from "
                    f"{begin:%Y-%m-%d} to {end:%Y-%m-%d}"
                )


def clip(
    start: datetime | None, stop: datetime | None, first: datetime, last: datetime
) -> tuple[datetime, datetime]:
    """Return a time range limited to the candles.

    :param start: begin of the time range, None if open; ``stop`` is its end.
    :param first: opening time of the first candle.
    :param last: end of the last candle.
    :raises SettingsError: if the range contains no candles.
    """
    if (start and start >= last) or (stop and stop <= first):
        raise SettingsError(
            f"no candles in that time range: they go from {first:%Y-%m-%d} to {last:%Y-%m-%d}"
        )
    begin = max(start, first) if start else first
    end = min(stop, last) if stop else last
    # A day that is cut off would shift all days of the account.
    midnight = begin.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return (begin if begin == midnight else midnight + timedelta(days=1)), end
