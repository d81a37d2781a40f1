"""Edges of single functions: frozen prices, tiny premiums, fresh prices, closed candles, gates."""

import importlib
import pkgutil
from typing import Any

import numpy as np
import pandas as pd
import pytest

import perp_imbalance.indicators
from perp_imbalance.errors import DataError, SettingsError
from perp_imbalance.indicators import Thresholds, entry_signals, exit_signals, imbalance_columns
from perp_imbalance.indicators.bands import bollinger_bands
from perp_imbalance.indicators.higher_timeframe import (
    align_higher_timeframe,
    check_higher,
    timeframe_ns,
)
from perp_imbalance.indicators.hysteresis import LONG, SHORT, zone_starts
from perp_imbalance.indicators.premium import (
    is_perp_itself,
    is_same_coin,
    on_rows_of,
    open_times,
    price_ratio,
    traded_close,
)
from perp_imbalance.indicators.rolling import rolling_mean_stdev
from perp_imbalance.indicators.signals import gate_passes, overdue_exit, reached_middle
from perp_imbalance.indicators.zscore import MIN_STDEV, z_score

MODULES = [
    module.name
    for module in pkgutil.iter_modules(
        perp_imbalance.indicators.__path__, f"{perp_imbalance.indicators.__name__}."
    )
]


def test_indicators_import_no_freqtrade() -> None:
    names = {
        name
        for module in MODULES
        for value in vars(importlib.import_module(module)).values()
        if (name := getattr(value, "__module__", None) or getattr(value, "__name__", ""))
    }
    assert not {name for name in names if str(name).startswith("freqtrade")}


@pytest.mark.parametrize("price", [0.1, 40000.1, 1e-6 / 3])
def test_bands_coincide_on_a_frozen_price(price: float) -> None:
    close = np.concatenate([price * np.linspace(0.5, 2, 300), np.full(300, price)])
    bands = bollinger_bands(close, 100, 1.25)
    frozen = slice(300 + 99, None)
    assert (bands.upper[frozen] == bands.lower[frozen]).all()
    assert (bands.upper[200:300] > bands.lower[200:300]).all()


@pytest.mark.parametrize("level", [0.0, 1e-4, 0.05, -0.3])
def test_constant_premium_has_no_z(level: float) -> None:
    random = np.random.default_rng(1).normal(0, 0.05, 200)
    z = z_score(np.concatenate([random, np.full(200, level)]), 50, 1).z
    assert np.isfinite(z[49:200]).all()
    assert np.isnan(z[200 + 49 :]).all()


@pytest.mark.parametrize("stdev", [1e-9, 1e-8, 1e-5])
def test_tiny_premium_has_the_z_of_a_large_one(stdev: float) -> None:
    shape = np.random.default_rng(2).normal(0, 1, 300)
    np.testing.assert_allclose(z_score(shape * stdev, 50, 3).z, z_score(shape, 50, 3).z, rtol=1e-9)
    assert np.isnan(z_score(shape * MIN_STDEV / 10, 50, 3).z).all()


def test_stdev_after_a_spike_equals_the_one_of_its_window() -> None:
    values = np.random.default_rng(5).normal(0, 1e-4, 400)
    values[100] = 1e4
    stdev = rolling_mean_stdev(values, 20).stdev
    expected = pd.Series(values[110:]).rolling(20).std(ddof=0).to_numpy()[19:]
    np.testing.assert_allclose(stdev[129:], expected, rtol=1e-6)


def test_closes_without_a_trade_are_not_fresh() -> None:
    candles = pd.DataFrame(
        {
            "close": [1.0, 0.0, -1.0, np.nan, np.inf, 1.0, 1.0, 2.0],
            "volume": [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, np.nan, 3.0],
        }
    )
    fresh = traded_close(candles)
    assert fresh[[0, 7]].tolist() == [1.0, 2.0]
    assert np.isnan(fresh[1:7]).all()


