"""A scan of a whole exchange takes little computing."""

import time

import pytest
from support.scan import market, rules

from perp_imbalance.indicators import PRESETS
from perp_imbalance.scan.fetch import candles_needed
from perp_imbalance.scan.rank import rank

PAIRS, COMPUTING_SECONDS = 450, 2.0


@pytest.mark.parametrize("preset", ["balanced", "conservative"])
def test_450_pairs_take_less_than_two_seconds_of_computing(preset: str) -> None:
    matches, given = market(PAIRS, candles_needed(PRESETS[preset]))
    took = []
    for _ in range(3):
        began = time.process_time()
        found = rank(matches, given, rules(preset), 20)
        took.append(time.process_time() - began)
    assert found.ranked == PAIRS
    print(f"{preset}: {PAIRS} pairs in {min(took):.2f} s of computing")
    assert min(took) < COMPUTING_SECONDS
