"""How freqtrade is pointed at a replay exchange instead of Binance."""

from typing import Any

HOST = "127.0.0.1"
DEFAULT_PORT = 8765
#: What signs the requests to the account of a replay exchange; worth nothing anywhere else.
DUMMY_KEY, DUMMY_SECRET = "replay-dummy-key", "replay-dummy-secret"

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


def account_config() -> dict[str, Any]:
    """Return the part of a freqtrade configuration that makes it place orders at a replay exchange.

    Its database is one of its own: what is in it never happened.
    """
    return {
        "dry_run": False,
        "db_url": "sqlite:///user_data/tradesv3.replay.sqlite",
        "exchange": {"key": DUMMY_KEY, "secret": DUMMY_SECRET},
    }