def test_volume_decides_whether_a_close_is_fresh() -> None:
    close = pd.Series([2.0, 2.0, 2.0, 3.0, 3.0, 3.0])
    candles = pd.DataFrame({"open": close, "high": close, "low": close, "close": close})
    # Traded at the close before, and filled in by freqtrade.
    candles["volume"] = [1.0, 1.0, 0.0, 1.0, 1.0, 0.0]
    np.testing.assert_array_equal(traded_close(candles), [2.0, 2.0, np.nan, 3.0, 3.0, np.nan])


def test_prices_decide_whether_the_close_of_an_index_is_fresh() -> None:
    close = pd.Series([2.0, 2.0, 2.0, 3.0, 3.0, 3.0])
    candles = pd.DataFrame({"open": close, "high": close, "low": close, "close": close})
    # Not flat: both only ended where the candle before did.
    candles.loc[4, "open"] = 2.5
    candles.loc[5, "low"] = 2.9
    index = candles.assign(volume=0.0)
    assert np.isnan(traded_close(index)).all()
    expected = [2.0, np.nan, np.nan, 3.0, 3.0, 3.0]
    np.testing.assert_array_equal(traded_close(index, by_volume=False), expected)


def test_values_meet_only_rows_of_the_same_time() -> None:
    rows, times = np.array([1, 2, 3, 5]), np.array([0, 2, 5])
    result = on_rows_of(rows, times, np.array([10.0, 20.0, 50.0]))
    np.testing.assert_array_equal(result, [np.nan, 20.0, np.nan, 50.0])
    assert np.isnan(on_rows_of(rows, np.array([], dtype=np.int64), np.array([]))).all()


@pytest.mark.parametrize("order", [[1, 0], [0, 0]])
def test_candles_out_of_order_are_refused(order: list[int]) -> None:
    dates = pd.Series(pd.date_range("2024", periods=2, freq="h", tz="UTC"))[order]
    with pytest.raises(DataError, match="the spot candles are not in order of time or repeat one"):
        open_times(pd.DataFrame({"date": dates}), "spot")


@pytest.mark.parametrize(
    ("ratio", "same"),
    [(1.0, True), (0.81, True), (1.19, True), (0.79, False), (1.21, False), (np.nan, False)],
)
def test_price_check_refuses_pairs_that_names_accept(ratio: float, same: bool) -> None:
    assert is_same_coin(ratio) is same


@pytest.mark.parametrize(
    ("equal", "is_perp"), [(100, True), (90, True), (89, False), (30, False), (0, False)]
)
def test_perp_candles_are_not_spot_candles(equal: int, is_perp: bool) -> None:
    fraction = np.where(np.arange(100) < equal, 0.0, 1e-4)
    assert is_perp_itself(np.append(fraction, np.nan)) is is_perp


def test_perp_without_a_premium_is_not_its_own_spot() -> None:
    assert not is_perp_itself(np.array([np.nan]))


def test_price_ratio_is_the_median_of_what_was_traded() -> None:
    assert price_ratio(np.array([np.nan, 0.5, 1.0, 9.0])) == 2.0
    assert np.isnan(price_ratio(np.array([np.nan])))


@pytest.mark.parametrize(
    ("timeframe", "first"), [("5m", "2024-01-01 03:55"), ("1h", "2024-01-01 03:00")]
)
def test_htf_candle_is_visible_at_its_close(timeframe: str, first: str) -> None:
    rows = pd.date_range("2024-01-01", "2024-01-01 12:00", freq=timeframe.replace("m", "min"))
    htf = pd.date_range("2024-01-01", periods=2, freq="4h")
    known = align_higher_timeframe(
        rows.as_unit("ns").asi8, timeframe, htf.as_unit("ns").asi8, "4h", np.array([1.0, 2.0])
    )
    visible = pd.Series(known, index=rows)
    before_second = pd.Timestamp(first) + pd.Timedelta("4h") - pd.Timedelta("1min")
    assert visible[: pd.Timestamp(first) - pd.Timedelta("1min")].isna().all()
    assert (visible[first:before_second] == 1.0).all()
    last = pd.Timestamp(first) + pd.Timedelta("8h") - pd.Timedelta("1min")
    assert (visible[before_second + pd.Timedelta("1min") : last] == 2.0).all()
    # The third one never came: its predecessor is not news for ever.
    assert visible[last:].isna().all()


