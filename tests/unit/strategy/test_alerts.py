"""The messages about flips of the bias: which, and what they say."""

import numpy as np
import pandas as pd
import pytest

from perp_imbalance.strategy.alerts import TITLES, flip_alert, messages


def message(*bias: int, z: float = 2.0, premium_pct: float = 0.1) -> str | None:
    candles = pd.DataFrame({"bias": bias, "z": z, "premium_pct": premium_pct, "close": 0.0013333})
    flip = flip_alert(candles, pair="X/USDT:USDT", preset="balanced", kinds=TITLES)
    return messages([flip])[0] if flip else None


@pytest.mark.parametrize(
    ("bias", "title"),
    [
        ((0, -1), "Enter SHORT bias"),
        ((0, 1), "Enter LONG bias"),
        ((-1, 0), "Exit bias"),
        ((1, 0), "Exit bias"),
        ((-1, 1), "Enter LONG bias"),
        ((1, -1), "Enter SHORT bias"),
        ((-1,), "Enter SHORT bias"),
    ],
)
def test_flip_is_told_by_its_name(bias: tuple[int, ...], title: str) -> None:
    found = message(*bias)
    assert found == f"{title}: X/USDT:USDT, z +2.00, premium +0.100 %, price 0.0013333, " + (
        "preset balanced"
    )


@pytest.mark.parametrize("bias", [(0, 0), (-1, -1), (1, 1), (-1, 0, 0), (0,)])
def test_candle_without_a_flip_has_no_message(bias: tuple[int, ...]) -> None:
    assert message(*bias) is None


def test_flip_without_a_premium_says_so() -> None:
    found = message(-1, 0, z=np.nan, premium_pct=np.nan)
    assert found is not None
    assert "z unknown, premium unknown" in found
