"""Where the mean of so many trades would lie, were they drawn from a backtest's."""

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
    """Where 95 of 100 means lie, in bps of the stake a trade.

    :ivar trades: of the backtest, from which was drawn
    :ivar drawn: how many trades a mean is of
    """

    low: float
    high: float
    trades: int
    drawn: int

    def holds(self, mean_bps: float) -> bool:
        """Tell whether a mean lies inside."""
        return self.low <= mean_bps <= self.high


def band(profits_bps: Sequence[float], block: int, count: int) -> Band | None:
    """Return the band of the mean of so many trades; None where there are too few to draw from.

    Neighbours are drawn together, in blocks, as trades of one time share their market: the
    circular block bootstrap of Politis and Romano (1992).

    :param profits_bps: net profit of each trade in bps of the stake, in order of time
    :param block: trades that are drawn together
    :param count: trades of which the mean is taken

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
    """What a band is drawn from, fixed before a bot trades.

    :ivar settings: what decides about trades, as
        :meth:`perp_imbalance.strategy.stored_entry.StoredEntries.entry_settings` has it
    :ivar pairs: that were traded
    :ivar timerange: of the backtest
    :ivar profits_bps: of its closed trades, in order of time
    :ivar block: trades that are drawn together
    :ivar made: when
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
        """Return what is drawn from a backtest's trades.

        :param trades: as :func:`perp_imbalance.rehearsal.backtested.backtest` returns them
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
        """Return the band of the mean of so many trades."""
        return band(self.profits_bps, self.block, count)

    def write(self, file: Path) -> None:
        """Write it to a file.

        :raises CommandError: if it cannot be written there
        """
        content = vars(self) | {"hash": self.hash}
        atomic_write_text(file, json.dumps(content, indent=1))

    @property
    def hash(self) -> str:
        """Of everything in it."""
        return hashlib.sha256(json.dumps(vars(self), sort_keys=True).encode()).hexdigest()

    @classmethod
    def read(cls, file: Path) -> "Lock":
        """Read a file back.

        :raises DataError: if it is none that was written here, or was changed since
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
        """Raise where a config decides other than the one that was locked.

        :raises SettingsError: naming what differs
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