@pytest.mark.parametrize(
    ("timeframe", "higher"), [("1h", "1h"), ("1h", "90m"), ("4h", "1h"), ("1h", "1M"), ("1h", "x")]
)
def test_higher_timeframe_must_be_a_longer_multiple(timeframe: str, higher: str) -> None:
    with pytest.raises(SettingsError, match=r"multiple|is not a timeframe"):
        check_higher(timeframe, higher)


def test_timeframes_have_their_length() -> None:
    minutes = {name: timeframe_ns(name) // (60 * 10**9) for name in ("5m", "4h", "1d", "1w")}
    assert minutes == {"5m": 5, "4h": 240, "1d": 1440, "1w": 10080}


def test_zone_begins_where_the_bias_takes_a_side() -> None:
    assert zone_starts(np.array([0, -1, -1, 1, 0, 0, 1, 1])).tolist() == [1, 3, 6]
    assert zone_starts(np.array([1, 1, 0])).tolist() == [0]


def table(**columns: Any) -> pd.DataFrame:
    """Candles at which everything lets a SHORT pass, unless a column says otherwise."""
    defaults = {
        **{"close": 102.0, "premium": 0.01, "bb_upper": 101.0, "bb_lower": 99.0},
        **{"htf_z": 1.0, "bias": -1},
    }
    rows = max(len(np.atleast_1d(values)) for values in columns.values())
    return pd.DataFrame({**defaults, **columns}, index=range(rows))


ALL_GATES = Thresholds(use_htf=True, htf_z_min=0.8)


@pytest.mark.parametrize(
    ("columns", "short", "long"),
    [
        ({"close": [102.0]}, True, False),
        ({"close": [101.0]}, True, False),
        ({"close": [100.9]}, False, False),
        ({"close": [99.0], "htf_z": -0.8}, False, True),
        ({"close": [99.0], "htf_z": -0.7}, False, False),
        ({"htf_z": [0.8]}, True, False),
        ({"htf_z": [0.79]}, False, False),
        ({"htf_z": [np.nan]}, False, False),
        ({"bb_upper": [np.nan]}, False, False),
        ({"close": [np.nan]}, False, False),
        ({"premium": [np.nan]}, False, False),
        ({"close": [100.0], "bb_upper": 100.0, "bb_lower": 100.0}, False, False),
    ],
)
def test_gates_pass_what_their_rule_says(columns: dict[str, Any], short: bool, long: bool) -> None:
    passes = gate_passes(table(**columns), ALL_GATES)
    assert (bool(passes[SHORT][0]), bool(passes[LONG][0])) == (short, long)


def test_gates_that_are_off_request_nothing() -> None:
    off = Thresholds(use_sigma=False, use_htf=False)
    passes = gate_passes(table(close=[100.0], htf_z=np.nan), off)
    assert passes[SHORT][0]
    assert passes[LONG][0]


@pytest.mark.parametrize(
    ("thresholds", "tag"),
    [
        (ALL_GATES, "short_zone_z_sigma_htf"),
        (Thresholds(), "short_zone_z_sigma"),
        (Thresholds(use_sigma=False), "short_zone_z"),
    ],
)
def test_entry_tag_names_side_mode_and_reason(thresholds: Thresholds, tag: str) -> None:
    signals = entry_signals(table(bias=[-1, -1]), thresholds)
    assert signals["enter_short"].tolist() == [1, 0]
    assert signals["enter_tag"].tolist() == [tag, None]


def test_side_that_is_switched_off_is_not_entered() -> None:
    signals = entry_signals(table(bias=[-1]), Thresholds(), sides=["long"])
    assert signals.to_dict("list") == {"enter_short": [0], "enter_long": [0], "enter_tag": [None]}


def test_exit_tag_says_why_the_bias_left() -> None:
    premium = np.array([0.1, 0.1, 0.1, np.nan, 0.1, 0.1])
    signals = exit_signals(table(bias=[-1, 1, 1, 0, -1, 0], premium=premium))
    assert signals["exit_short"].tolist() == [0, 1, 0, 0, 0, 1]
    assert signals["exit_long"].tolist() == [0, 0, 0, 1, 0, 0]
    assert signals["exit_tag"].tolist() == [None, "flipped", None, "stale_spot", None, "cooled"]


def test_bias_ends_at_max_stale_candles() -> None:
    hours = 140
    date = pd.date_range("2024-01-01", periods=hours, freq="h", tz="UTC")
    spot_close = np.full(hours, 100.0) + np.tile([0.0, 0.01], hours // 2)
    perp = pd.DataFrame({"date": date, "close": 100.0, "volume": 1.0})
    perp.loc[100:, "close"] = 101.0
    spot = pd.DataFrame({"date": date, "close": spot_close, "volume": 1.0})
    spot.loc[102:, "volume"] = 0.0
    for limit, last in ((12, 112), (5, 105), (0, 139)):
        bias = imbalance_columns(perp, spot, max_stale_candles=limit)["bias"].to_numpy()
        assert np.flatnonzero(bias == SHORT).tolist() == list(range(100, last + 1))


def test_columns_are_those_of_the_specification() -> None:
    date = pd.date_range("2024-01-01", periods=3, freq="h", tz="UTC")
    candles = pd.DataFrame({"date": date, "close": 100.0, "volume": 1.0}, index=[7, 8, 9])
    columns = imbalance_columns(candles, candles)
    assert list(columns) == [
        *("spot_close", "premium", "premium_pct", "z_raw", "z"),
        *("bb_middle", "bb_upper", "bb_lower", "bias", "htf_z", "deviation_bps"),
    ]
    assert columns.index.tolist() == [7, 8, 9]
    assert columns["bias"].tolist() == [0, 0, 0]


NAN = np.nan


@pytest.mark.parametrize(
    ("bias", "premium", "age", "reason"),
    [
        ([-1, -1], [0.1, 0.1], 5, None),
        ([-1, 0], [0.1, 0.1], 5, "cooled"),
        ([-1, 0, 0], [0.1, 0.1, NAN], 5, "cooled"),
        ([-1, 0, 0], [0.1, NAN, NAN], 5, "stale_spot"),
        ([-1, 0, 0], [0.1, NAN, 0.1], 5, "stale_spot"),
        ([-1, 1, 1], [0.1, 0.1, 0.1], 5, "flipped"),
        ([0, 0], [0.1, 0.1], 5, "cooled"),
        ([0, 0], [NAN, NAN], 5, None),
        ([0, 0], [NAN, NAN], 12, "stale_spot"),
    ],
)
def test_missed_exit_closes_the_position_later(
    bias: list[int], premium: list[float], age: int, reason: str | None
) -> None:
    columns = table(bias=bias, premium=premium)
    assert overdue_exit(columns, "short", age, max_stale_candles=12) == reason


@pytest.mark.parametrize(
    ("bias", "since_signal", "reason"),
    [
        ([-1, 0, 0, 0], 3, None),
        ([-1, 0, 0, 1], 2, None),
        ([-1, 0, 0, 0], 4, "cooled"),
        ([0, -1, 0, 0], 3, "cooled"),
        ([0, 0, 0, 0], None, "cooled"),
        ([-1, 0, 0, 0], 0, None),
    ],
)
def test_manual_position_without_a_bias_is_left_alone(
    bias: list[int], since_signal: int | None, reason: str | None
) -> None:
    columns = table(bias=bias, premium=[0.1] * len(bias))
    assert overdue_exit(columns, "short", 3, 12, since_signal) == reason


def test_unknown_bias_ends_nothing_where_the_stale_rule_is_off() -> None:
    columns = table(bias=[0], premium=[NAN])
    assert overdue_exit(columns, "long", 999, max_stale_candles=0) is None


@pytest.mark.parametrize(
    ("close", "reached"),
    [([9.0, 8.0], True), ([9.0, 8.1], False), ([8.0, 8.0], False), ([7.0, 9.0, 8.0], True)],
)
def test_middle_is_reached_from_beyond_it_only(close: list[float], reached: bool) -> None:
    rows = pd.DataFrame({"close": close, "bb_middle": 8.0})
    assert reached_middle(rows, "short") is reached
    assert reached_middle(rows.assign(close=16.0 - rows["close"]), "long") is reached
