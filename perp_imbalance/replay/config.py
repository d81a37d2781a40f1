"""How freqtrade is pointed at a replay exchange instead of Binance."""

from typing import Any

HOST = "127.0.0.1"
DEFAULT_PORT = 8765

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


def replay_config(url: str) -> dict[str, Any]:
    """Return the part of a freqtrade configuration that makes it use a replay exchange.

    Merged by freqtrade over the configuration proper, from which the exchange's name and options
    come: ``freqtrade … -c config.json -c config/replay.json``.

    :param url: where the replay exchange listens, such as ``http://127.0.0.1:8765``
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
