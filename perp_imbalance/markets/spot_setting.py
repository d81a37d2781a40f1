"""ccxt's ``defaultType``: the one setting without which a live bot asks for the wrong market.

In futures mode freqtrade sets it to ``swap``, and for Binance ccxt then answers a request for the
spot pair BTC/USDT with the candles of the perp: every premium is 0. Backtests do not show it. So
Binance needs ``future``, which on some other exchanges means dated futures.
"""

from collections.abc import Mapping
from typing import Any

from perp_imbalance.errors import SettingsError

EXCHANGE = "binance"
SPOT_SAFE_TYPE = "future"

# freqtrade merges the second over the first for the client that fetches candles.
_SECTIONS = ("ccxt_config", "ccxt_async_config")
# What freqtrade's other client gets where ccxt 4.5.90 takes it for dated futures.
_OF_DATED_FUTURES = {
    "gate": "the leverage tiers of dated futures, and no liquidation price of a position",
    "okx": "the tickers of dated futures, and a VolumePairList would stay empty",
}


def check_spot_setting(config: Mapping[str, Any]) -> None:
    """Raise if a live bot would request the perp instead of its spot pair, or dated futures.

    :param config: freqtrade's config.
    :raises SettingsError: naming the setting to add.

    >>> options = {"options": {"defaultType": "future"}}
    >>> check_spot_setting({"exchange": {"name": "binance", "ccxt_config": options}})
    """
    exchange = config.get("exchange", {})
    name = exchange.get("name")
    if name in _OF_DATED_FUTURES:
        _check_perps_are_asked(name, exchange)
    if name != EXCHANGE:
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


def _check_perps_are_asked(name: str, exchange: Mapping[str, Any]) -> None:
    for section in ("ccxt_config", "ccxt_sync_config"):
        if exchange.get(section, {}).get("options", {}).get("defaultType") == SPOT_SAFE_TYPE:
            raise SettingsError(
                f'"defaultType": "{SPOT_SAFE_TYPE}" is for Binance; of {name}, freqtrade would get '
                f'{_OF_DATED_FUTURES[name]}: set it to "swap" in "{section}" of "exchange", or add '
                f"-c config/exchange-{name}.json"
            )
