"""The feed of a running bot: late candles, pairs without signals, flips of the bias.

Each trouble and each flip is told once, however often the bot looks.
"""

import logging
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import freqtrade
import numpy as np
from freqtrade.enums import TRADE_MODES, CandleType
from freqtrade.strategy import IStrategy
from pandas import DataFrame

from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.markets.spot_matching import SpotMatch, some
from perp_imbalance.strategy.alerts import flip_message
from perp_imbalance.strategy.parameters import preset_said
from perp_imbalance.strategy.settings import Settings
from perp_imbalance.strategy.versions import newer_than_tested

logger = logging.getLogger(__name__)

#: A trouble's kind and what to say of it; the words may change from candle to candle.
Trouble = tuple[str, str]


class AlertDeduplicator:
    """The troubles that have been told, so that none is told at every candle or every look.

    :param send: sends a message to where the trader reads it.
    """

    def __init__(self, send: Callable[[str], Any]) -> None:
        self._send = send
        self._told: dict[str, str] = {}

    def begin(self, pair: str, trouble: Trouble) -> None:
        """Tell of a pair that gives no signals, in the log and in one message."""
        kind, reason = trouble
        if self._told.get(pair) == kind:
            return
        self._told[pair] = kind
        logger.warning("%s gives no signals: %s", pair, reason)
        self._send(f"{pair} gives no signals: {reason}")

    def begin_many(self, pairs: Sequence[str], of: int, kind: str, reason: str) -> None:
        """Tell of several pairs with the same trouble in one line; a single one tells its own."""
        if len(pairs) < 2:
            return
        self._told.update(dict.fromkeys(pairs, kind))
        message = f"{len(pairs)} of {of} pairs give no signals: {reason}: {some(pairs)}"
        logger.warning(message)
        self._send(message)

    def end(self, pair: str) -> None:
        """Tell that a pair gives signals again, if it was told that it does not."""
        if self._told.pop(pair, None):
            logger.info("%s gives signals again", pair)
            self._send(f"{pair} gives signals again")


def missing_premium(
    last: Mapping[str, Any], spot: str, age: timedelta, patience: timedelta
) -> Trouble | None:
    """Say why the last candle has no premium; None where it has one, or may get it yet.

    :param last: the last row: ``date``, ``close``, ``volume`` and the columns of the signal.
    :param spot: name of the spot pair.
    :param age: time since the candle closed.
    :param patience: how long its spot candle is waited for.
    """
    if np.isfinite(last["premium"]) or age <= patience:
        return None
    candle = f"the candle of {last['date']:%Y-%m-%d %H:%M}"
    if not (last["close"] > 0 and last["volume"] > 0):
        reason = f"it was not traded on {candle}"
    elif np.isfinite(last["spot_close"]):
        reason = f"{spot} and it are too far apart on {candle} for prices of one coin"
    else:
        reason = f"no price of {spot} on {candle}"
    return "premium", f"{reason}; no entries until there is a premium again"


class WatchedFeed(IStrategy):
    """The part of a strategy that follows what the exchange sends while the bot runs."""

    settings: Settings
    preset: str
    process_only_new_candles: bool

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self.troubles = AlertDeduplicator(lambda message: self.dp.send_msg(message))
        self.unfit: dict[str, str] = {}
        self.seen_bias: dict[str, int] = {}
        self.analysed_with: dict[str, list[Any]] = {}
        #: What happened before is no news.
        self.started = datetime.now(UTC)
        if config["runmode"] in TRADE_MODES and (newer := newer_than_tested(freqtrade.__version__)):
            logger.warning("%s", newer)

    @abstractmethod
    def spot_of(self, pair: str) -> SpotMatch:
        """Return the spot pair that belongs to a perp, or the reason why none does."""

    @abstractmethod
    def thresholds(self) -> Thresholds:
        """Return the thresholds as the parameters have them now."""

    @abstractmethod
    def informatives_of(self, pair: str) -> list[tuple[str, str, CandleType]]:
        """Return the series beside its own candles that a pair needs."""

    @property
    @abstractmethod
    def candle(self) -> timedelta:
        """The length of a candle."""

    def refuse(self, pair: str, kind: str, reason: str) -> None:
        """Name a pair that cannot give signals, as long as its candles are what they are."""
        self.unfit[pair] = reason
        self.troubles.begin(pair, (kind, reason))

    def bot_start(self, **kwargs: Any) -> None:
        """Name the pairs without a spot pair, in one message."""
        if self.config["runmode"] in TRADE_MODES and hasattr(self, "dp"):
            pairs = [pair for pair in self.dp.current_whitelist() if self.dp.market(pair)]
            lacking = [pair for pair in pairs if self.spot_of(pair).spot is None]
            self.troubles.begin_many(lacking, len(pairs), "spot pair", "no spot pair")

    def announce(self, dataframe: DataFrame, pair: str) -> None:
        """Send a message where the bias flips on a candle that closed while the bot was running.

        So a restart repeats nothing, and tells of nothing that is over.
        """
        message = flip_message(
            dataframe,
            pair=pair,
            preset=preset_said(self.thresholds(), self.preset),
            kinds=self.settings.alerts,
            before=self.seen_bias.get(pair),
        )
        self.seen_bias[pair] = int(dataframe["bias"].iloc[-1])
        if message and dataframe["date"].iloc[-1] + self.candle >= self.started:
            self.dp.send_msg(message)

    def analyze_pair(self, pair: str) -> None:
        """Analyse a candle anew when a spot candle comes that was late; look at the feed.

        freqtrade analyses a candle once, with what is there when the perp's has come.
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
        if pair not in self.unfit:
            self.watch_feed(pair)

    def watch_feed(self, pair: str) -> None:
        """Tell once when the premium of a pair stays away, and once when it is back."""
        dataframe, _ = self.dp.get_analyzed_dataframe(pair, self.timeframe)
        if dataframe.empty:
            return
        last = dataframe.iloc[-1]
        age = datetime.now(UTC) - (last["date"] + self.candle)
        patience = timedelta(seconds=self.settings.max_entry_age_seconds)
        trouble = missing_premium(last, self.spot_of(pair).name, age, patience)
        if trouble:
            self.troubles.begin(pair, trouble)
        elif np.isfinite(last["premium"]):
            self.troubles.end(pair)
