"""The trading rules that freqtrade gets from a replay exchange, without connecting to it."""

from collections.abc import Sequence
from typing import Any

from perp_imbalance.replay.candle_store import CandleStore, Market
from perp_imbalance.replay.server import ReplayExchange


def perp_markets(store: CandleStore, pairs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return perps as ccxt parses them from the market list of a replay.

    :param pairs: freqtrade's names.
    :return: ccxt's markets by pair, with ``precision`` and ``limits``; only pairs in the folder.

    >>> perp_markets(CandleStore(Path("user_data/sample/binance")), pairs)  # doctest: +SKIP
    """
    import ccxt

    listed = ReplayExchange(store).market_list(Market.PERP, pairs)
    client = ccxt.binance({"options": {"defaultType": "future"}})
    return {market["symbol"]: market for market in client.parse_markets(listed["symbols"])}
