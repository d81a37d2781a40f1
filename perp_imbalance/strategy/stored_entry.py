"""Data that a bot stores with a trade at entry, for FreqUI, the API and ``reconcile``.

It is stored as freqtrade's custom data of the trade: the columns of the signal's candle, and the
settings at that time.
"""

import math
from abc import abstractmethod
from dataclasses import asdict
from datetime import datetime
from typing import Any

import freqtrade
import numpy as np
from freqtrade.enums import TRADE_MODES
from freqtrade.exchange import timeframe_to_prev_date
from freqtrade.persistence import Order, Trade
from freqtrade.strategy import CategoricalParameter, IntParameter, IStrategy
from pandas import DataFrame

from perp_imbalance import __version__
from perp_imbalance.indicators.signals import NO_PREMIUM, SIDES, gates
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.strategy.named_values import preset_said
from perp_imbalance.strategy.settings import Settings

#: The keys of a trade's custom data.
SIGNAL_KEY, SETTINGS_KEY = "entry_signal", "entry_settings"

# What of freqtrade's config decides which trades there are.
_CONFIG_KEYS = (
    *("timeframe", "max_open_trades", "stake_amount", "stoploss", "minimal_roi", "fee"),
    *("trailing_stop", "trailing_stop_positive", "trailing_stop_positive_offset"),
    *("trailing_only_offset_is_reached", "use_exit_signal", "exit_profit_only"),
    *("exit_profit_offset", "ignore_roi_if_entry_signal", "position_adjustment_enable"),
)

# What of our section of it decides about messages only.
_ONLY_SAID = {"alerts", "log_candles"}

_SHOWN = ("z", "premium_pct", "deviation_bps", "close")


def entry_signal(candles: DataFrame, thresholds: Thresholds, side: str) -> dict[str, Any]:
    """Return the values of a signal's candle as plain values; None for unknown ones.

    :param candles: one row: ``date``, ``close``, the columns of the signal, and the entry columns.
    :param side: ``short`` or ``long``: the side of the trade.
    :return: ``candle``, ``z``, ``premium_pct``, ``deviation_bps``, ``close``, ``bias``, ``gates``
        (whether each passes, by name), ``signal`` (the entry tag, if there was one).
    """
    row = candles.iloc[0]
    passes = gates(candles, thresholds)
    # Named by what it fails with.
    passes["premium"] = passes.pop(NO_PREMIUM)
    tag = row["enter_tag"] if row[f"enter_{side}"] == 1 else None
    return {
        "candle": row["date"].isoformat(),
        **{name: float(row[name]) if np.isfinite(row[name]) else None for name in _SHOWN},
        "bias": int(row["bias"]),
        "gates": {name: bool(passed[SIDES[side]][0]) for name, passed in passes.items()},
        "signal": tag,
    }


class StoredEntries(IStrategy):
    """The part of a strategy that stores the data for ``reconcile`` with each trade."""

    settings: Settings
    preset: str
    started: datetime
    entry_mode: CategoricalParameter
    max_stale_candles: IntParameter

    @abstractmethod
    def thresholds(self) -> Thresholds:
        """Return the thresholds as the parameters have them now."""

    def entry_settings(self) -> dict[str, Any]:
        """Return all settings that affect trades, as plain values.

        :return: ``version``, ``freqtrade``, ``strategy``, ``preset``, ``thresholds``, ``settings``
            of the config's section, and ``config`` with other settings of the config.
        """
        settings = self.settings.model_dump(mode="json", exclude=_ONLY_SAID)
        # A parameter file outranks the config, and a class may have protections of its own.
        settings |= {
            "entry_mode": self.entry_mode.value,
            "max_stale_candles": self.max_stale_candles.value,
            "protections": self.protections,
        }
        config: dict[str, Any] = {name: self.config.get(name) for name in _CONFIG_KEYS}
        config["stoploss"] = self.stoploss
        if config["max_open_trades"] == math.inf:
            # As the config has it; JSON has no infinity.
            config["max_open_trades"] = -1
        return {
            "version": __version__,
            "freqtrade": freqtrade.__version__,
            "strategy": type(self).__name__,
            "preset": preset_said(self.thresholds(), self.preset),
            "thresholds": asdict(self.thresholds()),
            "settings": settings,
            "config": config,
        }

    def order_filled(
        self, pair: str, trade: Trade, order: Order, current_time: datetime, **kwargs: Any
    ) -> None:
        """Store the signal and the settings when the first entry of a trade is filled.

        A backtest stores nothing: it has no database, and its result contains its settings.
        """
        is_entry = order.ft_order_side == trade.entry_side
        if self.config["runmode"] not in TRADE_MODES or not is_entry:
            return
        if trade.get_custom_data(SETTINGS_KEY) is not None:
            return
        started = {"started": self.started.isoformat()}
        trade.set_custom_data(SETTINGS_KEY, self.entry_settings() | started)
        placed = timeframe_to_prev_date(self.timeframe, order.order_date_utc)
        dataframe, _ = self.dp.get_analyzed_dataframe(pair, self.timeframe)
        candle = dataframe[dataframe["date"] < placed].tail(1) if len(dataframe) else dataframe
        if len(candle):
            side = trade.trade_direction
            trade.set_custom_data(SIGNAL_KEY, entry_signal(candle, self.thresholds(), side))
