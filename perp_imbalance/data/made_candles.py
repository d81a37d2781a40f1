"""Make the candles of a higher timeframe from those of a lower one."""

import shutil
from atexit import register
from contextlib import ExitStack
from pathlib import Path

from pandas import DataFrame, Timedelta

from perp_imbalance.errors import SettingsError
from perp_imbalance.files import temporary_folder
from perp_imbalance.indicators.higher_timeframe import check_higher, timeframe_ns

_COLUMNS = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
# Configs and results of this process name these folders: they stay until it ends.
_until_exit = ExitStack()
register(_until_exit.close)


def can_be_made(timeframe: str, higher: str) -> bool:
    """Return whether candles of a higher timeframe can be made from those of a timeframe.

    Candles whose length divides a day open at midnight UTC on every exchange. Exchanges differ on
    when longer candles open, so these are not made.

    >>> can_be_made("1h", "4h"), can_be_made("3h", "4h"), can_be_made("1h", "1w")
    (True, False, False)
    """
    try:
        check_higher(timeframe, higher)
    except SettingsError:
        return False
    return timeframe_ns("1d") % timeframe_ns(higher) == 0


def made_candles(frame: DataFrame, timeframe: str, higher: str) -> DataFrame:
    """Return the closed candles of a higher timeframe, made from candles of a lower one.

    The first and the last are left out unless the candles cover them from open to close. A candle
    with some parts missing is made from the others, as on an exchange; one with all parts missing
    is missing, and freqtrade fills it like any other.

    :param frame: ``date`` (UTC, the open), ``open``, ``high``, ``low``, ``close`` and ``volume``,
        in order of time.
    :return: the same columns; a row depends on the candles between its open and its close only.

    >>> made_candles(candles, "1h", "4h")["date"].iloc[0]  # doctest: +SKIP
    Timestamp('2025-01-01 00:00:00+0000', tz='UTC')
    """
    length, longer = Timedelta(timeframe_ns(timeframe)), Timedelta(timeframe_ns(higher))
    made = frame.resample(longer, on="date", origin="epoch").agg(_COLUMNS).dropna(subset=["open"])
    made = made.reset_index()
    first, last = frame["date"].iloc[0], frame["date"].iloc[-1] + length
    whole = (made["date"] >= first) & (made["date"] + longer <= last)
    return DataFrame(made[whole].reset_index(drop=True))


def linked_folder(datadir: Path) -> Path:
    """Return a temporary folder with links to a candle folder's files; it is deleted at exit."""
    place = _until_exit.enter_context(temporary_folder())
    (place / "futures").mkdir()
    for folder in (datadir, datadir / "futures"):
        for file in folder.glob("*"):
            if file.is_file():
                link = place / file.relative_to(datadir)
                try:
                    link.symlink_to(file.resolve())
                except OSError:
                    # On Windows only administrators may create links.
                    shutil.copy(file, link)
    return place
