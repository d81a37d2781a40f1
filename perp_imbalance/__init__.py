"""Perp Imbalance Zones for freqtrade: what a strategy of one's own needs.

The names of ``__all__`` are the public API. They are imported when they are first used: the
command line starts without pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perp_imbalance.indicators import (
        PRESETS,
        Thresholds,
        entry_signals,
        exit_signals,
        imbalance_columns,
    )
    from perp_imbalance.markets.exchange_name import exchange_name
    from perp_imbalance.markets.spot_matching import match_spot
    from perp_imbalance.markets.spot_setting import check_spot_setting

__all__ = [
    "PRESETS",
    "Thresholds",
    "__version__",
    "check_spot_setting",
    "entry_signals",
    "exchange_name",
    "exit_signals",
    "imbalance_columns",
    "match_spot",
]

__version__ = "0.3.0"

# Names that are not of the mathematics, with their modules.
_MARKETS = {
    "check_spot_setting": "markets.spot_setting",
    "exchange_name": "markets.exchange_name",
    "match_spot": "markets.spot_matching",
}


def __getattr__(name: str) -> Any:
    """Import a name of the public API on its first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _MARKETS.get(name, "indicators")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    """Return the names of the public API beside those that are there."""
    return sorted({*globals(), *__all__})
