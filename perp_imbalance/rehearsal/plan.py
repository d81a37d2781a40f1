"""What a rehearsal is to do, and what came of it."""

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
    """One life of a bot on past candles; a second one in the same folder is a restart.

    :ivar config: all of it, such as ``freqtrade_bridge.config.merged_config`` returns
    :ivar datadir: folder of candles in freqtrade's layout
    :ivar folder: where database and log go
    :ivar start: aware time at which the bot is started
    :ivar end: the bot is ended before its first look after this aware time
    :ivar looks: seconds after a candle's opening at which the bot looks, rising; None: freqtrade's
        own pace
    :ivar seed: of order ids and hashes
    :ivar walk: whether prices move inside a candle, see
        :func:`perp_imbalance.replay.binance.walked`
    :ivar shortcuts: whether work is left out whose result is known, see :mod:`.shortcuts`
    :ivar stage: class that serves the exchange and looks on, see :mod:`.stage`; None: nothing goes
        wrong
    :ivar options: what that class is to do, as plain values
    :raises RehearsalError: if times or looks make no sense
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
        """The bot's database."""
        return self.folder / "rehearsal.sqlite"

    @property
    def db_url(self) -> str:
        """The same for freqtrade, whatever characters its path has."""
        return f"sqlite:///{quote(str(self.database.absolute()))}"

    @property
    def log(self) -> Path:
        """The bot's log; a restart continues it."""
        return self.folder / "rehearsal.log"

    def dumps(self) -> str:
        """Return the plan as text."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def loads(cls, text: str) -> "Plan":
        """Read a plan back."""
        stored = json.loads(text)
        for name in ("start", "end"):
            stored[name] = datetime.fromisoformat(stored[name])
        for name in ("datadir", "folder"):
            stored[name] = Path(stored[name])
        if stored["looks"] is not None:
            stored["looks"] = tuple(stored["looks"])
        return cls(**stored)


def read_table(database: Path, name: str) -> pd.DataFrame:
    """Return a table of a bot's database, its times in UTC; nothing is written to it.

    :param name: ``trades``, ``orders`` or ``pairlocks``
    """
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as store:
        frame = pd.read_sql(f"select * from {name}", store)
    for column in _DATES.get(name, []):
        frame[column] = pd.to_datetime(frame[column], utc=True, format="mixed")
    return frame
