"""Exchanges other than Binance on 127.0.0.1, each with its own API, as ccxt reads it.

They test how ccxt and freqtrade handle an exchange's responses. They belong to the tests: the
product's replay has Binance's API, whatever exchange the candles are from.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import ccxt

from perp_imbalance.replay import Replay
from perp_imbalance.replay.candle_store import CandleStore
from perp_imbalance.replay.running import serving
from support.dialects.base import Dialect
from support.dialects.bitget import Bitget
from support.dialects.bybit import Bybit
from support.dialects.gate import Gate
from support.dialects.hyperliquid import Hyperliquid
from support.dialects.okx import Okx

DIALECTS: dict[str, type[Dialect]] = {
    dialect.name: dialect for dialect in (Bybit, Okx, Gate, Bitget, Hyperliquid)
}


class Listening(NamedTuple):
    """A running dialect, and how freqtrade connects to it."""

    dialect: Dialect
    replay: Replay

    @property
    def config(self) -> dict[str, Any]:
        """The part of a freqtrade config that connects to it."""
        return loopback_config(self.dialect.name, self.replay.url)


@contextmanager
def running_dialect(
    exchange: str, datadir: Path, extra_pairs: Iterable[str] = ()
) -> Iterator[Listening]:
    """Serve a folder of candles with an exchange's API during the block.

    :param exchange: ccxt's name
    :param extra_pairs: freqtrade names of pairs that are listed but have no candles
    """
    dialect = DIALECTS[exchange](CandleStore(datadir, extra_pairs))
    with serving(dialect.app(), 0) as port:
        yield Listening(dialect, Replay(port, dialect.store, dialect.exchange))


def loopback_config(exchange: str, url: str) -> dict[str, Any]:
    """Return the part of a freqtrade config that replaces an exchange with this machine."""
    api = getattr(ccxt, exchange)().describe()["urls"]["api"]
    ccxt_config = {"enableRateLimit": False, "urls": {"api": _to_loopback(api, url)}}
    return {"exchange": {"enable_ws": False, "ccxt_config": ccxt_config}}


def _to_loopback(urls: Any, url: str) -> Any:
    """Return ccxt's URLs with the exchange's host replaced by this machine's."""
    if isinstance(urls, Mapping):
        return {name: _to_loopback(address, url) for name, address in urls.items()}
    return url + urlsplit(urls.replace("{hostname}", "host")).path.rstrip("/")
