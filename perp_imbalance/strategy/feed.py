"""The data feed of a running bot: late candles, pairs without signals, bias flips, crossings.

Each problem, flip, crossing and candle is reported once, however often the bot iterates.
"""

import logging
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import freqtrade
import numpy as np
import pandas as pd
from freqtrade.enums import TRADE_MODES, CandleType
from freqtrade.strategy import CategoricalParameter, IStrategy
from pandas import DataFrame, Index, Timestamp

from perp_imbalance.indicators.signals import no_entry_reason
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.markets.spot_matching import SpotMatch, some
from perp_imbalance.strategy.alerts import (
    Alert,
    candle_line,
    crossing_alert,
    flip_alert,
    market_message,
    messages,
)
from perp_imbalance.strategy.crossing_watch import CrossingWatch, dislocated
from perp_imbalance.strategy.named_values import preset_said
from perp_imbalance.strategy.settings import Settings
from perp_imbalance.strategy.versions import newer_than_tested

logger = logging.getLogger(__name__)

# So many pairs with their reasons make a message that can still be read.
_MOST_NAMED = 3

# What is looked at and told of each candle.
_WATCHED = {"premium", "spot_close", "bias", "z", "premium_pct", "deviation_bps"}
# What the share of dislocated pairs is made of; a strategy of one's own may lack it.
_JUDGED = {"premium", "deviation_bps"}

#: A trouble's kind and what to say of it; the words may change from candle to candle.
Trouble = tuple[str, str]


class AlertDeduplicator:
    """Remembers reported problems, so that none is reported on every candle or iteration.

    :param send: sends a message to the trader.
    """

    def __init__(self, send: Callable[[str], Any]) -> None:
        self._send = send
        # By pair, the kinds that were told, each with the last candle that had it.
        self._told: dict[str, dict[str, datetime | None]] = {}
        self._begun: dict[str, str] = {}
        self._ended: list[str] = []
        self._is_waiting = False

    @contextmanager
    def in_one_message(self, of: int) -> Iterator[None]:
        """Collect the problems that begin and end during the block into one message each.

        :param of: number of pairs that are analysed.
        """
        self._is_waiting = True
        try:
            yield
        finally:
            self._is_waiting = False
            self._tell(of)

    def begin(self, pair: str, trouble: Trouble, candle: datetime | None = None) -> None:
        """Report a pair that gives no signals, in the log and in one message.

        :param candle: the candle with the problem, if it concerns a single candle.
        """
        kind, reason = trouble
        told = self._told.setdefault(pair, {})
        if kind not in told:
            self._begun[pair] = "; ".join(filter(None, [self._begun.get(pair), reason]))
        told[kind] = candle
        self._tell(1)

    def end(self, pair: str, candle: datetime) -> None:
        """Report that a pair gives signals again, if its problem was reported.

        Not on a candle that had the problem: otherwise a spot price that is late on each candle
        would cause two messages per candle.

        :param candle: the last candle.
        """
        if pair in self._told and candle not in self._told[pair].values():
            del self._told[pair]
            self._ended.append(pair)
            self._tell(1)

    def _tell(self, of: int) -> None:
        if self._is_waiting:
            return
        begun, self._begun = self._begun, {}
        ended, self._ended = self._ended, []
        # The log names all pairs and reasons, a message as many as can be read.
        for pairs, level, say in (
            (begun, logging.WARNING, partial(_without_signals, begun, of)),
            (ended, logging.INFO, partial(_with_signals, ended)),
        ):
            if pairs:
                logger.log(level, "%s", say(len(pairs)))
                self._send(say(_MOST_NAMED))


def _without_signals(reasons: Mapping[str, str], of: int, most: int) -> str:
    """Return a message about pairs without signals, with the reason."""
    if len(reasons) == 1:
        ((pair, reason),) = reasons.items()
        return f"{pair} gives no signals: {reason}"
    named = some([f"{pair} ({reason})" for pair, reason in reasons.items()], most)
    return f"{len(reasons)} of {of} pairs give no signals: {named}"


def _with_signals(pairs: Sequence[str], most: int) -> str:
    """Return a message about pairs that give signals again."""
    if len(pairs) == 1:
        return f"{pairs[0]} gives signals again"
    return f"{len(pairs)} pairs give signals again: {some(pairs, most)}"


