"""Which exchange a config's candles are of: its rules for names decide which spot pair is meant."""

from collections.abc import Mapping
from typing import Any

#: The config's key for it in local runs. There freqtrade talks to a replay, which speaks Binance's
#: language alone, so ``exchange.name`` is not the exchange of the candles.
CANDLES_OF = "perp_imbalance_candles_of"


def exchange_name(config: Mapping[str, Any]) -> str:
    """Return the exchange whose candles and names a config is about, ccxt's name.

    >>> exchange_name({"exchange": {"name": "binance"}, CANDLES_OF: "bybit"})
    'bybit'
    """
    return str(config.get(CANDLES_OF) or config["exchange"]["name"])
