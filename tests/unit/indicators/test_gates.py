"""Gates: one object each, from which signals, tags, reasons, sweep and scan follow."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from perp_imbalance.indicators import Thresholds, entry_signals, gates
from perp_imbalance.indicators.columns import threshold_columns
from perp_imbalance.indicators.gates import GATES, OPTIONAL_GATES, Gate, Passes, active_gates
from perp_imbalance.indicators.hysteresis import SHORT
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.indicators.signals import NO_PREMIUM, no_entry_reasons
from perp_imbalance.indicators.signals import gates as passes_of
from perp_imbalance.indicators.thresholds import THRESHOLD_NAMES
from perp_imbalance.markets.spot_matching import SpotMatch
from perp_imbalance.research import screen
from perp_imbalance.research.pair_history import PairHistory
from perp_imbalance.strategy.settings import Settings

EVERY = Thresholds(use_htf=True, use_funding=True, use_oi=True)
WIDE = {"premium": 0.001, "close": 1.0, "bb_upper": 0.5, "bb_lower": 0.25}
WIDE |= {"htf_z": 9.0, "funding_rate": 9.0, "oi_change": 9.0}


def test_names_that_users_read_stay() -> None:
    """They stand in tags, charts, JSON and configs."""
    assert [(gate.name, gate.tag, gate.switch) for gate in GATES] == [
        ("sigma gate", "sigma", "use_sigma"),
        ("HTF gate", "htf", "use_htf"),
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


def _deviation(thresholds: Thresholds, deviation: Floats) -> Passes:
    return deviation >= thresholds.funding_min, deviation <= -thresholds.funding_min


#: A gate as somebody adds it: on where a number is above 0, with a column of its own.
DEVIATION = Gate(
    name="deviation gate",
    tag="deviation",
    switch="funding_min",
    thresholds=("funding_min", "oi_len"),
    columns=("deviation",),
    passes=_deviation,
    source="premium",
    derive=lambda thresholds, premium: (premium - np.median(premium)) * thresholds.oi_len,
)


@pytest.fixture
def with_deviation(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (gates, screen):
        monkeypatch.setattr(module, "GATES", (*GATES, DEVIATION))


@pytest.mark.usefixtures("with_deviation")
@pytest.mark.parametrize("minimum", [0.0, 0.02])
def test_new_gate_is_known_to_signals_reasons_and_sweep(minimum: float) -> None:
    rng = np.random.default_rng(3)
    premium = rng.normal(0, 1e-3, 2000)
    dates = pd.date_range("2025-01-01", periods=premium.size, freq="1h", tz="UTC")
    close = 100 * (1 + premium)
    perp = pd.DataFrame({"date": dates, "open": close, "close": close, "volume": 1.0})
    thresholds = replace(Thresholds(use_sigma=False), funding_min=minimum)
    computed = threshold_columns(perp, premium, np.full(premium.size, 100.0), thresholds)
    columns = perp.assign(premium=premium, **computed)
    assert ("deviation" in columns) == (minimum > 0)
    signals = entry_signals(columns, thresholds)
    entered = signals["enter_short"] == 1
    assert entered.any()
    wanted = "short_zone_z_deviation" if minimum else "short_zone_z"
    assert set(signals["enter_tag"][entered]) == {wanted}
    assert set(passes_of(columns, thresholds)) - {NO_PREMIUM} == (
        {"deviation gate"} if minimum else set()
    )
    reasons = set(", ".join(no_entry_reasons(columns, thresholds)).split(", "))
    assert ("deviation gate" in reasons) == (minimum > 0)

    match = SpotMatch("X/USDT:USDT", "X/USDT", 1, "identical", None)
    none = np.zeros(premium.size)
    history = PairHistory(match, "1h", perp, premium, close, None, none, {}, 0)
    swept = screen.Screen(history, Settings(), [1], 0.0)
    np.testing.assert_array_equal(
        swept.entries_of(thresholds, "short"), np.flatnonzero(signals["enter_short"])
    )
