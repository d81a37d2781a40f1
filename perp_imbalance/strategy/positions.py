"""Positions: their leverage, late entries, partial exits, and exits besides the signal."""

import logging
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
from freqtrade.enums import TRADE_MODES, RunMode
from freqtrade.exchange import timeframe_to_prev_date, timeframe_to_seconds
from freqtrade.persistence import Trade
from freqtrade.strategy import IntParameter, IStrategy

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators.signals import overdue_exit, reached_middle
from perp_imbalance.strategy.order_rules import (
    LIQUIDATION_BUFFER,
    SCALE_OUT_TAG,
    STOP_ON_CLOSE_TAG,
    check_stoploss,
    closed_against,
    entry_refusal,
    stake_to_close,
    stoploss_of_stake,
)
from perp_imbalance.strategy.settings import SECTION, Settings

logger = logging.getLogger(__name__)

_ADJUSTS = "position_adjustment_enable"

#: What freqtrade calls the price that triggers a stop on the exchange, and the mark price there.
PRICE_TYPE, MARK = "stoploss_price_type", "mark"


def offers_mark_stops(exchange: Any) -> bool:
    """Return whether an exchange can trigger stops by the mark price.

    :param exchange: freqtrade's exchange.
    """
    return MARK in exchange.get_option("stop_price_type_value_mapping", {})


def declaring_class(kind: type, name: str) -> type:
    """Return the class from which a class inherits an attribute.

    >>> declaring_class(bool, "real")
    <class 'int'>
    """
    return next(base for base in kind.__mro__ if name in vars(base))


def _protections(own: Any) -> Any:
    """Return freqtrade's ``protections`` as a property that prefers those of the config's section.

    :param own: the class's protections, a list or a property; None for the section's default.
    """

    def get(self: "Positions") -> Any:
        if "protections" in self.settings.model_fields_set:
            return self.settings.protections
        if "own_protections" in vars(self):
            return vars(self)["own_protections"]
        if own is None:
            return self.settings.protections
        return own.__get__(self, type(self)) if hasattr(own, "__get__") else own

    def put(self: "Positions", value: Any) -> None:
        self.__dict__["own_protections"] = value

    return property(get, put)


