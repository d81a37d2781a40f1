"""What an entry must still meet, what a scale-out closes, and what a protection may have."""

import inspect
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import freqtrade.exchange
import numpy as np
import pandas as pd
import pytest
from freqtrade.plugins.protections import IProtection
from freqtrade.resolvers import ProtectionResolver
from support.freqtrade import ROOT

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators.signals import reached_middle
from perp_imbalance.strategy.order_rules import (
    check_stoploss,
    closed_against,
    entry_refusal,
    misspelt_key,
    stake_to_close,
    stoploss_of_stake,
)


def refusal(seconds: float, rate: float, side: str) -> str | None:
    limits: dict[str, Any] = {"max_age": timedelta(seconds=120), "max_drift": 0.01}
    return entry_refusal(timedelta(seconds=seconds), rate, 100.0, side, **limits)


@pytest.mark.parametrize("seconds", [0, 119.9, 120])
@pytest.mark.parametrize(
    ("side", "rate"),
    # A better price passes, however much better.
    [
        *(("long", rate) for rate in (1.0, 70.0, 98.9, 100.0, 100.9)),
        *(("short", rate) for rate in (300.0, 130.0, 101.1, 100.0, 99.1)),
    ],
)
def test_entry_in_time_at_its_price_or_better_passes(
    seconds: float, side: str, rate: float
) -> None:
    assert refusal(seconds, rate, side) is None


@pytest.mark.parametrize(
    ("seconds", "rate", "side", "reason"),
    [
        (-1, 100.0, "long", "its candle has not closed"),
        (121, 100.0, "long", "its signal is 121 seconds old, more than the 120 allowed"),
        (1, 98.9, "short", "the price has fallen by 1.10 % since its signal, more than the 1 % al"),
        (1, 101.1, "long", "the price has risen by 1.10 % since its signal, more than the 1 % all"),
        (1, np.nan, "long", "the price has risen by nan % since its signal, more than the 1 % all"),
        (1, np.nan, "short", "the price has fallen by nan % since its signal, more than the 1 % "),
    ],
)
def test_entry_too_late_or_at_a_worse_price_is_refused(
    seconds: float, rate: float, side: str, reason: str
) -> None:
    assert str(refusal(seconds, rate, side)).startswith(reason)


@pytest.mark.parametrize(
    ("leverage", "stoploss"), [(1, -0.3), (2, -0.6), (3, -0.9), (3.1, -0.9), (5, -0.893564)]
)
def test_stoploss_of_the_price_grows_with_leverage(leverage: float, stoploss: float) -> None:
    assert stoploss_of_stake(-0.3, leverage) == stoploss


TIERS = json.loads(
    (Path(freqtrade.exchange.__file__).parent / "binance_leverage_tiers.json").read_bytes()
)
WHITELIST = json.loads((ROOT / "config" / "deep-discount.json").read_text("utf-8"))


@pytest.mark.parametrize("pair", WHITELIST["exchange"]["pair_whitelist"])
@pytest.mark.parametrize("buffer", [0.05, 0.2])
def test_stoploss_stands_before_liquidation(pair: str, buffer: float) -> None:
    """By Binance's own tiers and freqtrade's formula, for the smallest position of each pair."""
    tier = TIERS[pair][0]
    for leverage in (1, 2, 3, 4, 5, 8, 10, 20, 50, 75, tier["maxLeverage"], 150):
        stoploss = stoploss_of_stake(-0.3, leverage, buffer)
        allowed = min(leverage, tier["maxLeverage"])
        for side in (1, -1):
            price = (side - 1 / allowed) / (side - tier["maintenanceMarginRate"])
            room = abs(price - 1) * (1 - buffer)
            # It is rounded to six places.
            assert -stoploss / allowed <= room + 1e-6, (leverage, side)


