"""Read a bot's records, backtest the same time, compare both, and judge the result in one call."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from perp_imbalance.reconcile.band import Band, Lock
from perp_imbalance.reconcile.causes import Causes
from perp_imbalance.reconcile.changes import changes
from perp_imbalance.reconcile.database import BotRecord
from perp_imbalance.reconcile.log import BotLog
from perp_imbalance.reconcile.span import FIRST_LOOK
from perp_imbalance.rehearsal import Comparison, Plan, compare
from perp_imbalance.rehearsal.backtested import backtest, price_range, within
from perp_imbalance.rehearsal.comparison import matched


@dataclass(frozen=True)
class Reconciliation:
    """The comparison of a real bot with a backtest.

    :ivar comparison: the differences, each with its likely cause
    :ivar costs_bps: means over the trades that both have, in bps of the price: slippage of entry
        and exit (positive: worse than the backtest), and round-trip fees of bot and backtest
    :ivar live_bps: the bot's mean profit per closed trade, in bps of the stake
    :ivar band: the expected range of ``live_bps``; None with too few trades
    :ivar changed: settings at entries that differ from the config, with their number of trades
    :ivar notes: what could not be compared
    """

    start: datetime
    end: datetime
    comparison: Comparison
    costs_bps: Mapping[str, float]
    live_bps: float | None
    live_trades: int
    band: Band | None
    locked: str | None = None
    changed: Mapping[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def is_inside(self) -> bool | None:
        """Whether the bot's result is inside the band; None without a band."""
        if self.band is None or self.live_bps is None:
            return None
        return self.band.holds(self.live_bps)

    @property
    def is_fine(self) -> bool:
        """Whether each difference has a cause and the result is not outside the band.

        A locked band does not judge trades with other settings.
        """
        if self.changed:
            is_explained = not self.comparison.unexplained and self.locked is None
        else:
            is_explained = self.comparison.explained
        return is_explained and self.is_inside is not False

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as plain values."""
        return {**asdict(self), "is_inside": self.is_inside, "is_fine": self.is_fine}


def reconcile(
    record: BotRecord,
    log: BotLog,
    plan: Plan,
    candle: pd.Timedelta,
    settings: Mapping[str, Any],
    lock: Lock | None = None,
) -> Reconciliation:
    """Compare a bot's trades with a backtest of the same time.

    :param plan: config, candles and time range of the backtest
    :param candle: length of the plan's candles
    :param settings: settings of the config, from
        :meth:`perp_imbalance.strategy.stored_entry.StoredEntries.entry_settings`
    :param lock: source of the band; None for the backtest of the same time
    :raises RehearsalError: if freqtrade refuses to run the backtest
    """
    tested = backtest(plan, candle)
    is_asked = record.trades["pair"].isin(plan.config["exchange"]["pair_whitelist"])
    is_asked &= record.trades["open_date"] >= plan.start
    bot = within(record.trades[is_asked].copy(), plan.end)
    comparison = compare(bot, tested, candle, FIRST_LOOK, price_range(plan))
    causes = Causes(record, log, tested, settings, candle)
    comparison.differences = [causes.explained(each) for each in comparison.differences]
    closed = bot[bot["close_date"].notna()]
    drawn = lock or Lock.of(tested, settings, [], "")
    return Reconciliation(
        plan.start,
        plan.end,
        comparison,
        costs(bot, tested, candle),
        1e4 * float(closed["close_profit"].mean()) if len(closed) else None,
        len(closed),
        drawn.band(len(closed)),
        lock.made if lock else None,
        changed_settings(bot, record, settings),
        made_late(bot, lock),
    )


def changed_settings(
    bot: pd.DataFrame, record: BotRecord, settings: Mapping[str, Any]
) -> dict[str, int]:
    """Return the settings of trades that differ from the config, with the number of trades.

    :param bot: the trades
    :param settings: as in :func:`reconcile`
    """
    # The version is ignored: if another version trades differently, the trades show it.
    now = {name: value for name, value in settings.items() if name != "version"}
    stored = (record.settings.get(int(number), {}) for number in bot["id"])
    return dict(Counter(change for each in stored for change in changes(each, now)))


def made_late(bot: pd.DataFrame, lock: Lock | None) -> list[str]:
    """Return a note if the band was locked after trades that it judges were opened.

    :param bot: the trades
    """
    if lock is None:
        return []
    before = int((bot["open_date"] < pd.Timestamp(lock.made, tz="UTC")).sum())
    if not before:
        return []
    return [
        f"{before} of {len(bot)} trades were opened before the band was locked: of these it proves "
        "nothing; judge later ones with --timerange"
    ]


def costs(bot: pd.DataFrame, tested: pd.DataFrame, candle: pd.Timedelta) -> dict[str, float]:
    """Return mean slippage and fees of the trades that both opened in the same candle, in bps.

    An exit counts if both closed the trade in the same candle.
    """
    found: dict[str, list[float]] = {}
    for mine, other in matched(bot, tested, candle):
        sign = -1.0 if mine["is_short"] else 1.0
        move = mine["open_rate"] / other["open_rate"] - 1
        found.setdefault("entry slippage", []).append(sign * move)
        # An open trade has NaT, which equals nothing.
        if mine["close_date"].floor(candle) == other["close_date"].floor(candle):
            move = mine["close_rate"] / other["close_rate"] - 1
            found.setdefault("exit slippage", []).append(-sign * move)
        for whose, trade in (("bot", mine), ("backtest", other)):
            found.setdefault(f"fees, {whose}", []).append(trade["fee_open"] + trade["fee_close"])
    return {name: 1e4 * float(np.mean(values)) for name, values in found.items()}
