"""Gates: one object each, from which signals, tags, reasons, sweep and scan follow."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from perp_imbalance.indicators import Thresholds, entry_signals
from perp_imbalance.indicators.columns import threshold_columns
from perp_imbalance.indicators.gates import GATES, OPTIONAL_GATES, Gate, active_gates
from perp_imbalance.indicators.hysteresis import SHORT
from perp_imbalance.indicators.signals import NO_PREMIUM, no_entry_reasons
from perp_imbalance.indicators.signals import gates as passes_of
from perp_imbalance.indicators.thresholds import THRESHOLD_NAMES
from perp_imbalance.markets.spot_matching import SpotMatch
from perp_imbalance.research.pair_history import PairHistory
from perp_imbalance.research.screen import Screen
from perp_imbalance.strategy.settings import Settings

EVERY = Thresholds(use_htf=True, use_funding=True, use_oi=True, min_deviation_bps=10)
WIDE = {"premium": 0.001, "close": 1.0, "bb_upper": 0.5, "bb_lower": 0.25}
WIDE |= {"htf_z": 9.0, "funding_rate": 9.0, "oi_change": 9.0, "deviation_bps": 99.0}


def test_names_that_users_read_stay() -> None:
    """They stand in tags, charts, JSON and configs."""
    assert [(gate.name, gate.tag, gate.switch) for gate in GATES] == [
        ("sigma gate", "sigma", "use_sigma"),
        ("HTF gate", "htf", "use_htf"),
        ("deviation gate", "deviation", "min_deviation_bps"),
        ("funding gate", "funding", "use_funding"),
        ("open interest gate", "oi", "use_oi"),
    ]
    assert OPTIONAL_GATES == {"use_funding": ("funding_min",), "use_oi": ("oi_len", "oi_min")}
    assert active_gates(EVERY) == list(GATES)


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.tag)
def test_gate_passes_nothing_where_its_column_is_unknown(gate: Gate) -> None:
    rows = pd.DataFrame([WIDE])
    assert passes_of(rows, EVERY)[gate.name][SHORT].all()
    unknown = rows.assign(**{gate.columns[0]: np.nan})
    assert not np.any(list(passes_of(unknown, EVERY)[gate.name].values()))
    assert {gate.switch, *gate.thresholds} <= set(THRESHOLD_NAMES)


@pytest.mark.parametrize("minimum", [0.0, 15.0])
@pytest.mark.parametrize("robust", [False, True])
def test_deviation_gate_is_known_to_signals_reasons_and_sweep(
    minimum: float, *, robust: bool
) -> None:
    rng = np.random.default_rng(3)
    premium = rng.normal(0, 1e-3, 2000)
    dates = pd.date_range("2025-01-01", periods=premium.size, freq="1h", tz="UTC")
    close = 100 * (1 + premium)
    perp = pd.DataFrame({"date": dates, "open": close, "close": close, "volume": 1.0})
    # A low enter_z: the first candles of some zones are not deep enough.
    thresholds = Thresholds(
        enter_z=0.5, exit_z=0.2, use_sigma=False, min_deviation_bps=minimum, robust_z=robust
    )
    computed = threshold_columns(perp, premium, np.full(premium.size, 100.0), thresholds)
    columns = perp.assign(premium=premium, **computed)
    signals = entry_signals(columns, thresholds)
    entered = signals["enter_short"] == 1
    assert entered.any()
    assert (columns["deviation_bps"][entered].min() >= 15) == (minimum > 0)
    assert columns["deviation_bps"][signals["enter_long"] == 1].max() <= -minimum or not minimum
    wanted = "short_zone_z_deviation" if minimum else "short_zone_z"
    assert set(signals["enter_tag"][entered]) == {wanted}
    # A later candle of a zone may enter where the first does not pass.
    first = (columns["bias"] == SHORT) & (columns["bias"].shift(1) != SHORT)
    assert (entered & ~first).any() == (minimum > 0)
    assert set(passes_of(columns, thresholds)) - {NO_PREMIUM} == (
        {"deviation gate"} if minimum else set()
    )
    reasons = set(", ".join(no_entry_reasons(columns, thresholds)).split(", "))
    assert ("deviation gate" in reasons) == (minimum > 0)

    match = SpotMatch("X/USDT:USDT", "X/USDT", 1, "identical", None)
    none = np.zeros(premium.size)
    history = PairHistory(match, "1h", perp, premium, close, None, none, {}, 0)
    swept = Screen(history, Settings(), [1], 0.0)
    # What differs in the number alone is not taken from what was kept.
    swept.entries_of(replace(thresholds, min_deviation_bps=minimum + 5), "short")
    np.testing.assert_array_equal(
        swept.entries_of(thresholds, "short"), np.flatnonzero(signals["enter_short"])
    )
