"""One function composes the premium for bot, scan, doctor and research."""

import numpy as np
import pandas as pd
import pytest

from perp_imbalance.indicators.columns import premium_columns, spot_premium
from perp_imbalance.markets.pair_premium import pair_premium, passed_over, settle
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


def test_higher_timeframe_without_a_premium_returns_none() -> None:
    perp, spot = candles(2000.0, 1), candles(2.0, 2)
    higher = candles(2000.0, 3, "4h"), candles(2.0, 4, "4h")
    found = pair_premium(MATCH, perp, spot, "1h", htf=(*higher, "4h")).htf
    assert found is not None
    assert np.isfinite(found.premium).all()
    assert pair_premium(MATCH, perp, spot, "1h", htf=(higher[0], None, "4h")).htf is None


PERP = "X/USDT:USDT"
PREMIUM_INDEX = SpotMatch(PERP, PERP, 1, "premium_index", None, "premiumIndex")
INDEX = SpotMatch(PERP, PERP, 1, "index", None, "index", others=(PREMIUM_INDEX,))
SPOT = SpotMatch(PERP, "X/USDT", 1, "identical", None, others=(INDEX, PREMIUM_INDEX))


@pytest.mark.parametrize(
    ("spot", "index", "source", "why"),
    [
        (2.0, 2.0, "spot", None),
        (6.0, 2.0, "index", "its price is 0.333 times that of X/USDT (scale 1): not the same coin"),
        (None, 2.0, "index", "it has no 1h candle in which both it and X/USDT were traded"),
        (6.0, None, "premiumIndex", "not the same coin; it has no 1h candle"),
        (None, None, "premiumIndex", "X/USDT were traded; it has no 1h candle"),
    ],
)
def test_wrong_price_is_passed_over_as_a_missing_pair_is(
    spot: float | None, index: float | None, source: str, why: str | None
) -> None:
    prices = {"spot": spot, "index": index, "premiumIndex": 1e-4}

    def given(match: SpotMatch) -> pd.DataFrame | None:
        price = prices[match.source]
        if price is None:
            return None
        frame = candles(price, 2)
        return frame.assign(open=frame["close"], high=frame["close"], low=frame["close"])

    found = settle(SPOT, candles(2.0, 1), given, "1h")
    assert found.source == source
    assert (why or "None") in str(found.passed_over)


def test_perp_candles_as_spot_are_reported() -> None:
    perp = candles(2.0, 1)
    assert passed_over(SPOT, perp, perp, "1h") is None
    assert "are those of the perp" in str(pair_premium(SPOT, perp, perp, "1h").refusal)


def test_failed_spot_request_does_not_mean_a_missing_pair() -> None:
    perp = candles(2.0, 1)
    assert passed_over(SPOT, perp, None, "1h", is_live=True) is None
    assert passed_over(INDEX, perp, None, "1h", is_live=True) is not None
    assert passed_over(INDEX, perp.iloc[:0], None, "1h") is None


def test_premium_index_of_zeros_is_not_taken_for_perp_candles() -> None:
    zeros = candles(1.0, 2).assign(close=0.0, open=0.0, high=1e-5, low=0.0)
    found = pair_premium(PREMIUM_INDEX, candles(2.0, 1), zeros, "1h")
    assert found.refusal is None
    assert (found.columns["premium"] == 0.0).all()
    assert np.isnan(found.columns["spot_close"]).all()
