"""Strategies derived from PerpImbalance that override what freqtrade's docs allow.

Each override calls ``super()`` with freqtrade's own order of arguments.
"""

from datetime import datetime
from typing import Any

from freqtrade.persistence import Trade
from freqtrade.strategy import DecimalParameter, IntParameter
from pandas import DataFrame
from PerpImbalance import PerpImbalance

from perp_imbalance.strategy.parameters import with_preset


class MinePlain(PerpImbalance):
    """Changes nothing."""


class MineStrict(PerpImbalance):
    """Sets a value in freqtrade's own dictionary."""

    buy_params = {"enter_z": 3.0}  # noqa: RUF012


@with_preset("aggressive")
class MineFixed(PerpImbalance):
    """Fixes values, and changes the range of a parameter."""

    enter_z = 2.0
    use_htf = True
    entry_mode = "flip"
    max_stale_candles = 6
    exit_z = DecimalParameter(0.2, 0.6, default=0.4)


class MineGuarded(PerpImbalance):
    """Adds protections, orders and exits."""

    minimal_roi = {"0": 1}  # noqa: RUF012
    stoploss = -0.2
    use_custom_stoploss = True
    order_types = {**PerpImbalance.order_types, "entry": "market", "exit": "market"}  # noqa: RUF012

    def bot_start(self, **kwargs: Any) -> None:
        super().bot_start(**kwargs)
        self.called = {"bot_start"}

    @property
    def protections(self) -> list[dict[str, Any]]:
        return [*super().protections, {"method": "CooldownPeriod", "stop_duration_candles": 5}]

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
        self.called.add("leverage")
        return 2 * super().leverage(
            pair,
            current_time,
            current_rate,
            proposed_leverage,
            max_leverage,
            entry_tag,
            side,
            **kwargs,
        )

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
        self.called.add("confirm_trade_entry")
        return super().confirm_trade_entry(
            pair, order_type, amount, rate, time_in_force, current_time, entry_tag, side, **kwargs
        )

    def custom_exit(
        self,
        pair: str,
        trade: Trade,
        current_time: datetime,
        current_rate: float,
        current_profit: float,
        **kwargs: Any,
    ) -> str | bool | None:
        self.called.add("custom_exit")
        reason = super().custom_exit(
            pair, trade, current_time, current_rate, current_profit, **kwargs
        )
        return reason or ("small_win" if current_profit > 0.01 else None)

    def custom_stoploss(
        self,
        pair: str,
        trade: Trade,
        current_time: datetime,
        current_rate: float,
        current_profit: float,
        after_fill: bool,
        **kwargs: Any,
    ) -> float | None:
        self.called.add("custom_stoploss")
        stoploss: float | None = super().custom_stoploss(
            pair, trade, current_time, current_rate, current_profit, after_fill, **kwargs
        )
        return stoploss


@with_preset("aggressive")
class MineDoubling(PerpImbalance):
    """Adds to losing positions, and has another parameter and other protections."""

    position_adjustment_enable = True
    max_entry_position_adjustment = 1
    buy_losing_percent = IntParameter(1, 5, default=1)
    protections = [{"method": "CooldownPeriod", "stop_duration_candles": 2}]  # noqa: RUF012

    def populate_indicators(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        return super().populate_indicators(dataframe, metadata).assign(mine=1.0)

    def custom_stake_amount(
        self,
        pair: str,
        current_time: datetime,
        current_rate: float,
        proposed_stake: float,
        min_stake: float | None,
        max_stake: float,
        leverage: float,
        entry_tag: str | None,
        side: str,
        **kwargs: Any,
    ) -> float:
        return proposed_stake / 2

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
        ours = super().adjust_trade_position(
            trade,
            current_time,
            current_rate,
            current_profit,
            min_stake,
            max_stake,
            current_entry_rate,
            current_exit_rate,
            current_entry_profit,
            current_exit_profit,
            **kwargs,
        )
        if ours or trade.nr_of_successful_entries > 1:
            return ours
        if current_profit > -self.buy_losing_percent.value / 100:
            return None
        return trade.stake_amount, "doubled"
