"""The one setting without which Binance gives a live bot no spot candles.

In futures mode freqtrade sets ccxt's ``defaultType`` to ``swap``, and ccxt then answers a request
for the spot pair BTC/USDT with the candles of the perp: every premium is 0. Backtests do not show
it.
"""

from collections.abc import Mapping
from typing import Any

from perp_imbalance.errors import SettingsError

EXCHANGE = "binance"
SPOT_SAFE_TYPE = "future"

# freqtrade merges the second over the first for the client that fetches candles.
_SECTIONS = ("ccxt_config", "ccxt_async_config")


def check_spot_setting(config: Mapping[str, Any]) -> None:
    """Raise where a live bot would take candles of the perp for those of its spot pair.

    :param config: freqtrade's config.
    :raises SettingsError: naming the setting to add.

    >>> options = {"options": {"defaultType": "future"}}
    >>> check_spot_setting({"exchange": {"name": "binance", "ccxt_config": options}})
    """
    exchange = config.get("exchange", {})
    if exchange.get("name") != EXCHANGE:
        return
    default_type, place = None, _SECTIONS[0]
    for section in _SECTIONS:
        options = exchange.get(section, {}).get("options", {})
        if "defaultType" in options:
            default_type, place = options["defaultType"], section
    if default_type != SPOT_SAFE_TYPE:
        raise SettingsError(
            "Binance would answer for spot pairs with the candles of the perp: "
            f'{"add" if default_type is None else "set"} "{place}": {{"options": '
            f'{{"defaultType": "{SPOT_SAFE_TYPE}"}}}} {"to" if default_type is None else "in"} '
            '"exchange" in the config'
        )