def missing_premium(last: Mapping[Any, Any], spot: str) -> str:
    """Return why the last candle has no premium.

    :param last: the last row: ``date``, ``close``, ``volume`` and the columns of the signal.
    :param spot: name of the spot pair.
    """
    candle = f"the candle of {last['date']:%Y-%m-%d %H:%M}"
    if not (last["close"] > 0 and last["volume"] > 0):
        return f"it was not traded on {candle}"
    if np.isfinite(last["spot_close"]):
        return f"{spot} and it are too far apart on {candle} for prices of one coin"
    return f"no price of {spot} on {candle}"


class WatchedFeed(IStrategy):
    """The part of a strategy that watches the exchange's data while the bot runs."""

    settings: Settings
    preset: str
    process_only_new_candles: bool
    entry_mode: CategoricalParameter

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self.troubles = AlertDeduplicator(lambda message: self.dp.send_msg(message))
        self.unfit: dict[str, str] = {}
        self.seen_bias: dict[str, int] = {}
        self.crossing_watch = CrossingWatch()
        # What a look has found; None outside of one.
        self.found_alerts: list[Alert] | None = None
        # The newest candle of which the share of dislocated pairs was judged.
        self.judged_candle: datetime | None = None
        self.awaits_market = False
        # The last candle of each pair, and whether the log has its line.
        self.seen_candle: dict[str, tuple[datetime, bool]] = {}
        self.analysed_with: dict[str, list[Any]] = {}
        #: What happened before is no news.
        self.started = datetime.now(UTC)
        if config["runmode"] in TRADE_MODES and (newer := newer_than_tested(freqtrade.__version__)):
            logger.warning("%s", newer)

    @abstractmethod
    def spot_of(self, pair: str) -> SpotMatch:
        """Return the spot pair of a perp, or the reason why it has none."""

    @abstractmethod
    def thresholds(self) -> Thresholds:
        """Return the thresholds with the current values of the parameters."""

    @abstractmethod
    def informatives_of(self, pair: str) -> list[tuple[str, str, CandleType]]:
        """Return the series that a pair needs besides its own candles."""

    @property
    @abstractmethod
    def candle(self) -> timedelta:
        """The length of a candle."""

    def refuse(self, pair: str, kind: str, reason: str) -> None:
        """Report a pair that cannot give signals with its current candles."""
        self.unfit[pair] = reason
        self.troubles.begin(pair, (kind, reason))

    def announce(self, dataframe: DataFrame, pair: str) -> None:
        """Send the configured alerts about a candle that closed while the bot was running.

        So a restart repeats no message, and sends none about the past.
        """
        flip = flip_alert(
            dataframe,
            pair=pair,
            preset=preset_said(self.thresholds(), self.preset),
            kinds=self.settings.flip_alerts,
            before=self.seen_bias.get(pair),
        )
        self.seen_bias[pair] = int(dataframe["bias"].iloc[-1])
        is_news = dataframe["date"].iloc[-1] >= self.earliest_news
        found = [flip] if flip and is_news else []
        dates = Index(dataframe["date"])
        for rule in self.settings.crossing_alerts("deviation", "premium"):
            values = dataframe[rule.column].to_numpy(float)
            if side := self.crossing_watch.news(pair, rule, dates, values, self.earliest_news):
                found.append(crossing_alert(rule, side, pair, dataframe.iloc[-1].to_dict()))
        if self.found_alerts is None:
            self.tell(found)
        else:
            self.found_alerts += found

    def tell(self, alerts: Sequence[Alert]) -> None:
        """Send a message for each kind of alert; the log has all pairs of a message."""
        for message, whole in zip(messages(alerts), messages(alerts, len(alerts)), strict=True):
            if message != whole:
                logger.info("%s", whole)
            self.dp.send_msg(message)

    @property
    def earliest_news(self) -> Timestamp:
        """The opening time of the first candle that closed while the bot was running."""
        return Timestamp(self.started - self.candle)

    def analyze_pair(self, pair: str) -> None:
        """Analyse a candle again when its late spot candle arrives; watch the feed.

        freqtrade analyses a candle once, with the data that exists when the perp's candle arrives.
        """
        newest = []
        for name, timeframe, candle_type in self.informatives_of(pair):
            frame = self.dp.ohlcv(name, timeframe, copy=False, candle_type=candle_type)
            newest.append(frame["date"].iloc[-1] if len(frame) else None)
        once = self.process_only_new_candles
        self.process_only_new_candles = once and self.analysed_with.get(pair) == newest
        try:
            super().analyze_pair(pair)
        finally:
            self.process_only_new_candles = once
        self.analysed_with[pair] = newest
        dataframe, _ = self.dp.get_analyzed_dataframe(pair, self.timeframe)
        # A strategy of one's own may have indicators of its own instead.
        if dataframe.empty or not _WATCHED.issubset(dataframe.columns):
            return
        if pair not in self.unfit:
            self.watch_feed(dataframe, pair)
        self.log_candle(dataframe, pair)

    def analyze(self, pairs: list[str]) -> None:
        """Analyse pairs as freqtrade does, and report what many have in common in one message."""
        self.found_alerts = []
        try:
            with self.troubles.in_one_message(len(pairs)):
                super().analyze(pairs)
        finally:
            found, self.found_alerts = self.found_alerts, None
            self.tell(found)
        self.announce_market(pairs)

    def announce_market(self, pairs: Sequence[str]) -> None:
        """Send a market alert if the share of dislocated pairs crosses the config's level.

        A candle is checked when every pair has its premium, or when waiting for late ones is over.
        """
        rules = self.settings.crossing_alerts("market")
        if not rules or self.config["runmode"] not in TRADE_MODES:
            return
        fit = [pair for pair in pairs if pair not in self.unfit]
        frames = {pair: self.dp.get_analyzed_dataframe(pair, self.timeframe)[0] for pair in fit}
        lasts = {
            pair: frame.iloc[-1]
            for pair, frame in frames.items()
            if len(frame) and _JUDGED.issubset(frame.columns)
        }
        newest = max((last["date"] for last in lasts.values()), default=self.judged_candle)
        if newest == self.judged_candle:
            return
        known = [
            pair
            for pair, last in lasts.items()
            if last["date"] == newest and np.isfinite(last["premium"])
        ]
        self.awaits_market = len(known) < len(fit) and not self.is_overdue({"date": newest})
        if self.awaits_market:
            return
        self.judged_candle = newest
        for rule in rules:
            market = dislocated({pair: frames[pair] for pair in lasts}, rule)
            shares = market["share"].to_numpy(float)
            if self.crossing_watch.news("market", rule, market.index, shares, self.earliest_news):
                last = market.iloc[-1]
                self.dp.send_msg(market_message(rule, int(last["dislocated"]), int(last["known"])))

    @property
    def patience(self) -> timedelta:
        """The time for which a late spot candle is awaited."""
        return timedelta(seconds=self.settings.max_entry_age_seconds)

    def is_overdue(self, last: Mapping[Any, Any]) -> bool:
        """Return whether waiting for the spot candle of a closed candle is over."""
        return bool(datetime.now(UTC) - (last["date"] + self.candle) > self.patience)

    def watch_feed(self, dataframe: DataFrame, pair: str) -> None:
        """Report once when the premium of a pair is missing, and once when it is back."""
        # At every look and of every pair, so a whole row is taken out only where it is needed.
        if np.isfinite(dataframe["premium"].to_numpy()[-1]):
            self.troubles.end(pair, pd.Timestamp(dataframe["date"].iloc[-1]))
            return
        last = dataframe.iloc[-1].to_dict()
        if self.is_overdue(last):
            reason = missing_premium(last, self.spot_of(pair).name)
            self.troubles.begin(pair, ("premium", reason), last["date"])

    def log_candle(self, dataframe: DataFrame, pair: str) -> None:
        """Log one line about the last closed candle: its values, and why there is no entry.

        If its spot price is late, the line is logged when the price arrives or the wait ends.
        """
        if not self.settings.log_candles or self.config["runmode"] not in TRADE_MODES:
            return
        if self.seen_candle.get(pair) == (dataframe["date"].iloc[-1], True):
            return
        last = dataframe.iloc[-1].to_dict()
        before, was_told = self.seen_candle.get(pair, (last["date"], False))
        is_new = before != last["date"]
        due: set[datetime] = {before} if is_new and not was_told else set()
        is_known = np.isfinite(last["premium"]) or pair in self.unfit or self.is_overdue(last)
        if is_known and (is_new or not was_told):
            due.add(last["date"])
        self.seen_candle[pair] = (last["date"], is_known)
        for row in np.flatnonzero(dataframe["date"].isin(due)) if due else ():
            candle = last if row == len(dataframe) - 1 else dataframe.iloc[row].to_dict()
            reason = no_entry_reason(
                *(dataframe, self.thresholds(), int(row)),
                *(self.entry_mode.value, self.settings.entered_sides),
            )
            logger.info("%s", candle_line(pair, candle, reason))
