"""The messages about flips of the bias and crossings: which, and what they say."""

import numpy as np
import pandas as pd
import pytest

from perp_imbalance.strategy.alerts import (
    MOST_NAMED,
    TITLES,
    Alert,
    CrossingAlert,
    crossing_alert,
    flip_alert,
    messages,
)


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


def test_pairs_of_one_kind_share_a_message_the_largest_first() -> None:
    alerts = [
        *(Alert("Exit bias", f"C{size}", "z unknown", size, ", preset x") for size in (1, 3, 2)),
        Alert("Exit bias", "C?", "z unknown", np.nan, ", preset x"),
        Alert("Enter LONG bias", "C9", "z -2.00", 2.0),
    ]
    assert messages(alerts, 2) == [
        "Exit bias: 4 pairs: C3 (z unknown), C2 (z unknown) and 2 more, preset x",
        "Enter LONG bias: C9, z -2.00",
    ]
    assert messages([]) == []


def test_message_of_many_pairs_fits_telegram_and_discord() -> None:
    rule = CrossingAlert(kind="premium", level=0.123456)
    row = {"z": -12.345, "premium_pct": -99.123456, "deviation_bps": -9912.34, "close": 1 / 3e9}
    pair = "1000000LONGESTNAME/USDT:USDT"
    alerts = [crossing_alert(rule, -1, f"{pair}{number}", row) for number in range(450)]
    (message,) = messages(alerts)
    assert message.startswith("Premium below -0.123456 %: 450 pairs: ")
    assert message.endswith(f" and {450 - MOST_NAMED} more")
    assert len(message) < 2000