@pytest.mark.parametrize(("leverage", "buffer"), [(300, 0.05), (1000, 0.05), (20, 0.98)])
def test_leverage_without_room_for_a_stoploss_is_refused(leverage: float, buffer: float) -> None:
    with pytest.raises(SettingsError, match=f"^leverage {leverage} leaves no room for a stopl"):
        stoploss_of_stake(-0.3, leverage, buffer)


@pytest.mark.parametrize("stoploss", [0.0, 0.3, -1.01, -30.0, np.nan, np.inf, -np.inf])
def test_stoploss_outside_the_stake_is_refused(stoploss: float) -> None:
    with pytest.raises(
        SettingsError, match=f"^stoploss is {stoploss:g}, it must be from -1 to bel"
    ):
        check_stoploss(stoploss)


@pytest.mark.parametrize(
    ("side", "close", "is_closed"),
    [
        ("long", 95.0, True),
        ("long", 94.0, True),
        ("long", 95.01, False),
        ("long", 106.0, False),
        ("short", 105.01, True),
        ("short", 104.99, False),
        ("short", 94.0, False),
        ("long", np.nan, False),
    ],
)
def test_close_against_a_position(side: str, close: float, is_closed: bool) -> None:
    assert closed_against(close, 100.0, side, 0.05) == is_closed


@pytest.mark.parametrize(
    ("stake", "share", "min_stake", "part"),
    [
        (100, 0.5, None, 50),
        (100, 0.25, 25, 25),
        (100, 0.25, 26, None),
        (100, 0.75, 26, None),
    ],
)
def test_scale_out_leaves_no_part_below_the_smallest_stake(
    stake: float, share: float, min_stake: float | None, part: float | None
) -> None:
    assert stake_to_close(stake, share, min_stake) == part


@pytest.mark.parametrize(
    ("side", "closes", "reached"),
    [
        ("short", [11, 10.5, 10], True),
        ("short", [11, 10.5, 10.1], False),
        ("long", [9, 9.5, 10], True),
        ("long", [9, 9.5, 9.9], False),
        # Entered beyond the middle: nothing to come back to.
        ("short", [9, 9.5, 9.9], False),
        ("long", [11, 10.5, 10], False),
        # It went out and came back.
        ("short", [9, 11, 9.9], True),
        ("short", [11], False),
        ("long", [], False),
    ],
)
def test_middle_is_reached_from_the_outer_side_only(
    side: str, closes: list[float], reached: bool
) -> None:
    rows = pd.DataFrame({"close": np.array(closes, dtype=float), "bb_middle": 10.0})
    assert reached_middle(rows, side) is reached


def test_bands_without_a_value_are_never_reached() -> None:
    rows = pd.DataFrame({"close": [11.0, 9.0], "bb_middle": [np.nan, np.nan]})
    assert not reached_middle(rows, "short")


_READ = re.compile(r'"(\w+)" in protection_config|protection_config\.get\(\s*"(\w+)"')


def keys_read_by(source: str) -> set[str]:
    """Return what freqtrade's source of a protection takes from its entry."""
    return {name for found in _READ.findall(source) for name in found} - {""}


def test_protection_keys_are_those_freqtrade_reads() -> None:
    """By its sources: a key that a newer freqtrade adds would be refused as misspelt."""
    found = ProtectionResolver.search_all_objects({}, enum_failed=False)
    sources = {str(each["name"]): Path(each["location"]).read_text("utf-8") for each in found}
    assert len(sources) == 4
    every = keys_read_by(inspect.getsource(IProtection)) | {"method"}
    read = {name: every | keys_read_by(source) for name, source in sources.items()}
    unread_but_in_its_example = {"LowProfitPairs": {"only_per_pair"}}
    for name, keys in read.items():
        for key in set().union(*read.values()):
            said = misspelt_key({"method": name, key: name if key == "method" else 1})
            is_known = key in keys | unread_but_in_its_example.get(name, set())
            assert (said is None) is is_known, (name, key)


def test_method_that_is_not_known_is_left_to_freqtrade() -> None:
    assert misspelt_key({"method": "CoolDown", "anything": 1}) is None
    assert misspelt_key({"anything": 1}) is None
