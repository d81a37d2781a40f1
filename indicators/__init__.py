"""The mathematics of the signal: pure functions over arrays and dataframes, without freqtrade.

For a strategy of one's own: :func:`imbalance_columns`, then :func:`entry_signals` and
:func:`exit_signals` or just the column ``bias``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perp_imbalance.indicators.columns import imbalance_columns
    from perp_imbalance.indicators.signals import entry_signals, exit_signals
    from perp_imbalance.indicators.thresholds import PRESETS, Thresholds

__all__ = ["PRESETS", "Thresholds", "entry_signals", "exit_signals", "imbalance_columns"]

_HOMES = {"entry_signals": "signals", "exit_signals": "signals", "imbalance_columns": "columns"}


def __getattr__(name: str) -> Any:
    """Import a name on its first use: the command line needs presets, and no pandas."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'thresholds')}"), name)
