"""Two measures of a premium are compared, and told of where they disagree."""

import math

import numpy as np
import pytest

from perp_imbalance.doctor import Level
from perp_imbalance.doctor.premium_checks import Comparison, check_comparison, compare_premiums
from perp_imbalance.indicators import PRESETS
from perp_imbalance.markets.spot_matching import SpotMatch

BALANCED = PRESETS["balanced"]
PERP = "X/USDT:USDT"
SPOT = SpotMatch(PERP, "X/USDT", 1, "identical", None)
INDEX = SpotMatch(PERP, PERP, 1, "premium_index", None, "premiumIndex")


def compare(noise: float, sign: float = 1.0) -> Comparison | None:
    rng = np.random.default_rng(4)
    premium = np.round(rng.normal(0, 5e-4, 459), 8)
    premium[::40] *= 6
    beside = sign * np.where(np.abs(premium) < 3e-4, 0.0, premium) + rng.normal(0, noise, 459)
    beside[7] = np.nan
    return compare_premiums(SPOT, premium, INDEX, beside, BALANCED)


def test_comparison_counts_extremes_of_equal_sign_and_zeros() -> None:
    found = compare(0.0)
    assert found is not None
    assert found.candles == 458
    assert found.correlation > 0.9
    assert found.extremes == 4
    assert found.equal_sign == 1.0
    assert 0.35 < found.zeros < 0.6
    opposed = compare(0.0, -1.0)
    assert opposed is not None
    assert (opposed.equal_sign, opposed.correlation) == (0.0, -found.correlation)


def test_too_few_candles_or_no_movement_compare_nothing() -> None:
    values = np.random.default_rng(1).normal(0, 1e-4, 40)
    assert compare_premiums(SPOT, values, INDEX, values, BALANCED) is None
    assert compare_premiums(SPOT, np.tile(values, 9), INDEX, np.zeros(360), BALANCED) is None


@pytest.mark.parametrize(
    ("correlation", "extremes", "equal_sign", "level"),
    [
        (0.9, 20, 1.0, Level.OK),
        (0.2, 20, 1.0, Level.WARNING),
        (0.9, 20, 0.6, Level.WARNING),
        (0.9, 5, 0.4, Level.OK),
        (0.9, 0, math.nan, Level.OK),
    ],
)
def test_disagreeing_premium_sources_are_a_warning(
    correlation: float, extremes: int, equal_sign: float, level: Level
) -> None:
    found = Comparison(400, correlation, extremes, equal_sign, 0.5)
    check = check_comparison(SPOT, INDEX, found)
    assert check.level is level
    assert check.message.startswith(f"the premium index of {PERP}: correlation {correlation:.2f}")
    assert "the premium index is 0 on 50% of them" in check.message
