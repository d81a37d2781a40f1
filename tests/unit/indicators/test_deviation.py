"""The distance of a premium from its median: what it is made of, and how far back it looks."""

import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators import PRESETS, Thresholds, deviation, imbalance_columns
from perp_imbalance.indicators.deviation import deviation_bps, robust_z_score
from perp_imbalance.indicators.moving_median import moving_median
from perp_imbalance.indicators.rolling import MEMORY_CANDLES, Floats

MISSING = [0.0, 0.05, 0.3, 0.7]


def premiums(missing: float, size: int = 2500) -> Floats:
    rng = np.random.default_rng(11)
    values = rng.standard_t(3, size) * 1e-3
    values[rng.random(size) < missing] = np.nan
    return values


@pytest.mark.parametrize("missing", MISSING)
@pytest.mark.parametrize("dev_len", [2, 60, 200])
def test_deviation_is_the_distance_to_the_median_in_memory(missing: float, dev_len: int) -> None:
    premium = premiums(missing)
    found = deviation_bps(premium, dev_len).bps
    for row in range(0, premium.size, 7):
        known = premium[max(0, row + 1 - MEMORY_CANDLES) : row + 1]
        window = known[np.isfinite(known)][-dev_len:]
        enough = window.size >= min(100, dev_len) and np.isfinite(premium[row])
        wanted = 1e4 * (premium[row] - np.median(window)) if enough else np.nan
        np.testing.assert_allclose(found[row], wanted, rtol=1e-12, err_msg=str(row))


@pytest.mark.parametrize("missing", MISSING)
def test_robust_z_is_made_of_medians(missing: float) -> None:
    premium = premiums(missing)
    found = robust_z_score(premium, 50, 1).z
    dense = pd.Series(premium[np.isfinite(premium)])
    distance = dense - dense.rolling(50).median()
    wanted = distance / (1.4826 * distance.abs().rolling(50).median())
    dense_found = pd.Series(found[np.isfinite(premium)])
    known = dense_found.notna()
    assert known.any()
    np.testing.assert_allclose(dense_found[known], wanted[known], rtol=1e-9)
    if not missing:
        assert known.sum() == premium.size - 98


@pytest.mark.parametrize("missing", MISSING)
@pytest.mark.parametrize("row", [700, 1234, 2499])
def test_bot_that_starts_now_knows_what_a_backtest_knows(missing: float, row: int) -> None:
    premium = premiums(missing)
    loaded = premium[row + 1 - MEMORY_CANDLES : row + 1]
    np.testing.assert_allclose(
        deviation_bps(loaded, 200).bps[-1], deviation_bps(premium, 200).bps[row], rtol=1e-12
    )
    bot, backtest = robust_z_score(loaded, 120, 3), robust_z_score(premium, 120, 3)
    np.testing.assert_allclose(bot.raw[-1], backtest.raw[row], rtol=1e-9)
    np.testing.assert_allclose(bot.z[-1], backtest.z[row], rtol=1e-9)


def test_premium_that_does_not_move_has_no_robust_z() -> None:
    assert np.isnan(robust_z_score(np.full(500, 0.001), 100, 1).z).all()
    assert (deviation_bps(np.full(500, 0.001), 100).bps[99:] == 0).all()


@pytest.mark.parametrize(
    "thresholds",
    [Thresholds(min_deviation_bps=1, dev_len=200), Thresholds(robust_z=True, dev_len=80)],
)
def test_window_that_does_not_fit_into_the_memory_is_refused(thresholds: Thresholds) -> None:
    dates = pd.date_range("2025-01-01", periods=9, freq="1h", tz="UTC")
    frame = pd.DataFrame({"date": dates, "close": 1.0, "volume": 1.0})
    with pytest.raises(SettingsError, match="does not fit into the 150"):
        imbalance_columns(frame, frame, thresholds=thresholds, memory=150)
    # The column is there where no gate asks for it.
    assert "deviation_bps" in imbalance_columns(frame, frame, memory=150)


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "deep_discount"])
def test_new_gates_are_off_in_presets_of_the_source(preset: str) -> None:
    assert PRESETS[preset].min_deviation_bps == 0
    assert not PRESETS[preset].robust_z


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"min_deviation_bps": -1.0}, "min_deviation_bps is -1, it must be at least 0"),
        ({"dev_len": 1}, "dev_len is 1, it must be at least 2"),
    ],
)
def test_deviation_setting_out_of_range_is_refused(values: dict[str, float], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Thresholds(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("digits", [9, 4])
@pytest.mark.parametrize("dev_len", [2, 99, 200])
def test_compiled_medians_equal_those_of_a_bot(
    missing: float, digits: int, dev_len: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With 4 digits, most windows hold a value more than once.
    premium = premiums(missing, 12_000).round(digits)
    monkeypatch.setattr(deviation, "_MANY_ROWS", 12_001)
    bots = deviation_bps(premium, dev_len).bps, robust_z_score(premium, dev_len, 3).z
    monkeypatch.setattr(deviation, "_MANY_ROWS", 1)
    compiled = deviation_bps(premium, dev_len).bps, robust_z_score(premium, dev_len, 3).z
    np.testing.assert_array_equal(compiled, bots)


@given(
    values=st.lists(st.floats(-1e6, 1e6, width=64) | st.sampled_from([0.0, -0.0, 1.0]), min_size=1),
    length=st.integers(1, 30),
    least=st.integers(1, 30),
)
@example(values=[1.0 + 2**-52, 1.0, 1.0 - 2**-53] * 40, length=7, least=1)
def test_moving_median_is_that_of_pandas(values: list[float], length: int, least: int) -> None:
    series = pd.Series(values, dtype=np.float64)
    begins = np.maximum(np.arange(1, len(values) + 1) - length, 0)
    found = moving_median(np.array(values), begins, length, least)
    wanted = series.rolling(length, min_periods=min(least, length)).median()
    if least > length:
        wanted[:] = np.nan
    np.testing.assert_allclose(found, wanted, rtol=1e-15)


def test_medians_need_no_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    premium = premiums(0.0, 300)
    wanted = deviation_bps(premium, 200).bps
    monkeypatch.setattr(deviation, "_MANY_ROWS", 1)
    monkeypatch.setitem(sys.modules, "perp_imbalance.indicators.moving_median", None)
    np.testing.assert_array_equal(deviation_bps(premium, 200).bps, wanted)
