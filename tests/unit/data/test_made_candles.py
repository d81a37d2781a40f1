"""Candles of a higher timeframe are made where a folder has none: closed ones only."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from freqtrade.data.history import load_pair_history
from freqtrade.enums import CandleType
from hypothesis import given, settings
from hypothesis import strategies as st
from support.freqtrade import shared_candles

from perp_imbalance.data.backtest_data import open_backtest_data
from perp_imbalance.data.folder import CandleFolder
from perp_imbalance.data.made_candles import can_be_made, made_candles
from perp_imbalance.data.sample import write_sample_market
from perp_imbalance.indicators.higher_timeframe import align_higher_timeframe
from perp_imbalance.research.pair_history import PairHistories
from perp_imbalance.strategy.settings import Settings

START = pd.Timestamp("2024-01-01", tz="UTC")
BTC = "BTC/USDT:USDT"


def hours(opens: list[int], seed: int = 1) -> pd.DataFrame:
    """Candles of an hour that open so many hours after midnight."""
    close = 100 + np.random.default_rng(seed).normal(size=max(opens) + 1).cumsum()[opens]
    dates = START + pd.to_timedelta(opens, unit="h")
    prices = {"open": close - 0.5, "high": close + 1, "low": close - 1, "close": close}
    return pd.DataFrame({"date": dates, **prices, "volume": 2.0})


@pytest.mark.parametrize(
    ("opens", "made"),
    [
        ([0, 1, 2, 3], {0: 4}),
        ([1, 2, 3, 4, 5, 6, 7], {4: 4}),
        ([0, 1, 2, 3, 4, 5, 6], {0: 4}),
        # As on an exchange: what is there within a candle makes it, and nothing makes none.
        ([0, 3, 4, 5, 6, 7], {0: 2, 4: 4}),
        ([0, 1, 2, 3, 8, 9, 10, 11], {0: 4, 8: 4}),
        ([2, 3, 4, 5], {}),
    ],
)
def test_only_candles_that_are_whole_are_made(opens: list[int], made: dict[int, int]) -> None:
    """By the hour at which each opens, with the number of its parts."""
    found = made_candles(hours(opens), "1h", "4h")
    at = ((found["date"] - START) / pd.Timedelta("1h")).astype(int)
    assert dict(zip(at, (found["volume"] / 2).astype(int), strict=True)) == made


@settings(max_examples=25)
@given(
    opens=st.sets(st.integers(0, 40), min_size=2).map(sorted),
    cut=st.integers(1, 40),
    seed=st.integers(0, 9),
)
def test_later_candles_change_no_made_candle(opens: list[int], cut: int, seed: int) -> None:
    whole = hours(opens, seed)
    known = whole[: min(cut, len(whole))]
    before = made_candles(known, "1h", "4h")
    end = known["date"].iloc[-1] + pd.Timedelta("1h")
    assert (before["date"] + pd.Timedelta("4h") <= end).all()
    after = made_candles(whole, "1h", "4h")
    pd.testing.assert_frame_equal(after[: len(before)], before)


def test_made_candle_is_visible_from_its_close_on() -> None:
    candles = hours(list(range(12)))
    made = made_candles(candles, "1h", "4h")
    rows, times = (pd.DatetimeIndex(each["date"]).as_unit("ns").asi8 for each in (candles, made))
    close = made["close"].to_numpy()
    seen = align_higher_timeframe(rows, "1h", times, "4h", close)
    # The candle of an hour that closes with it is the first that knows it.
    expected = [*[np.nan] * 3, *[close[0]] * 4, *[close[1]] * 4, close[2]]
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize("coin", ["BTC", "ETH"])
@pytest.mark.parametrize("name", ["{}_USDT-{}", "futures/{}_USDT_USDT-{}-futures"])
def test_made_candles_equal_the_exchange_ones(coin: str, name: str) -> None:
    datadir = shared_candles("1h_2020_2023")
    hour, exchange = (
        pd.read_feather(datadir / f"{name.format(coin, length)}.feather") for length in ("1h", "4h")
    )
    made = made_candles(hour, "1h", "4h")
    assert len(made) > 8760
    prices = ["date", "open", "high", "low", "close"]
    pd.testing.assert_frame_equal(made[prices], exchange[prices], check_exact=True)
    np.testing.assert_allclose(made["volume"], exchange["volume"], rtol=1e-9)


def test_candles_that_do_not_divide_a_day_are_not_made() -> None:
    made = {higher: can_be_made("1h", higher) for higher in ("2h", "4h", "1d", "5h", "3d", "1w")}
    assert made == {"2h": True, "4h": True, "1d": True, "5h": False, "3d": False, "1w": False}
    assert not any(can_be_made("1h", higher) for higher in ("1h", "30m", "90m", "1M", "soon"))


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A month of the sample market, without 4h candles of BTC's perp and spot pair."""
    datadir = tmp_path_factory.mktemp("month") / "binance"
    write_sample_market(datadir, days=30)
    whole = datadir.with_name("whole")
    shutil.copytree(datadir, whole)
    (datadir / "BTC_USDT-4h.feather").unlink()
    (datadir / "futures" / "BTC_USDT_USDT-4h-futures.feather").unlink()
    return datadir


def listing(datadir: Path) -> list[tuple[str, int]]:
    files = (file for file in datadir.rglob("*") if file.is_file())
    return sorted((file.name, file.stat().st_mtime_ns) for file in files)


def test_missing_higher_timeframe_is_made_outside_the_folder(month: Path) -> None:
    before = listing(month)
    data = open_backtest_data(month, "1h", Settings(), costs=())
    assert data.htf_timeframe == "4h"
    assert data.notes == [f"{month} has no 4h candles of {BTC}, BTC/USDT: made of 1h ones"]
    assert listing(month) == before
    place = data.folder.for_freqtrade
    for pair, kind in ((BTC, CandleType.FUTURES), ("BTC/USDT", CandleType.SPOT)):
        made = load_pair_history(pair, "4h", place, candle_type=kind, data_format="feather")
        stored = load_pair_history(
            pair, "4h", month.with_name("whole"), candle_type=kind, data_format="feather"
        )
        columns = ["date", "open", "high", "low", "close"]
        pd.testing.assert_frame_equal(made[columns], stored[columns])
    assert CandleFolder(place).keys.items() >= CandleFolder(month).keys.items()
    # What is complete is read where it lies.
    whole = open_backtest_data(month.with_name("whole"), "1h", Settings(), costs=())
    assert whole.folder.for_freqtrade == month.with_name("whole")


def test_research_reads_the_made_candles(month: Path) -> None:
    found = []
    for datadir in (month, month.with_name("whole")):
        data = open_backtest_data(datadir, "1h", Settings(), costs=())
        (history,) = PairHistories(data.folder, "1h", Settings()).pairs([BTC])
        assert history.htf is not None
        found.append(history.htf)
    made, stored = found
    np.testing.assert_array_equal(made.times, stored.times)
    np.testing.assert_allclose(made.premium, stored.premium)
