"""The sample market: generated, SYNTHETIC candles from a seed, in freqtrade's own layout.

``ensure_sample_market(Path("user_data/sample/binance"))`` returns a folder for ``--datadir``.
"""

from perp_imbalance.data.sample.market import DEFAULT_DAYS, DEFAULT_SEED, DEFAULT_START, PAIRS
from perp_imbalance.data.sample.store import (
    SampleMarket,
    ensure_sample_market,
    is_sample_market,
    write_sample_market,
)

__all__ = [
    "DEFAULT_DAYS",
    "DEFAULT_SEED",
    "DEFAULT_START",
    "PAIRS",
    "SampleMarket",
    "ensure_sample_market",
    "is_sample_market",
    "write_sample_market",
]
