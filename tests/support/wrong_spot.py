"""A sample market around now: one perp has the wrong spot pair, one has none.

Neither has an index; all perps have a premium index.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from freqtrade.data.history import get_datahandler
from freqtrade.enums import CandleType

from perp_imbalance.data.sample import write_sample_market
from support.freqtrade import SAMPLE_PAIRS

#: Names whose leverage tiers freqtrade knows.
WRONG, LONELY = "SOL/USDT:USDT", "XRP/USDT:USDT"
_PRICES = ["open", "high", "low", "close"]
_KINDS = {
    "1h": (CandleType.FUTURES, CandleType.PREMIUMINDEX, CandleType.MARK, CandleType.FUNDING_RATE),
    "4h": (CandleType.FUTURES, CandleType.PREMIUMINDEX),
}


@pytest.fixture(scope="session")
def wrong_spot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two months up to tomorrow; tests must not change it."""
    datadir = tmp_path_factory.mktemp("wrong_spot") / "binance"
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    write_sample_market(datadir, start=midnight - timedelta(days=60), days=62, pairs=SAMPLE_PAIRS)
    handler = get_datahandler(datadir, "feather")
    for timeframe, kinds in _KINDS.items():
        for pair in (WRONG, LONELY):
            for kind in kinds:
                frame = handler.ohlcv_load("ETH/USDT:USDT", timeframe, kind, fill_missing=False)
                handler.ohlcv_store(pair, timeframe, frame, kind)
        spot = handler.ohlcv_load("ETH/USDT", timeframe, CandleType.SPOT, fill_missing=False)
        spot[_PRICES] *= 3.0
        handler.ohlcv_store("SOL/USDT", timeframe, spot, CandleType.SPOT)
    return datadir
