"""The exchange of a config's candles, whose naming rules decide on the spot pair of a perp."""

from collections.abc import Mapping
from typing import Any

#: The config's key for it in local runs. There freqtrade talks to a replay, which speaks Binance's
#: language alone, so ``exchange.name`` is not the exchange of the candles.
CANDLES_OF = "perp_imbalance_candles_of"


def exchange_name(config: Mapping[str, Any]) -> str:
    """Return ccxt's name of the exchange of a config's candles.

    >>> exchange_name({"exchange": {"name": "binance"}, CANDLES_OF: "bybit"})
    'bybit'
    """
    return str(config.get(CANDLES_OF) or config["exchange"]["name"])