class Positions(IStrategy):
    """The part of a strategy with freqtrade's callbacks about orders and positions.

    The methods have freqtrade's signatures, so that a subclass can call ``super()``.
    """

    settings: Settings
    max_stale_candles: IntParameter
    position_adjustment_enable: bool
    stoploss: float
    order_types: dict[str, Any]
    protections = _protections(None)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "protections" in vars(cls):
            cls.protections = _protections(vars(cls)["protections"])

    def apply_money_settings(self, shipped: type) -> None:
        """Apply the settings of the config's section over those of the class, and log them.

        The shipped class's stoploss is a fraction of the price and is multiplied by the leverage.
        Any other stoploss is the user's own, a fraction of the stake as in freqtrade.

        :param shipped: the class that wires the strategy.
        :raises SettingsError: if the class cannot have the setting, or the leverage is too high for
            the stop.
        """
        kind, named = type(self), self.settings.model_fields_set
        if declaring_class(kind, "stoploss") is shipped:
            buffer = self.config.get("liquidation_buffer", LIQUIDATION_BUFFER)
            self.stoploss = stoploss_of_stake(self.stoploss, self.settings.leverage, buffer)
        check_stoploss(self.config.get("stoploss", self.stoploss))
        if "protections" in named and kind.protections is not Positions.protections:
            logger.warning("the config's protections replace those of %s", kind.__name__)
        if self.settings.scale_out and not self.position_adjustment_enable:
            if isinstance(getattr(kind, _ADJUSTS), property):
                raise SettingsError(
                    f"the config's {SECTION}.scale_out needs {_ADJUSTS}, which is a property of "
                    f"{kind.__name__}: write it there as {_ADJUSTS} = True"
                )
            if any(_ADJUSTS in vars(base) for base in kind.__mro__ if base is not IStrategy):
                logger.warning(
                    "the config's scale_out counts, not %s = False of %s",
                    *(_ADJUSTS, kind.__name__),
                )
            self.position_adjustment_enable = True

    def ft_load_hyper_params(self, hyperopt: bool = False) -> None:
        """Check the stoploss after freqtrade has loaded everything that may change it."""
        super().ft_load_hyper_params(hyperopt)
        check_stoploss(self.stoploss)
        if self.config["runmode"] in TRADE_MODES:
            self.trigger_stops_by_mark()

    def trigger_stops_by_mark(self) -> None:
        """Let the mark price trigger stops if the exchange can and the config does not choose.

        freqtrade refuses to start if the exchange cannot, so this runs once the exchange is known.
        """
        exchange = getattr(getattr(self, "dp", None), "_exchange", None)
        if exchange is not None and offers_mark_stops(exchange):
            # A new dict: the class's own is shared by all strategies.
            self.order_types = {PRICE_TYPE: MARK, **self.order_types}

    @property
    def candle(self) -> timedelta:
        """The length of a candle."""
        return timedelta(seconds=timeframe_to_seconds(self.timeframe))

    def leverage(
        self,
        pair: str,
        current_time: datetime,
        current_rate: float,
        proposed_leverage: float,
        max_leverage: float,
        entry_tag: str | None,
        side: str,
        **kwargs: Any,
    ) -> float:
        """Return the config's leverage, at most the exchange's limit."""
        return min(self.settings.leverage, max_leverage)

    def confirm_trade_entry(
        self,
        pair: str,
        order_type: str,
        amount: float,
        rate: float,
        time_in_force: str,
        current_time: datetime,
        entry_tag: str | None,
        side: str,
        **kwargs: Any,
    ) -> bool:
        """Refuse an entry that is too late, or that would add to an unknown position.

        An entry by hand is allowed. A refusal locks the side until the candle ends; otherwise
        freqtrade would try again at every iteration.
        """
        dataframe, _ = self.dp.get_analyzed_dataframe(pair, self.timeframe)
        if dataframe.empty:
            return True
        last = dataframe.iloc[-1]
        if not last[f"enter_{side}"] or last["enter_tag"] != entry_tag:
            return True
        if reason := self.unknown_position(pair):
            self.dp.send_msg(f"{pair}: no {side} entry, {reason}")
        reason = reason or entry_refusal(
            current_time - (last["date"] + self.candle),
            rate,
            last["close"],
            side,
            max_age=timedelta(seconds=self.settings.max_entry_age_seconds),
            max_drift=self.settings.max_entry_drift,
        )
        if reason is None:
            return True
        logger.info("%s: no %s entry, %s", pair, side, reason)
        self.lock_pair(pair, until=current_time, reason=reason, side=side)
        return False

    def unknown_position(self, pair: str) -> str | None:
        """Return a message if the exchange holds a position without an open trade, else None.

        The answer to its order was lost, or it was opened by hand. An entry would add to it.
        """
        if self.config["runmode"] != RunMode.LIVE:
            return None
        # freqtrade asks for no entry where it has an open trade, and has just asked the exchange.
        position = self.wallets.get_all_positions().get(pair)
        if position is None:
            return None
        return (
            f"the exchange holds {position.position:g} of it for which there is no open trade: "
            "close that there"
        )

    def adjust_trade_position(
        self,
        trade: Trade,
        current_time: datetime,
        current_rate: float,
        current_profit: float,
        min_stake: float | None,
        max_stake: float,
        current_entry_rate: float,
        current_exit_rate: float,
        current_entry_profit: float,
        current_exit_profit: float,
        **kwargs: Any,
    ) -> float | tuple[float | None, str | None] | None:
        """Close part of a position, once, when the price returns to the middle Bollinger band.

        Uses closed candles only, so that a bot does the same as a backtest.
        """
        if not self.settings.scale_out:
            return None
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
        self,
        pair: str,
        trade: Trade,
        current_time: datetime,
        current_rate: float,
        current_profit: float,
        **kwargs: Any,
    ) -> str | bool | None:
        """Close a position if the last candle closed ``stop_on_close`` or more against it.

        Uses closed candles from that of the entry on, which a backtest and a bot both know at the
        next open. A bot also closes a position whose exit signal it missed while it was down.
        """
        is_bot = self.config["runmode"] in TRADE_MODES
        if not is_bot and not self.settings.stop_on_close:
            return None
        dataframe, _ = self.dp.get_analyzed_dataframe(pair, self.timeframe)
        if dataframe.empty:
            return None
        if self.settings.stop_on_close and self.is_stopped_on_close(trade, dataframe.iloc[-1]):
            return STOP_ON_CLOSE_TAG
        if not is_bot:
            return None
        age = int((current_time - trade.open_date_utc) / self.candle)
        # Of the order, not of its fill: what rests may be filled when the bias has ended.
        signal_candle = self.candle_before(trade.open_date_utc)
        is_known = dataframe["date"].iloc[0] <= signal_candle
        return overdue_exit(
            dataframe,
            trade.trade_direction,
            age,
            self.max_stale_candles.value,
            int((dataframe["date"] >= signal_candle).sum()) if is_known else None,
        )

    def is_stopped_on_close(self, trade: Trade, last: "pd.Series[Any]") -> bool:
        """Return whether ``stop_on_close`` ends a position on the last closed candle."""
        return last["date"] > self.signal_candle(trade) and closed_against(
            last["close"], trade.open_rate, trade.trade_direction, self.settings.stop_on_close
        )

    def signal_candle(self, trade: Trade) -> datetime:
        """Return the opening of the candle whose close caused the entry of a position."""
        return self.candle_before(trade.date_entry_fill_utc or trade.open_date_utc)

    def candle_before(self, moment: datetime) -> datetime:
        """Return the opening of the last candle that had closed at a time."""
        opened: datetime = timeframe_to_prev_date(self.timeframe, moment)
        return opened - self.candle
