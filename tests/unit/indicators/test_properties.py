"""What holds for any candles: no look-ahead, no poison, no dependence on where a window starts."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from perp_imbalance.indicators import Thresholds, entry_signals, exit_signals, imbalance_columns
from perp_imbalance.indicators.bands import bollinger_bands
from perp_imbalance.indicators.hysteresis import LONG, NONE, SHORT, entries, exits, hysteresis
from perp_imbalance.indicators.rolling import Bools, Floats, ema, rolling_mean_stdev
from perp_imbalance.indicators.signals import (
    ENTERED,
    NO_BIAS,
    NO_PREMIUM,
    NOT_FIRST,
    SIDE_OFF,
    SIDES,
    no_entry_reason,
    no_entry_reasons,
)
from perp_imbalance.indicators.zscore import z_score

SMALL = Thresholds(
    enter_z=1.2, exit_z=0.6, len_prem=8, smooth_len=3, bb_len=10, bb_k=0.8, use_htf=True, dev_len=6
)
ENTER_Z, EXIT_Z = 1.7, 0.9

# Values on, around and between the thresholds, so that edges are met often.
z_values = st.one_of(
    st.sampled_from([ENTER_Z, -ENTER_Z, EXIT_Z, -EXIT_Z, 0.0, 1.2, -1.2, np.nan]),
    st.floats(-3, 3),
)
z_series = st.integers(0, 60).flatmap(lambda size: arrays(np.float64, size, elements=z_values))


@st.composite
def markets(draw: st.DrawFn, hours: int = 160) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Perp and spot with gaps, frozen stretches, volume-0 candles and missing rows."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spot = 100 * np.exp(np.cumsum(random.normal(0, draw(st.sampled_from([0, 1e-3])), hours)))
    fraction = random.standard_t(3, hours) * draw(st.sampled_from([1e-9, 1e-4, 1e-2]))
    frozen = draw(st.slices(hours))
    fraction[frozen], spot[frozen] = 1e-3, 100.0
    date = pd.date_range("2024-01-01", periods=hours, freq="h", tz="UTC")
    perp_frame = pd.DataFrame({"date": date, "close": spot * (1 + fraction), "volume": 1.0})
    spot_frame = pd.DataFrame({"date": date, "close": spot, "volume": 1.0})
    share = draw(st.sampled_from([0.0, 0.1, 0.5]))
    spot_frame.loc[random.random(hours) < share, "volume"] = 0.0
    spot_frame.loc[random.random(hours) < share / 3, "close"] = np.nan
    perp_frame.loc[random.random(hours) < share / 5, "volume"] = 0.0
    spot_frame = spot_frame[random.random(hours) >= share / 3].reset_index(drop=True)
    return perp_frame, spot_frame


def signal(perp: pd.DataFrame, spot: pd.DataFrame, thresholds: Thresholds = SMALL) -> pd.DataFrame:
    """All columns, entries and exits, with a higher timeframe made of the same candles."""

    def higher(frame: pd.DataFrame) -> pd.DataFrame:
        if frame.empty:
            return frame
        groups = frame.resample("4h", on="date")
        last = groups.last()[groups.size() == 4]
        return last.dropna().reset_index()

    columns = imbalance_columns(
        perp,
        spot,
        thresholds=thresholds,
        timeframe="1h",
        htf=(higher(perp), higher(spot)),
        max_stale_candles=4,
    )
    table = columns.assign(close=perp["close"])
    return pd.concat([columns, entry_signals(table, thresholds), exit_signals(table)], axis=1)


@settings(max_examples=60)
@given(markets(), st.integers(1, 159), st.booleans())
def test_cutting_off_the_future_changes_no_earlier_value(
    market: tuple[pd.DataFrame, pd.DataFrame],
    rows: int,
    robust: bool,
) -> None:
    thresholds = replace(SMALL, robust_z=robust, min_deviation_bps=0.5)
    perp, spot = market
    now = perp["date"].iloc[rows - 1]
    past = signal(perp.iloc[:rows], spot[spot["date"] <= now], thresholds)
    whole = signal(perp, spot, thresholds)
    pd.testing.assert_frame_equal(past, whole.iloc[:rows], check_exact=True)


@settings(max_examples=60)
@given(markets())
def test_rows_without_a_premium_change_no_other_z(
    market: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    columns = signal(*market)
    fraction = columns["premium"].to_numpy()
    traded = np.isfinite(fraction)
    alone = z_score(fraction[traded], SMALL.len_prem, SMALL.smooth_len)
    np.testing.assert_array_equal(columns["z_raw"].to_numpy()[traded], alone.raw)
    np.testing.assert_array_equal(columns["z"].to_numpy()[traded], alone.z)
    assert not np.isfinite(columns["z"].to_numpy()[~traded]).any()


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 20, 39])
def test_one_bad_value_spoils_only_its_own_row(poison: float, row: int) -> None:
    values = np.random.default_rng(3).normal(0, 1, 40)
    poisoned = np.insert(values, row, poison)
    others = np.arange(41) != row
    functions: tuple[Callable[[Floats], Floats], ...] = (
        lambda x: rolling_mean_stdev(x, 5).stdev,
        lambda x: rolling_mean_stdev(x, 5).mean,
        lambda x: ema(x, 4),
        lambda x: bollinger_bands(x, 5, 2.0).upper,
        lambda x: z_score(x, 5, 2).z,
    )
    for function in functions:
        result = function(poisoned)
        assert np.isnan(result[row])
        np.testing.assert_array_equal(result[others], function(values))


@settings(max_examples=60)
@given(markets(), st.integers(-30, 30))
def test_scaling_all_prices_changes_nothing(
    market: tuple[pd.DataFrame, pd.DataFrame], exponent: int
) -> None:
    def scaled(frame: pd.DataFrame) -> pd.DataFrame:
        # A power of two leaves every digit as it was.
        return frame.assign(close=frame["close"] * 2.0**exponent)

    perp, spot = market
    prices = ["spot_close", "bb_middle", "bb_upper", "bb_lower"]
    before = signal(perp, spot)
    before[prices] *= 2.0**exponent
    after = signal(scaled(perp), scaled(spot))
    pd.testing.assert_frame_equal(after, before, check_exact=True)


def loop_bias(z: Floats, has_premium: Bools, max_stale_candles: int) -> list[int]:
    """Rules 5 and 6 of the specification, candle by candle."""
    bias, missing, result = NONE, 0, []
    for value, traded in zip(z, has_premium, strict=True):
        missing = 0 if traded else missing + 1
        if value >= ENTER_Z:
            bias = SHORT
        elif value <= -ENTER_Z:
            bias = LONG
        elif abs(value) < EXIT_Z or (max_stale_candles and missing >= max_stale_candles):
            bias = NONE
        result.append(bias)
    return result


def vector_bias(z: Floats, has_premium: Bools, max_stale_candles: int) -> Any:
    return hysteresis(
        z, has_premium, enter_z=ENTER_Z, exit_z=EXIT_Z, max_stale_candles=max_stale_candles
    )


@settings(max_examples=400)
@given(z_series, st.integers(0, 5))
def test_bias_follows_its_rules_candle_by_candle(z: Floats, max_stale_candles: int) -> None:
    has_premium = np.isfinite(z)
    expected = loop_bias(z, has_premium, max_stale_candles)
    assert vector_bias(z, has_premium, max_stale_candles).tolist() == expected


@settings(max_examples=200)
@given(z_series, st.data())
def test_premium_without_z_holds_the_bias(z: Floats, data: st.DataObject) -> None:
    has_premium = np.isfinite(z) | data.draw(arrays(np.bool_, z.size))
    assert vector_bias(z, has_premium, 3).tolist() == loop_bias(z, has_premium, 3)


@settings(max_examples=200)
@given(z_series, st.data())
def test_window_start_changes_no_bias_after_an_event(z: Floats, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, z.size))
    has_premium = np.isfinite(z)
    whole = vector_bias(z, has_premium, 4)[start:]
    window, seen = z[start:], has_premium[start:]
    part = vector_bias(window, seen, 4)
    missing_in_a_row = np.arange(seen.size) - np.maximum.accumulate(
        np.where(seen, np.arange(seen.size), -1)
    )
    events = (np.abs(window) >= ENTER_Z) | (np.abs(window) < EXIT_Z) | (missing_in_a_row >= 4)
    first = np.flatnonzero(events)
    if first.size:
        np.testing.assert_array_equal(part[first[0] :], whole[first[0] :])


def loop_entries(bias: Any, side: int, passes: Bools, mode: str) -> list[bool]:
    """Rule 9 of the specification, candle by candle."""
    before, entered, result = NONE, False, []
    for state, passed in zip(bias, passes, strict=True):
        begins = state != before
        entered = entered and not begins
        enters = bool(state == side and passed and not entered and (begins or mode == "zone"))
        entered = entered or enters
        result.append(enters)
        before = state
    return result


@settings(max_examples=400)
@given(z_series, st.sampled_from(sorted(SIDES)), st.sampled_from(["zone", "flip"]), st.data())
def test_entries_follow_their_rule_candle_by_candle(
    z: Floats, side: str, mode: Any, data: st.DataObject
) -> None:
    bias = vector_bias(z, np.isfinite(z), 3)
    passes = data.draw(arrays(np.bool_, z.size))
    found = entries(bias, SIDES[side], passes, mode)
    assert found.tolist() == loop_entries(bias, SIDES[side], passes, mode)


@given(z_series)
def test_every_zone_ends_in_one_exit_of_its_side(z: Floats) -> None:
    bias = vector_bias(z, np.isfinite(z), 3)
    for side in SIDES.values():
        runs = np.flatnonzero(np.diff(np.concatenate(([0], bias == side, [0]))) == -1)
        assert np.flatnonzero(exits(bias, side)).tolist() == runs[runs < bias.size].tolist()


@given(
    markets(), st.sampled_from(["zone", "flip"]), st.sampled_from([("short", "long"), ("long",)])
)
@settings(max_examples=60)
def test_biased_candle_enters_or_names_every_reason(
    market: tuple[pd.DataFrame, pd.DataFrame], mode: Any, sides: tuple[str, ...]
) -> None:
    table = signal(*market).assign(close=market[0]["close"])
    signals = entry_signals(table, SMALL, mode, sides)
    reasons = no_entry_reasons(table, SMALL, mode, sides)
    entered = (signals["enter_short"] + signals["enter_long"]).to_numpy() > 0
    first, already = False, False
    for row, at in enumerate(table.to_dict("records")):
        side = at["bias"]
        begins = row == 0 or side != table["bias"].iloc[row - 1]
        first, already = begins, already and not begins
        wanted = set()
        if side == NONE:
            wanted = {NO_BIAS}
        elif {SHORT: "short", LONG: "long"}[side] not in sides:
            wanted = {SIDE_OFF}
        else:
            if not np.isfinite(at["premium"]):
                wanted.add(NO_PREMIUM)
            edge = at["bb_upper"] if side == SHORT else at["bb_lower"]
            if not (at["bb_upper"] > at["bb_lower"] and side * (edge - at["close"]) >= 0):
                wanted.add("sigma gate")
            if not -side * at["htf_z"] >= SMALL.htf_z_min:
                wanted.add("HTF gate")
            if already:
                wanted.add(ENTERED)
            if mode == "flip" and not first:
                wanted.add(NOT_FIRST)
        assert {*filter(None, reasons[row].split(", "))} == wanted
        assert entered[row] == (not wanted)
        assert no_entry_reason(table, SMALL, row, mode, sides) == reasons[row]
        already = already or bool(entered[row])
