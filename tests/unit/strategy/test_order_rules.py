"""What an entry must still meet, what a scale-out closes, and what a protection may have."""

import inspect
import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from freqtrade.plugins.protections import IProtection
from freqtrade.resolvers import ProtectionResolver

from perp_imbalance.indicators.signals import reached_middle
from perp_imbalance.strategy.order_rules import entry_refusal, misspelt_key, stake_to_close


def refusal(seconds: float, rate: float) -> str | None:
    return entry_refusal(
        timedelta(seconds=seconds), rate, 100.0, max_age=timedelta(seconds=120), max_drift=0.01
    )


@pytest.mark.parametrize("seconds", [0, 119.9, 120])
@pytest.mark.parametrize("rate", [99.1, 100.0, 100.9])
def test_entry_in_time_and_near_its_signal_is_not_refused(seconds: float, rate: float) -> None:
    assert refusal(seconds, rate) is None


@pytest.mark.parametrize(
    ("seconds", "rate", "reason"),
    [
        (121, 100.0, "its signal is 121 seconds old, more than the 120 allowed"),
        (1, 98.9, "the price has moved by -1.10 % since its signal, more than the 1 % allowed"),
        (1, 101.1, "the price has moved by +1.10 % since its signal, more than the 1 % allowed"),
        (1, np.nan, "the price has moved by +nan % since its signal, more than the 1 % allowed"),
    ],
)
def test_entry_that_comes_too_late_is_refused(seconds: float, rate: float, reason: str) -> None:
    assert refusal(seconds, rate) == reason


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
