"""The plan of a rehearsal, and the files with its results."""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from perp_imbalance.errors import RehearsalError

#: What is said of a bot that gave up, which freqtrade keeps waiting for a command to go on.
STOPPED = "the bot stopped itself"

_DATES = {"trades": ["open_date", "close_date"], "orders": ["order_date", "order_filled_date"]}


@dataclass(frozen=True)
class Plan:
    """One run of a bot on past candles; a later plan with the same folder is a restart.

    :ivar config: the whole config, such as ``freqtrade_bridge.config.merged_config`` returns
    :ivar datadir: folder of candles in freqtrade's layout
    :ivar folder: folder for database and log
    :ivar start: start of the bot, timezone-aware
    :ivar end: the bot ends before its first iteration after this time, timezone-aware
    :ivar looks: seconds after a candle's opening at which the bot iterates, increasing; None for
        freqtrade's own pace
    :ivar seed: seed of order ids and hashes
    :ivar walk: whether prices move inside a candle, see
        :func:`perp_imbalance.replay.binance.walked`
    :ivar shortcuts: whether to skip work whose result is known, see :mod:`.shortcuts`
    :ivar stage: class that serves the exchange and observes the bot, see :mod:`.stage`; None for an
        exchange without faults
    :ivar options: options of the stage, as plain values
    :raises RehearsalError: if times or looks are invalid
    """

    config: Mapping[str, Any]
    datadir: Path
    folder: Path
    start: datetime
    end: datetime
    looks: tuple[float, ...] | None = (1.0,)
    seed: int = 1
    walk: bool = False
    shortcuts: bool = True
    stage: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise RehearsalError("start and end of a rehearsal need a timezone, such as UTC")
        if self.end < self.start:
            raise RehearsalError(f"a rehearsal cannot end ({self.end}) before it starts")
        if self.looks is not None and (
            not self.looks or min(self.looks) < 0 or sorted(set(self.looks)) != list(self.looks)
        ):
            raise RehearsalError(
                f"looks are seconds after a candle's opening, rising: {self.looks} are not"
            )

    @property
    def database(self) -> Path:
        """The path of the bot's database."""
        return self.folder / "rehearsal.sqlite"

    @property
    def db_url(self) -> str:
        """The URL of the bot's database, with special characters escaped."""
        return f"sqlite:///{quote(str(self.database.absolute()))}"

    @property
    def log(self) -> Path:
        """The path of the bot's log; a restart appends to it."""
        return self.folder / "rehearsal.log"

    def dumps(self) -> str:
        """Return the plan as text."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def loads(cls, text: str) -> "Plan":
        """Return the plan from its text."""
        stored = json.loads(text)
        for name in ("start", "end"):
            stored[name] = datetime.fromisoformat(stored[name])
        for name in ("datadir", "folder"):
            stored[name] = Path(stored[name])
        if stored["looks"] is not None:
            stored["looks"] = tuple(stored["looks"])
        return cls(**stored)


def read_table(database: Path, name: str) -> pd.DataFrame:
    """Return a table of a bot's database with times in UTC; the database is opened read-only.

    :param name: ``trades``, ``orders`` or ``pairlocks``
    """
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as store:
        frame = pd.read_sql(f"select * from {name}", store)
    for column in _DATES.get(name, []):
        frame[column] = pd.to_datetime(frame[column], utc=True, format="mixed")
    return frame
