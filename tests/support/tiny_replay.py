"""A tiny market in freqtrade's layout and a replay of it, for tests that need an exchange."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from freqtrade.data.history import get_datahandler
from freqtrade.enums import CandleType

from perp_imbalance.replay import Replay, running_replay

HOUR = 60 * 60 * 1000
TINY_START = pd.Timestamp("2024-01-01", tz="UTC")
TINY_CANDLES = 40 * 24
# Candles that the spot pairs lack, as after an outage.
TINY_GAP = slice(700, 703)
# spot pair, perp, price of spot, scale of the perp, decimals of both prices
TINY_PAIRS = [
    ("BTC/USDT", "BTC/USDT:USDT", 42_000.0, 1, 2, 1),
    ("PEPE/USDT", "1000PEPE/USDT:USDT", 1.3e-6, 1000, 8, 7),
]


def milliseconds(moment: pd.Timestamp) -> int:
    """Return a time in ms, as Binance counts it."""
    return int(moment.timestamp() * 1000)


def write_market(
    datadir: Path, start: pd.Timestamp, candles: int, data_format: str = "feather"
) -> None:
    """Write 1h candles of two perps with mark and funding, and of their spot pairs.

    :param datadir: folder to write, in freqtrade's layout
    :param start: a full hour
    """
    (datadir / "futures").mkdir(parents=True, exist_ok=True)
    handler = get_datahandler(datadir, data_format)
    rng = np.random.default_rng(7)
    dates = pd.date_range(start, periods=candles, freq="1h")
    for spot, perp, price, scale, spot_decimals, perp_decimals in TINY_PAIRS:
        closes = price * np.exp(np.cumsum(rng.normal(0, 5e-3, candles)))
        premium = rng.normal(0, 7e-4, candles)
        spots = _candles(dates, closes, spot_decimals, rng)
        spots = spots.drop(spots.index[TINY_GAP])
        perps = _candles(dates, closes * scale * (1 + premium), perp_decimals, rng)
        handler.ohlcv_store(spot, "1h", spots, CandleType.SPOT)
        handler.ohlcv_store(perp, "1h", perps, CandleType.FUTURES)
        handler.ohlcv_store(perp, "1h", perps.assign(volume=0.0), CandleType.MARK)
        rates = pd.DataFrame({"date": dates[dates.hour % 8 == 0]})
        rates["funding_rate"] = np.round(rng.normal(1e-4, 1e-4, len(rates)), 8)
        handler.ohlcv_store(perp, "1h", rates, CandleType.FUNDING_RATE)


def _candles(
    dates: pd.DatetimeIndex, prices: Any, decimals: int, rng: np.random.Generator
) -> pd.DataFrame:
    closes = np.round(prices, decimals)
    opens = np.append(closes[0], closes[:-1])
    reach = 1 + np.abs(rng.normal(0, 1e-3, len(closes)))
    return pd.DataFrame(
        {
            "date": dates,
            "open": opens,
            "high": np.round(np.maximum(opens, closes) * reach, decimals),
            "low": np.round(np.minimum(opens, closes) / reach, decimals),
            "close": closes,
            "volume": np.round(rng.uniform(1, 9, len(closes)) * 1e6 / prices[0], 3),
        }
    )


def read_candles(datadir: Path, pair: str, candle_type: CandleType) -> pd.DataFrame:
    """Return a folder's 1h candles as freqtrade reads them, without filling gaps."""
    frame = get_datahandler(datadir).ohlcv_load(pair, "1h", candle_type, fill_missing=False)
    return pd.DataFrame(frame)


def get(url: str, path: str, **params: Any) -> tuple[int, Any]:
    """Request a path of a replay exchange; return the status and the JSON of the response."""
    address = f"{url}{path}?{urllib.parse.urlencode(params)}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.fixture(scope="session")
def tiny_datadir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 days of 1h candles: BTC and 1000PEPE perps, BTC and PEPE spot."""
    datadir = tmp_path_factory.mktemp("tiny") / "binance"
    write_market(datadir, TINY_START, TINY_CANDLES)
    return datadir


@pytest.fixture
def tiny_replay(tiny_datadir: Path) -> Iterator[Replay]:
    """Run a replay exchange over ``tiny_datadir`` at the time of this machine."""
    with running_replay(tiny_datadir) as replay:
        yield replay


@pytest.fixture
def tiny_config(tmp_path: Path) -> Path:
    """Write a freqtrade configuration for the tiny market, in a folder with ``user_data``."""
    (tmp_path / "user_data").mkdir()
    pricing = {"price_side": "same", "use_order_book": True, "order_book_top": 1}
    path = tmp_path / "config.json"
    path.write_text(
        json.dumps(
            {
                "trading_mode": "futures",
                "margin_mode": "isolated",
                "stake_currency": "USDT",
                "stake_amount": 100,
                "max_open_trades": 2,
                "dry_run": True,
                "dry_run_wallet": 1000,
                "initial_state": "running",
                "timeframe": "1h",
                "user_data_dir": str(tmp_path / "user_data"),
                "entry_pricing": pricing,
                "exit_pricing": pricing,
                "exchange": {
                    "name": "binance",
                    "pair_whitelist": [perp for _, perp, *_ in TINY_PAIRS],
                    "ccxt_config": {"options": {"defaultType": "future"}},
                },
                "pairlists": [{"method": "StaticPairList"}],
            }
        ),
        encoding="utf-8",
    )
    return path
