"""The mathematics of the signal: pure functions over arrays and dataframes, without freqtrade.

For your own strategy: call :func:`imbalance_columns`, then :func:`entry_signals` and
:func:`exit_signals` or just the column ``bias``.
"""

from perp_imbalance.indicators.columns import imbalance_columns
from perp_imbalance.indicators.signals import entry_signals, exit_signals
from perp_imbalance.indicators.thresholds import PRESETS, Thresholds

__all__ = ["PRESETS", "Thresholds", "entry_signals", "exit_signals", "imbalance_columns"]
