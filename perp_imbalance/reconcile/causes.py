"""Find why a bot's trades differ from a backtest's, from its database and its log."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from perp_imbalance.reconcile.changes import changes
from perp_imbalance.reconcile.database import BotRecord
from perp_imbalance.reconcile.log import BotLog
from perp_imbalance.rehearsal import Difference

# What freqtrade calls entries and exits that its user asked for.
_FORCED = ("force_entry", "force_exit")
# Exits that the exchange makes by itself.
_BY_EXCHANGE = ("liquidation", "stoploss_on_exchange")
_CANCELLED = ("canceled", "cancelled", "expired", "rejected")
_MINUTE = "%Y-%m-%d %H:%M"


@dataclass(frozen=True)
class Causes:
    """Finds the likely cause of each difference; certain causes have precedence.

    :ivar backtest: the backtest's trades
    :ivar settings: current settings of the config, see
        :meth:`perp_imbalance.strategy.stored_entry.StoredEntries.entry_settings`
    """

    record: BotRecord
    log: BotLog
    backtest: pd.DataFrame
    settings: Mapping[str, Any]
    candle: pd.Timedelta

    def explained(self, difference: Difference) -> Difference:
        """Return a difference with its cause; an existing cause stays if none is found."""
        time = pd.Timestamp(difference.time)
        if difference.kind in ("missed", "late"):
            cause = self.of_missed(difference.pair, difference.side, time)
        elif difference.kind == "extra":
            cause = self.of_extra(difference.pair, difference.side, time)
        else:
            cause = self.of_changed(difference, time)
        return replace(difference, cause=cause or difference.cause)

    def of_missed(self, pair: str, side: str, time: pd.Timestamp) -> str | None:
        """Return why a bot did not enter in a candle in which the backtest enters.

        :param time: opening of that candle
        """
        return (
            self._down(time)
            or self._unfilled(pair, side, time)
            or self._still_open(pair, time)
            or self._no_slot(time)
            or self._refused(pair, side, time)
            or self._locked(pair, side, time)
            or self._changed_settings(time)
            or self._saw(pair, time)
        )

    def of_extra(self, pair: str, side: str, time: pd.Timestamp) -> str | None:
        """Return why a bot entered where the backtest does not."""
        trade = self._trade(pair, side, time)
        number = int(trade["id"])
        signal = self.record.signals.get(number, {})
        if trade["enter_tag"] in _FORCED or signal.get("signal", "") is None:
            return "forced by hand"
        if differs := changes(self.record.settings.get(number, {}), self.settings):
            return f"changed settings: {', '.join(differs)}"
        held = _open_at(self.backtest, trade["open_date"])
        if len(same := held[held["pair"] == pair]):
            return f"the backtest still held its position of {same['open_date'].iloc[0]:{_MINUTE}}"
        if _slots(self.settings) <= len(held):
            return f"no slot in the backtest: {len(held)} of {_slots(self.settings):g} taken"
        return None

    def of_changed(self, difference: Difference, time: pd.Timestamp) -> str | None:
        """Return why a trade of both differs in its tag or its exit."""
        trade = self._trade(difference.pair, difference.side, time)
        number = int(trade["id"])
        if trade["enter_tag"] in _FORCED or trade["exit_reason"] in _FORCED:
            return "forced by hand"
        ends = self._backtest_end(difference, time) if difference.kind == "exit" else None
        evidence = None if ends is None else self._exit_unfilled(number, ends) or self._down(ends)
        if evidence:
            return evidence
        if difference.kind == "exit" and trade["exit_reason"] in _BY_EXCHANGE:
            return f"closed by the exchange: {trade['exit_reason']}"
        if differs := changes(self.record.settings.get(number, {}), self.settings):
            return f"changed settings: {', '.join(differs)}"
        return None if ends is None else self._saw(difference.pair, ends)

    def _backtest_end(self, difference: Difference, time: pd.Timestamp) -> pd.Timestamp | None:
        """Return the candle in which the backtest closes a trade; None if it does not."""
        tested = self.backtest
        is_it = (tested["pair"] == difference.pair) & (tested["open_date"] >= time)
        ends = tested.loc[is_it, "close_date"]
        return None if ends.empty or pd.isna(ends.iloc[0]) else ends.iloc[0].floor(self.candle)

    def _exit_unfilled(self, number: int, ends: pd.Timestamp) -> str | None:
        orders = self.record.orders
        mine = orders[(orders["ft_trade_id"] == number) & orders["status"].isin(_CANCELLED)]
        mine = mine[(mine["order_date"] >= ends) & (mine["ft_order_side"] != "stoploss")]
        if mine.empty:
            return None
        return f"exit order not filled, placed {mine['order_date'].iloc[0]:{_MINUTE}}"

    def _refused(self, pair: str, side: str, time: pd.Timestamp) -> str | None:
        """Return the reason with which the strategy refused an entry, from its lock of the side."""
        for lock in self._locks(pair, side, time):
            if "its signal" in str(lock["reason"]):
                return f"late candle: {lock['reason']}"
        return None

    def _unfilled(self, pair: str, side: str, time: pd.Timestamp) -> str | None:
        for order in (*self.record.unfilled, *self.log.unfilled):
            is_it = (order.pair, order.is_short) == (pair, side == "short")
            if is_it and time <= order.placed < time + self.candle:
                return f"order not filled, placed {order.placed:{_MINUTE}}"
        return None

    def _down(self, time: pd.Timestamp) -> str | None:
        """Return a message if the bot was down while a signal could be entered.

        The log shows every iteration; the database only shows starts and actions of the bot.
        """
        until, looks = self._until(time), self.log.looks
        if looks and looks[0] < time < looks[-1]:
            if any(time <= look <= until for look in looks):
                return None
            return "bot down: the log has no line of this candle"
        traces, number = self.record.traces, bisect_right(self.record.traces, time)
        later = [start for start in self.record.starts if start > until]
        if not later or number == 0 or (number < len(traces) and traces[number] < later[0]):
            return None
        return (
            f"bot down: started at {later[0]:{_MINUTE}}, without a trace since "
            f"{traces[number - 1]:{_MINUTE}}"
        )

    def _set_around(self, time: pd.Timestamp) -> list[tuple[pd.Timestamp, dict[str, Any]]]:
        """Return the settings stored at the last entry up to a candle, and the first after it."""
        stored = [
            (trade["open_date"], self.record.settings[int(trade["id"])])
            for trade in self.record.trades.sort_values("open_date").to_dict("records")
            if int(trade["id"]) in self.record.settings
        ]
        number = bisect_right([opened for opened, _ in stored], time + self.candle)
        return stored[max(0, number - 1) : number + 1]

    def _changed_settings(self, time: pd.Timestamp) -> str | None:
        for opened, settings in self._set_around(time):
            if differs := changes(settings, self.settings):
                return f"changed settings: {', '.join(differs)} (trade of {opened:{_MINUTE}})"
        return None

    def _still_open(self, pair: str, time: pd.Timestamp) -> str | None:
        held = _open_at(self.record.trades, time)
        held = held[held["pair"] == pair]
        if held.empty:
            return None
        return f"the bot still held its position of {held['open_date'].iloc[0]:{_MINUTE}}"

    def _no_slot(self, time: pd.Timestamp) -> str | None:
        # What is entered in the same look takes a slot, too, and an order as long as it waits.
        until = self._until(time)
        held = len(_open_at(self.record.trades, until)) + sum(
            order.placed <= until and not (order.removed and order.removed <= until)
            for order in (*self.record.unfilled, *self.log.unfilled)
        )
        slots = min(
            _slots(settings) for _, settings in [*self._set_around(time), (time, self.settings)]
        )
        if held < slots:
            return None
        now = _slots(self.settings)
        changed = "" if slots == now else f", max_open_trades is {now:g} now"
        return f"no slot: {held} of {slots:g} taken{changed}"

    def _locked(self, pair: str, side: str, time: pd.Timestamp) -> str | None:
        for lock in self._locks(pair, side, time):
            return f"locked: {lock['reason']}"
        return None

    def _saw(self, pair: str, time: pd.Timestamp) -> str | None:
        """Return the log's reason why the bot saw no signal on a candle, if it saw none."""
        said = self.log.seen.get((pair, time - self.candle))
        if said is None or "no entry: " not in said:
            return None
        if "premium unknown" in said:
            return "late candle: the bot had no spot price of it"
        return f"the bot saw another candle: {said}"

    def _locks(self, pair: str, side: str, time: pd.Timestamp) -> list[dict[Any, Any]]:
        """Return the locks of a pair and side that were active during a candle."""
        locks = self.record.locks
        if locks.empty:
            return []
        locks = locks[locks["pair"].isin([pair, "*"]) & locks["side"].isin([side, "*"])]
        begun, until = locks["lock_time"] < time + self.candle, locks["lock_end_time"] > time
        return locks[begun & until].to_dict("records")

    def _trade(self, pair: str, side: str, time: pd.Timestamp) -> Mapping[Any, Any]:
        """Return the bot's trade that was opened in a candle."""
        trades = self.record.trades
        opened = trades["open_date"].dt.floor(self.candle)
        is_it = (trades["pair"] == pair) & (trades["is_short"].astype(bool) == (side == "short"))
        return dict(trades[is_it & ((opened == time) | (trades["open_date"] == time))].iloc[0])

    def _until(self, time: pd.Timestamp) -> pd.Timestamp:
        """Return the time until which the signal at a candle's opening may be entered."""
        return time + pd.Timedelta(seconds=self.settings["settings"]["max_entry_age_seconds"])


def _open_at(trades: pd.DataFrame, time: pd.Timestamp) -> pd.DataFrame:
    """Return the trades that were open at a time."""
    return trades[(trades["open_date"] < time) & ~(trades["close_date"] <= time)]


def _slots(settings: Mapping[str, Any]) -> float:
    slots = settings.get("config", {}).get("max_open_trades") or -1
    return float(slots) if slots >= 0 else float("inf")
