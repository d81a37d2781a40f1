"""Positions: how large they may be, when they may begin, and what ends them beside the signal."""

import logging
from datetime import datetime, timedelta
from typing import Any

from freqtrade.enums import TRADE_MODES
from freqtrade.exchange import timeframe_to_prev_date, timeframe_to_seconds
from freqtrade.persistence import Trade
from freqtrade.strategy import IntParameter, IStrategy

from perp_imbalance.indicators.signals import overdue_exit, reached_middle
from perp_imbalance.strategy.order_rules import SCALE_OUT_TAG, entry_refusal, stake_to_close
from perp_imbalance.strategy.settings import Settings

logger = logging.getLogger(__name__)


class Positions(IStrategy):
    """The part of a strategy that freqtrade asks before and after it places orders."""

    settings: Settings
    max_stale_candles: IntParameter

    def apply_money_settings(self) -> None:
        """Hand to freqtrade what it takes from a strategy's attributes."""
        self.protections = self.settings.protections
        self.position_adjustment_enable = self.settings.scale_out > 0

    @property
    def candle(self) -> timedelta:
        """The length of a candle."""
        return timedelta(seconds=timeframe_to_seconds(self.timeframe))

    def leverage(self, *, max_leverage: float, **kwargs: Any) -> float:
        """Return the leverage of the config, at most what the exchange allows."""
        return min(self.settings.leverage, max_leverage)

    def confirm_trade_entry(
        self,
        pair: str,
        *,
        rate: float,
        current_time: datetime,
        entry_tag: str | None,
        side: str,
        **kwargs: Any,
    ) -> bool:
        """Refuse an entry that comes too late for its signal; a user's own entry passes.

        The side is locked until the candle ends, else freqtrade would try again at every look.
        """
        dataframe, _ = self.dp.get_analyzed_dataframe(pair, self.timeframe)
        if dataframe.empty:
            return True
        last = dataframe.iloc[-1]
        if not last[f"enter_{side}"] or last["enter_tag"] != entry_tag:
            return True
        reason = entry_refusal(
            current_time - (last["date"] + self.candle),
            rate,
            last["close"],
            max_age=timedelta(seconds=self.settings.max_entry_age_seconds),
            max_drift=self.settings.max_entry_drift,
        )
        if reason is None:
            return True
        logger.info("%s: no %s entry, %s", pair, side, reason)
        self.lock_pair(pair, until=current_time, reason=reason, side=side)
        return False

    def adjust_trade_position(
        self, trade: Trade, *, min_stake: float | None, **kwargs: Any
    ) -> tuple[float, str] | None:
        """Close part of a position, once, when the price is back at the middle of its bands.

        Judged on closed candles, so that a bot that looks all the time does what a backtest does.
        """
        if trade.has_open_orders or trade.nr_of_successful_exits:
            return None
        dataframe, _ = self.dp.get_analyzed_dataframe(trade.pair, self.timeframe)
        since_signal = dataframe[dataframe["date"] >= self.signal_candle(trade)]
        if since_signal.empty or since_signal.iloc[-1][f"exit_{trade.trade_direction}"]:
            return None
        if not reached_middle(since_signal, trade.trade_direction):
            return None
        stake = stake_to_close(trade.stake_amount, self.settings.scale_out, min_stake)
        return (-stake, SCALE_OUT_TAG) if stake else None

    def custom_exit(
        self, pair: str, trade: Trade, current_time: datetime, **kwargs: Any
    ) -> str | None:
        """Close a position whose exit signal fell into a time when the bot was down."""
        if self.config["runmode"] not in TRADE_MODES:
            return None
        dataframe, _ = self.dp.get_analyzed_dataframe(pair, self.timeframe)
        if dataframe.empty:
            return None
        age = int((current_time - trade.open_date_utc) / self.candle)
        signal_candle = self.signal_candle(trade)
        is_known = dataframe["date"].iloc[0] <= signal_candle
        return overdue_exit(
            dataframe,
            trade.trade_direction,
            age,
            self.max_stale_candles.value,
            int((dataframe["date"] >= signal_candle).sum()) if is_known else None,
        )

    def signal_candle(self, trade: Trade) -> datetime:
        """Return the opening of the candle whose close a position was entered on."""
        filled = trade.date_entry_fill_utc or trade.open_date_utc
        entered: datetime = timeframe_to_prev_date(self.timeframe, filled)
        return entered - self.candle
