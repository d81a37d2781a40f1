"""Configs that make freqtrade use a replay exchange instead of Binance."""

import copy
import logging
from collections.abc import Mapping
from typing import Any

from perp_imbalance.freqtrade_bridge.exchange import (
    funding_options,
    taker_fee,
    without_leverage_tiers,
)
from perp_imbalance.markets.exchange_name import CANDLES_OF, exchange_name

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
DEFAULT_PORT = 8765
#: What signs the requests to the account of a replay exchange; worth nothing anywhere else.
DUMMY_KEY, DUMMY_SECRET = "replay-dummy-key", "replay-dummy-secret"

#: Sent by a client whose clock stands still while it waits. Its answer comes at once, and says in
#: the other header how many seconds it takes on the clocks of client and exchange.
STEPPED_HEADER, ANSWER_HEADER = "X-Stepped-Clock", "X-Answer-Seconds"

# Where ccxt's names for the parts of Binance's interface lead; a part that is not named here
# would still be asked of Binance itself.
API_PATHS = {
    "public": "/api/v3",
    "private": "/api/v3",
    "v1": "/api/v1",
    "sapi": "/sapi/v1",
    "sapiV2": "/sapi/v2",
    "sapiV3": "/sapi/v3",
    "sapiV4": "/sapi/v4",
    "fapiPublic": "/fapi/v1",
    "fapiPublicV2": "/fapi/v2",
    "fapiPublicV3": "/fapi/v3",
    "fapiPrivate": "/fapi/v1",
    "fapiPrivateV2": "/fapi/v2",
    "fapiPrivateV3": "/fapi/v3",
    "fapiData": "/futures/data",
    "dapiPublic": "/dapi/v1",
    "dapiPrivate": "/dapi/v1",
    "dapiPrivateV2": "/dapi/v2",
    "dapiData": "/futures/data",
    "eapiPublic": "/eapi/v1",
    "eapiPrivate": "/eapi/v1",
    "papi": "/papi/v1",
    "papiV2": "/papi/v2",
}


#: The exchange whose language a replay speaks.
SPOKEN = "binance"
# Of a config's section on the exchange, what matters where there is no exchange.
_PAIRS = ("pair_whitelist", "pair_blacklist")
# Settings that lead to other machines, or hold secrets, and have no part in a local run.
_ELSEWHERE = frozenset(
    {"telegram", "discord", "webhook", "api_server", "external_message_consumer", "coingecko"}
    # With a currency to show, freqtrade asks CoinGecko for coins as it starts.
    | {"fiat_display_currency"}
)


def replay_config(url: str) -> dict[str, Any]:
    """Return the part of a freqtrade configuration that makes it use a replay exchange.

    freqtrade merges it over the main config, which has the exchange's name and options:
    ``freqtrade … -c config.json -c config/replay.json``.

    :param url: address of the replay exchange, such as ``http://127.0.0.1:8765``
    """
    api = {name: url + path for name, path in API_PATHS.items()}
    return {
        "exchange": {
            # Else freqtrade fetches short timeframes from Binance's archive.
            "only_from_ccxt": True,
            "enable_ws": False,
            "ccxt_config": {"enableRateLimit": False, "urls": {"api": api}},
        }
    }


def local_config(config: Mapping[str, Any], url: str) -> dict[str, Any]:
    """Return a complete config with which freqtrade connects to a replay exchange only.

    Only the pairs of the config's exchange section are kept: its proxies, addresses and client
    options would lead to other hosts, and the replay answers like Binance. The result also has the
    configured exchange's name for matching perps
    (:func:`~perp_imbalance.markets.exchange_name.exchange_name`), its taker fee where the config
    sets no fee, and the candle type of its funding.

    :param config: the whole config, such as ``freqtrade_bridge.config.merged_config`` returns; the
        result of this function is returned unchanged.
    :param url: address of the replay exchange.
    """
    exchange, name = config.get("exchange", {}), exchange_name(config)
    local = {key: value for key, value in config.items() if key not in _ELSEWHERE}
    section = {key: exchange[key] for key in _PAIRS if key in exchange}
    section |= {"name": SPOKEN, "key": "", "secret": "", **replay_config(url)["exchange"]}
    # Else a strategy that checks it would refuse to start.
    section["ccxt_config"]["options"] = {"defaultType": "future"}
    own = exchange.get("_ft_has_params", {})
    section["_ft_has_params"] = {
        key: own.get(key, value) for key, value in funding_options(name).items()
    }
    if missing := without_leverage_tiers(section.get("pair_whitelist", [])):
        logger.warning(
            "no leverage tiers of %s are known: traded at leverage 1, without a liquidation price",
            ", ".join(missing),
        )
        section["_ft_has_params"]["uses_leverage_tiers"] = False
    local |= {
        "exchange": section,
        "pairlists": [{"method": "StaticPairList"}],
        "dry_run": True,
        CANDLES_OF: name,
    }
    if local.get("fee") is None and name != SPOKEN and (fee := taker_fee(name)) is not None:
        local["fee"] = fee
    return copy.deepcopy(local)


def account_config() -> dict[str, Any]:
    """Return the part of a freqtrade configuration that makes it place orders at a replay exchange.

    It uses a separate database, since these trades are not real.
    """
    return {
        "dry_run": False,
        "db_url": "sqlite:///user_data/tradesv3.replay.sqlite",
        "exchange": {"key": DUMMY_KEY, "secret": DUMMY_SECRET},
    }
