"""A premium index is exactly 0 much of the time: z stays defined, and says nothing of the zeros."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from perp_imbalance.indicators import PRESETS, Thresholds
from perp_imbalance.indicators.columns import premium_columns, spot_premium, threshold_columns
from perp_imbalance.indicators.deviation import robust_z_score
from perp_imbalance.indicators.premium import index_premium
from perp_imbalance.indicators.rolling import MEMORY_CANDLES, Floats
from perp_imbalance.indicators.zscore import z_score

BALANCED = PRESETS["balanced"]
Z_SCORES: dict[str, Callable[[Floats], Floats]] = {
    "plain": lambda x: z_score(x, 50, 3, dead_zone=True).z,
    "robust": lambda x: robust_z_score(x, 200, 3, dead_zone=True).z,
}


def published(share: float, size: int = 2000, scale: float = 5e-4) -> Floats:
    """Return premiums of which so large a share lies inside the impact spread."""
    rng = np.random.default_rng(5)
    latent = np.zeros(size)
    for row, shock in enumerate(rng.normal(0, 1, size)):
        latent[row] = 0.8 * latent[row - 1] + shock
    beyond = np.abs(latent) - np.quantile(np.abs(latent), share)
    return np.asarray(scale * np.sign(latent) * np.maximum(beyond, 0.0))


def candles(closes: Floats, flat: bool = False) -> pd.DataFrame:
    dates = pd.date_range("2025-01-01", periods=closes.size, freq="1h", tz="UTC")
    reach = 0.0 if flat else 1e-5
    prices = {"open": closes, "high": closes + reach, "low": closes - reach, "close": closes}
    return pd.DataFrame({"date": dates, **prices, "volume": 0.0})


def columns_of(premium: Floats, thresholds: Thresholds) -> dict[str, Any]:
    """Return the columns of a perp with this premium index."""
    perp = candles(np.full(premium.size, 100.0)).assign(volume=1.0)
    columns = premium_columns(spot_premium(perp, candles(premium), source="premiumIndex"))
    return {
        **columns,
        **threshold_columns(perp, columns["premium"], columns["spot_close"], thresholds),
    }


def test_zeros_are_premiums_but_filled_candles_are_not() -> None:
    closes = np.array([0.0, 0.0, -2e-4, -2e-4, np.nan, 0.0])
    expected = [0.0, 0.0, -2e-4, np.nan, np.nan, 0.0]
    np.testing.assert_array_equal(index_premium(candles(closes, flat=True)), expected)
    np.testing.assert_array_equal(index_premium(candles(closes)), closes)


def test_premium_index_is_the_premium_without_spot_or_scale() -> None:
    premium = published(0.6, 300)
    perp = candles(np.full(300, 100.0)).assign(volume=1.0)
    perp.loc[7, "volume"] = 0.0
    found = spot_premium(perp, candles(premium), 1000, source="premiumIndex")
    assert np.isnan(found.spot_close).all()
    assert np.isnan(found.fraction[7])
    np.testing.assert_array_equal(np.delete(found.fraction, 7), np.delete(premium, 7))


@pytest.mark.parametrize("name", Z_SCORES)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_z_is_defined_and_bounded_on_zeros(name: str, share: float) -> None:
    z = Z_SCORES[name](published(share))[450:]
    assert np.isfinite(z).all()
    # Of a plain z, the window bounds it; a MAD of zeros would let a robust one grow to thousands.
    assert 1.0 < np.abs(z).max() < (7.0 if name == "plain" else 60.0)
    assert np.mean(np.abs(z) >= 4.0) < 0.08


@pytest.mark.parametrize("name", Z_SCORES)
def test_tiny_premium_after_zeros_is_not_extreme(name: str) -> None:
    premium = np.zeros(460)
    premium[-3:] = 2e-5
    assert np.abs(Z_SCORES[name](premium)[-3:]).max() < 1.0


def test_bias_ends_and_z_stays_while_the_premium_is_zero() -> None:
    premium = published(0.6, 400)
    premium[300:] = 0.0
    premium[300:303] = 0.01
    columns = columns_of(premium, BALANCED)
    assert columns["bias"][302] == -1
    assert (columns["bias"][310:] == 0).all()
    np.testing.assert_allclose(columns["z"][380:], 0.0, atol=1e-4)


@pytest.mark.parametrize("thresholds", [BALANCED, Thresholds(robust_z=True, dev_len=100)])
def test_later_candles_change_nothing(thresholds: Thresholds) -> None:
    premium = published(0.6)
    whole = columns_of(premium, thresholds)
    past = columns_of(premium[:1100], thresholds)
    for name, values in past.items():
        np.testing.assert_array_equal(values, whole[name][:1100], err_msg=name)


@pytest.mark.parametrize("row", [700, 1999])
def test_bot_that_starts_now_knows_the_robust_z(row: int) -> None:
    premium = published(0.9)
    loaded = premium[row + 1 - MEMORY_CANDLES : row + 1]
    score = Z_SCORES["robust"]
    np.testing.assert_allclose(score(loaded)[-1], score(premium)[row], rtol=1e-9)
