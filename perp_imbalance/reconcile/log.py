"""Read a bot's log: the candles it analysed, what it saw, and unfilled orders."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from perp_imbalance.errors import DataError
from perp_imbalance.reconcile.database import Unfilled

# freqtrade's own format of a log file.
_LINE = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:,\d+)? - (\S+) - [A-Z]+ - (.*)$")
_CANDLE = re.compile(r"^(\S+:\S+) (\d{4}-\d\d-\d\d \d\d:\d\d): (z \S+, premium .*)$")
_UNFILLED = re.compile(
    r"order fully cancelled\. Removing Trade\(id=\d+, pair=(\S+), .*is_short=(True|False), "
    r".*open_since=([^)]+)\)"
)
# freqtrade says so every minute, where the spot price of a candle is awaited, too.
_ALIVE = re.compile(r"^Bot heartbeat\. .*state='RUNNING'")
# A machine's clock may tell local time, in steps of a quarter of an hour.
_STEP = pd.Timedelta(minutes=15)


@dataclass(frozen=True)
class BotLog:
    """The content of a log; empty without a log.

    :ivar seen: the strategy's line about a candle, by pair and opening time
    :ivar looks: times at which the bot was running, in order
    :ivar unfilled: orders that were cancelled without a fill
    """

    seen: dict[tuple[str, pd.Timestamp], str] = field(default_factory=dict)
    looks: tuple[pd.Timestamp, ...] = ()
    unfilled: tuple[Unfilled, ...] = ()


def read_log(files: Sequence[Path], candle: pd.Timedelta) -> BotLog:
    """Read the log files of a bot.

    :param files: files of freqtrade's ``--logfile``; several if it was rotated
    :param candle: length of the bot's candles
    :raises DataError: if a file cannot be read, or no file has a line about a candle
    """
    seen: dict[tuple[str, pd.Timestamp], str] = {}
    looks, alive, removed, late = [], [], [], []
    for file in files:
        try:
            lines = file.read_text("utf-8", errors="replace").splitlines()
        except OSError as error:
            raise DataError(f"{file} cannot be read: {error.strerror}") from None
        for line in lines:
            if not (parts := _LINE.match(line)):
                continue
            time, _, said = parts.groups()
            if about := _CANDLE.match(said):
                opened = pd.Timestamp(about[2], tz="UTC")
                seen[about[1], opened] = about[3]
                looks.append(pd.Timestamp(time, tz="UTC"))
                late.append(looks[-1] - opened - candle)
            elif _ALIVE.match(said):
                alive.append(pd.Timestamp(time, tz="UTC"))
            elif gone := _UNFILLED.search(said):
                placed = pd.Timestamp(gone[3], tz="UTC")
                removed.append((gone[1], gone[2] == "True", placed, pd.Timestamp(time, tz="UTC")))
    if files and not looks:
        names = ", ".join(map(str, files))
        raise DataError(
            f"{names} has no line of a candle: name freqtrade's --logfile of a bot whose "
            "perp_imbalance.log_candles is on"
        )
    shift = pd.Series(late).median().round(_STEP) if late else pd.Timedelta(0)
    unfilled = tuple(Unfilled(*order[:3], order[3] - shift) for order in removed)
    return BotLog(seen, tuple(sorted(look - shift for look in (*looks, *alive))), unfilled)
