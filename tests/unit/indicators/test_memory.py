"""Windows reach no further back than the candles that a bot loads at its start."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators import PRESETS, Thresholds, entry_signals, imbalance_columns
from perp_imbalance.indicators.bands import bollinger_bands
from perp_imbalance.indicators.columns import HtfPremium, threshold_columns
from perp_imbalance.indicators.premium import open_times
from perp_imbalance.indicators.rolling import MEMORY_CANDLES
from perp_imbalance.indicators.zscore import z_score
from perp_imbalance.strategy.parameters import STARTUP_CANDLES

MEMORY = 30


@st.composite
def sparse_markets(draw: st.DrawFn, hours: int = 150) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Perp and spot with gaps of any length, up to more than the memory."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spot = 100 * np.exp(np.cumsum(random.normal(0, 1e-3, hours)))
    fraction = random.standard_t(3, hours) * 1e-3
    date = pd.date_range("2024-01-01", periods=hours, freq="h", tz="UTC")
    perp_frame = pd.DataFrame({"date": date, "close": spot * (1 + fraction), "volume": 1.0})
    spot_frame = pd.DataFrame({"date": date, "close": spot, "volume": 1.0})
    for frame in (perp_frame, spot_frame):
        for _ in range(draw(st.integers(0, 3))):
            gap = slice(draw(st.integers(0, hours)), None)
            gap = slice(gap.start, gap.start + draw(st.integers(0, MEMORY + 10)))
            frame.loc[frame.index[gap], "volume"] = 0.0
        frame.loc[random.random(hours) < draw(st.sampled_from([0.0, 0.1, 0.5])), "volume"] = 0.0
    constant = draw(st.slices(hours))
    perp_frame.loc[perp_frame.index[constant], "close"] = spot[constant] * 1.001
    return perp_frame, spot_frame


@settings(max_examples=60)
@given(sparse_markets(), st.integers(1, 150), st.integers(1, 5))
def test_value_is_the_one_of_the_last_candles_alone(
    market: tuple[pd.DataFrame, pd.DataFrame], end: int, smooth_len: int
) -> None:
    thresholds = Thresholds(len_prem=8, smooth_len=smooth_len, bb_len=10)
    columns = ["z_raw", "z", "bb_middle", "bb_upper", "bb_lower", "htf_z", "deviation_bps"]

    def last_row(begin: int, htf_begin: int) -> "pd.Series[float]":
        perp, spot = (frame.iloc[begin:end] for frame in market)
        # The rows of the higher timeframe are the same candles, twice as far apart.
        higher = [frame.iloc[htf_begin : end // 2] for frame in market]
        start = market[0]["date"].iloc[0]
        first, second = (rows.assign(date=2 * (rows["date"] - start) + start) for rows in higher)
        found = imbalance_columns(
            *(perp, spot),
            thresholds=thresholds,
            timeframe="1h",
            htf=(first, second),
            htf_timeframe="2h",
            memory=MEMORY,
        )
        return found[columns].iloc[-1]

    whole = last_row(0, 0)
    window = last_row(max(0, end - MEMORY), max(0, end // 2 - MEMORY))
    np.testing.assert_allclose(window, whole, rtol=1e-9, atol=1e-9)


def ticker_used_again(*, filled: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """LIT at 0.70 until 2025-01-31, nothing, then another coin at 2.90, 40 bps above its spot."""
    random = np.random.default_rng(12)
    first = pd.date_range("2025-01-01", "2025-01-31", freq="h", tz="UTC")
    second = pd.date_range("2025-12-23 18:00", periods=300, freq="h", tz="UTC")
    dates = first.append(second)
    level = np.where(dates < second[0], 0.70, 2.90)
    spot = level * np.exp(random.normal(0, 1e-3, dates.size))
    fraction = np.where(dates < second[0], 0.0, 40e-4) + random.normal(0, 1e-4, dates.size)

    def frame(close: np.ndarray[tuple[int], np.dtype[np.float64]]) -> pd.DataFrame:
        candles = pd.DataFrame({"date": dates, "close": close, "volume": 1.0})
        if not filled:
            return candles
        hours = pd.date_range(dates[0], dates[-1], freq="h")
        candles = candles.set_index("date").reindex(hours).rename_axis("date").reset_index()
        # As freqtrade fills: at the close before, with a volume of 0.
        return candles.assign(close=candles["close"].ffill(), volume=candles["volume"].fillna(0.0))

    return frame(spot * (1 + fraction)), frame(spot)


@pytest.mark.parametrize("filled", [True, False])
@pytest.mark.parametrize("preset", PRESETS)
def test_coin_of_a_used_ticker_has_no_z_of_the_old_one(preset: str, filled: bool) -> None:
    perp, spot = ticker_used_again(filled=filled)
    thresholds = PRESETS[preset]
    columns = imbalance_columns(perp, spot, thresholds=thresholds)
    life = (perp["date"] >= "2025-12-23 18:00").to_numpy()
    assert np.isfinite(columns["premium"][life]).all()
    for name, values in (
        ("z_raw", thresholds.len_prem),
        ("z", thresholds.len_prem + thresholds.smooth_len - 1),
        ("bb_upper", thresholds.bb_len),
    ):
        known = np.isfinite(columns[name][life].to_numpy())
        np.testing.assert_array_equal(known, np.arange(known.size) >= values - 1, err_msg=name)
    signals = entry_signals(columns.assign(close=perp["close"]), thresholds)
    early = signals[life].iloc[: thresholds.len_prem - 1]
    assert not early[["enter_short", "enter_long"]].to_numpy().any()
    old = columns[~life & (perp["date"] <= "2025-01-31").to_numpy()]
    assert np.isfinite(old["z"].iloc[-1])


def test_missing_candles_count_as_filled_ones() -> None:
    filled, sparse = (ticker_used_again(filled=how) for how in (True, False))
    whole = imbalance_columns(*filled).assign(date=filled[0]["date"])
    part = imbalance_columns(*sparse).assign(date=sparse[0]["date"])
    there = whole[whole["date"].isin(part["date"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, there, rtol=1e-12)


@pytest.mark.parametrize(("gap", "known"), [(20, True), (21, False)])
def test_gap_in_a_window_counts_up_to_the_memory(gap: int, known: bool) -> None:
    """Ten values before a gap and one after it: a window of ten reaches over gap + 10 rows."""
    values = np.concatenate([np.arange(10.0), np.full(gap, np.nan), [7.0]])
    assert np.isfinite(z_score(values, 10, 1, memory=30).z[-1]) == known
    assert np.isfinite(bollinger_bands(values, 10, 1.0, memory=30).middle[-1]) == known


def test_higher_timeframe_counts_its_own_candles() -> None:
    """A gap of 20 candles of 4 hours is shorter than the memory, though 80 hours are not."""
    times = np.arange(60) * 4 * 3600 * 10**9
    fraction = np.random.default_rng(3).normal(0, 1e-3, 60)
    fraction[35:55] = np.nan
    dates = pd.date_range("1970-01-01", periods=240, freq="h", tz="UTC")
    perp = pd.DataFrame({"date": dates, "close": 1.0, "volume": 1.0})
    thresholds = Thresholds(len_prem=8, smooth_len=1, bb_len=10)

    def htf_z(memory: int) -> float:
        columns = threshold_columns(
            *(perp, np.full(240, np.nan), np.ones(240), thresholds),
            timeframe="1h",
            htf=HtfPremium(times, fraction, "4h"),
            memory=memory,
        )
        assert open_times(perp, "perp").size == columns["htf_z"].size
        return float(columns["htf_z"][4 * 56 - 1])

    assert np.isfinite(htf_z(28))
    assert np.isnan(htf_z(27))


def test_ema_after_a_gap_forgets_what_was_before_it() -> None:
    """Exactly: the seed is the mean of the first raw values that the memory holds."""
    random = np.random.default_rng(4)
    values = np.concatenate([random.normal(5, 1, 60), np.full(45, np.nan), random.normal(0, 1, 40)])
    whole = z_score(values, 10, 5, memory=50).z[-40:]
    np.testing.assert_allclose(whole, z_score(values[-40:], 10, 5, memory=50).z, rtol=1e-12)


def test_window_longer_than_the_memory_is_refused() -> None:
    said = "a window of 501 candles does not fit into the 459 that are loaded at the start"
    with pytest.raises(SettingsError, match=said):
        z_score(np.zeros(3), 500, 2)
    with pytest.raises(SettingsError, match="a window of 31 candles"):
        bollinger_bands(np.zeros(3), 31, 1.0, memory=30)


def test_memory_is_what_the_strategy_loads_at_its_start() -> None:
    assert MEMORY_CANDLES == STARTUP_CANDLES


def test_close_far_from_spot_enters_no_band() -> None:
    dates = pd.date_range("2025-01-01", periods=120, freq="h", tz="UTC")
    close = 100 + np.random.default_rng(5).normal(0, 1, 120)
    spot = pd.DataFrame({"date": dates, "close": close, "volume": 1.0})
    perp = spot.copy()
    perp.loc[110, "close"] = 151.0 / 100 * close[110]
    perp.loc[111, "close"] = 149.0 / 100 * close[111]
    perp.loc[112, ["close", "volume"]] = [close[111], 0.0]
    columns = imbalance_columns(perp, spot)
    assert columns["premium"].isna()[110:113].tolist() == [True, False, True]
    assert columns["bb_middle"].isna()[110:113].tolist() == [True, False, True]
    entered = np.delete(perp["close"].to_numpy(), [110, 112])[-100:]
    assert columns["bb_middle"].iloc[-1] == pytest.approx(entered.mean())
    assert columns["bb_upper"].iloc[-1] == pytest.approx(entered.mean() + 1.25 * entered.std())
