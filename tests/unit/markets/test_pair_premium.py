"""One function composes the premium for bot, scan, doctor and research."""

import numpy as np
import pandas as pd
import pytest

from perp_imbalance.indicators.columns import premium_columns, spot_premium
from perp_imbalance.markets.pair_premium import pair_premium
from perp_imbalance.markets.spot_matching import SpotMatch

MATCH = SpotMatch("1000X/USDT:USDT", "X/USDT", 1000, "scale", None)


def candles(price: float, seed: int, timeframe: str = "1h") -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    dates = pd.date_range("2025-01-01", periods=60, freq=timeframe, tz="UTC")
    return pd.DataFrame({"date": dates, "close": price * rng.uniform(1, 1.01, 60), "volume": 1.0})


def test_columns_are_those_of_the_mathematics() -> None:
    perp, spot = candles(2000.0, 1), candles(2.0, 2)
    found = pair_premium(MATCH, perp, spot, "1h")
    wanted = premium_columns(spot_premium(perp, spot, 1000))
    assert found.refusal is None
    assert list(found.columns) == list(wanted)
    for name, values in wanted.items():
        np.testing.assert_array_equal(found.columns[name], values)
    assert found.htf is None


@pytest.mark.parametrize(
    ("match", "price", "said"),
    [
        (MATCH, 3.0, "not the same coin"),
        (SpotMatch("X/USDT:USDT", None, 1, None, "no spot pair of X"), None, "no spot pair of X"),
        (MATCH, None, "it has no 1h candle in which both it and X/USDT were traded"),
    ],
)
def test_refused_pair_has_no_premium(match: SpotMatch, price: float | None, said: str) -> None:
    spot = None if price is None else candles(price, 2)
    htf = (candles(2000.0, 1, "4h"), candles(2.0, 2, "4h"), "4h")
    found = pair_premium(match, candles(2000.0, 1), spot, "1h", htf=htf)
    assert said in str(found.refusal)
    assert all(np.isnan(values).all() for values in found.columns.values())
    assert found.htf is None


def test_higher_timeframe_without_a_premium_is_none() -> None:
    perp, spot = candles(2000.0, 1), candles(2.0, 2)
    higher = candles(2000.0, 3, "4h"), candles(2.0, 4, "4h")
    found = pair_premium(MATCH, perp, spot, "1h", htf=(*higher, "4h")).htf
    assert found is not None
    assert np.isfinite(found.premium).all()
    assert pair_premium(MATCH, perp, spot, "1h", htf=(higher[0], None, "4h")).htf is None
