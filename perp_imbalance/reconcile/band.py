"""The range of the mean profit of a number of trades, if they are drawn from a backtest's."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perp_imbalance.errors import DataError, SettingsError
from perp_imbalance.files import atomic_write_text
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.reconcile.changes import changes

DRAWS = 2000
#: Of fewer trades no band is made. A block is no longer than so many fit into all trades: of one
#: that holds them all, each draw would have the same mean.
LEAST_TRADES = 10
_ENDS = (0.025, 0.975)
_SEED = 1


@dataclass(frozen=True)
class Band:
    """The 95 % range of the mean profit per trade, in bps of the stake.

    :ivar trades: number of the backtest's trades
    :ivar drawn: number of trades in each mean
    """

    low: float
    high: float
    trades: int
    drawn: int

    def holds(self, mean_bps: float) -> bool:
        """Return whether a mean lies inside the band."""
        return self.low <= mean_bps <= self.high


def band(profits_bps: Sequence[float], block: int, count: int) -> Band | None:
    """Return the band of the mean of a number of trades; None with too few trades to draw from.

    Uses the circular block bootstrap of Politis and Romano (1992), since trades of the same time
    share their market.

    :param profits_bps: net profit of each trade in bps of the stake, in order of time
    :param block: trades per block
    :param count: number of trades in each mean

    >>> band([1.0] * 10, 2, 5)
    Band(low=1.0, high=1.0, trades=10, drawn=5)
    """
    profits: Floats = np.asarray(profits_bps, dtype=np.float64)
    if profits.size < LEAST_TRADES or count < 1:
        return None
    rng = np.random.default_rng(_SEED)
    starts = rng.integers(profits.size, size=(DRAWS, -(-count // block)))
    rows = (starts[:, :, None] + np.arange(block)) % profits.size
    means = profits[rows.reshape(DRAWS, -1)[:, :count]].mean(axis=1)
    low, high = (float(end) for end in np.quantile(means, _ENDS))
    return Band(low, high, int(profits.size), count)


@dataclass(frozen=True)
class Lock:
    """The data of a band, fixed before a bot trades.

    :ivar settings: settings that affect trades, from
        :meth:`perp_imbalance.strategy.stored_entry.StoredEntries.entry_settings`
    :ivar pairs: pairs of the backtest
    :ivar timerange: time range of the backtest
    :ivar profits_bps: profits of its closed trades, in order of time
    :ivar block: trades per bootstrap block
    :ivar made: time of creation
    """

    settings: Mapping[str, Any]
    pairs: Sequence[str]
    timerange: str
    profits_bps: Sequence[float]
    block: int
    made: str

    @classmethod
    def of(
        cls,
        trades: pd.DataFrame,
        settings: Mapping[str, Any],
        pairs: Sequence[str],
        timerange: str,
    ) -> "Lock":
        """Return a lock made from a backtest's trades.

        :param trades: result of :func:`perp_imbalance.rehearsal.backtested.backtest`
        """
        closed = trades[trades["close_date"].notna()].sort_values("open_date")
        weeks = closed["open_date"].dt.strftime("%G-%V").nunique() if len(closed) else 1
        return cls(
            settings,
            sorted(pairs),
            timerange,
            [round(1e4 * float(profit), 4) for profit in closed.get("profit_ratio", [])],
            max(1, min(round(len(closed) / max(1, weeks)), len(closed) // LEAST_TRADES)),
            f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}",
        )

    def band(self, count: int) -> Band | None:
        """Return the band of the mean of a number of trades."""
        return band(self.profits_bps, self.block, count)

    def write(self, file: Path) -> None:
        """Write the lock to a file.

        :raises CommandError: if the file cannot be written
        """
        content = vars(self) | {"hash": self.hash}
        atomic_write_text(file, json.dumps(content, indent=1))

    @property
    def hash(self) -> str:
        """A hash of all fields."""
        return hashlib.sha256(json.dumps(vars(self), sort_keys=True).encode()).hexdigest()

    @classmethod
    def read(cls, file: Path) -> "Lock":
        """Read a lock from its file.

        :raises DataError: if the file is not a lock, or was changed
        """
        try:
            content = json.loads(file.read_text("utf-8"))
            written = content.pop("hash")
            lock = cls(**content)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            raise DataError(f"{file} is not a file that reconcile --lock wrote") from None
        if lock.hash != written:
            raise DataError(
                f"{file} was changed after it was written: its hash does not fit; lock anew to "
                "another file, before the trades that it is to judge"
            )
        return lock

    def check(self, settings: Mapping[str, Any], pairs: Sequence[str], file: Path) -> None:
        """Raise if the settings of a config differ from the locked ones.

        :raises SettingsError: naming the differences
        """
        # Another version may trade alike: what it does differently, a reconciliation shows.
        locked = {name: value for name, value in self.settings.items() if name != "version"}
        differs = changes(locked, settings)
        if sorted(pairs) != list(self.pairs):
            differs.append("pairs")
        if differs:
            raise SettingsError(
                f"{file} was locked with another config ({', '.join(differs)}): go back to that, "
                "or lock anew to another file and judge only later trades by it"
            )
