"""Values that no result can rest on: a file of nothing else is refused, a part is counted."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from freqtrade.data.history import get_datahandler
from freqtrade.enums import CandleType

from perp_imbalance.data.backtest_data import open_backtest_data
from perp_imbalance.data.candle_file import check_file
from perp_imbalance.errors import DataError
from perp_imbalance.research.pair_history import PairHistories
from perp_imbalance.strategy.settings import Settings

BTC = "BTC/USDT:USDT"
SETTINGS = Settings(htf_timeframe="4h", use_oi=True, use_funding=True)
# The series of BTC: its file, a column that results are computed from, and what is missing.
SERIES = {
    "perp": ("futures/BTC_USDT_USDT-1h-futures", "open", "price or volume"),
    "spot": ("BTC_USDT-1h", "close", "price or volume"),
    "perp of the HTF": ("futures/BTC_USDT_USDT-4h-futures", "close", "price or volume"),
    "spot of the HTF": ("BTC_USDT-4h", "close", "price or volume"),
    "mark": ("futures/BTC_USDT_USDT-1h-mark", "open", "price or volume"),
    "funding": ("futures/BTC_USDT_USDT-1h-funding_rate", "funding_rate", "rate at a full hour"),
    "open interest": (
        "futures/BTC_USDT_USDT-1h-open_interest",
        "open_interest_amount",
        "open interest",
    ),
    "index": ("futures/BTC_USDT_USDT-1h-index", "close", "price or volume"),
    "premium_index": ("futures/BTC_USDT_USDT-1h-premiumIndex", "close", "price or volume"),
}
SOURCES = ("index", "premium_index")
VALUES = {"not a number": np.nan, "infinite": np.inf, "zero": 0.0, "negative": -1.0, "none": None}


@pytest.fixture
def market(tiny_datadir: Path, tmp_path: Path) -> Path:
    """A copy of the tiny market with 4h candles, open interest and both indices of BTC."""
    folder = Path(shutil.copytree(tiny_datadir, tmp_path / "binance"))
    for name in ("perp", "spot"):
        frame = pd.read_feather(folder / f"{SERIES[name][0]}.feather")
        opens = frame["date"] == frame["date"].dt.floor("4h")
        frame[opens].reset_index(drop=True).to_feather(
            folder / f"{SERIES[f'{name} of the HTF'][0]}.feather"
        )
    frame = pd.read_feather(folder / f"{SERIES['perp'][0]}.feather")
    handler = get_datahandler(folder, "feather")
    handler.ohlcv_store(BTC, "1h", frame, CandleType.INDEX)
    prices = ["open", "high", "low", "close"]
    premium = (frame[prices] / frame["close"].iloc[0] - 1.0).clip(upper=0.0)
    handler.ohlcv_store(BTC, "1h", frame.assign(**premium), CandleType.PREMIUMINDEX)
    interest = {"open_interest_amount": 5.0, "open_interest_value": 7.0}
    handler.ohlcv_store(BTC, "1h", frame[["date"]].assign(**interest), CandleType.OPEN_INTEREST)
    return folder


def notes(market: Path, name: str = "perp", **options: Any) -> list[str]:
    settings = SETTINGS
    if name in SOURCES:
        settings = SETTINGS.model_copy(update={"premium_source": name})
    uses_htf = name not in SOURCES
    return open_backtest_data(
        market, "1h", settings, pairs=[BTC], uses_htf=uses_htf, **options
    ).notes


def spoil(market: Path, name: str, value: Any, rows: slice) -> Path:
    """Write a value into rows of a series."""
    file, columns = market / f"{SERIES[name][0]}.feather", [SERIES[name][1]]
    if name == "open interest":
        columns.append("open_interest_value")
    frame = pd.read_feather(file)
    for column in columns:
        values = frame[column].astype(object) if value is None else frame[column].copy()
        values.iloc[rows] = value
        frame[column] = values
    frame.to_feather(file)
    return file


def test_complete_series_give_no_message(market: Path) -> None:
    assert notes(market) == notes(market, "index") == notes(market, "premium_index") == []


@pytest.mark.parametrize("name", SERIES)
def test_file_without_a_usable_value_is_refused(market: Path, name: str) -> None:
    *_, timeframe, kind = f"{SERIES[name][0]}-spot".split("-")[:3]
    for value in VALUES:
        # Longs and shorts pay in turn: a rate may be 0 or negative, as a premium may.
        if name in ("funding", "premium_index") and value in ("zero", "negative"):
            continue
        file = spoil(market, name, VALUES[value], slice(None))
        with pytest.raises(DataError) as error:
            check_file(file, "feather", timeframe, CandleType(kind))
        assert str(error.value).startswith(f'{file}, column "{SERIES[name][1]}" has no ')
        assert "\n" not in str(error.value)
    with pytest.raises(DataError, match=file.name):
        notes(market, name)


@pytest.mark.parametrize(
    ("name", "value"), [*((name, "infinite") for name in SERIES), ("perp", "zero")]
)
def test_unusable_values_are_reported_with_their_share(market: Path, name: str, value: str) -> None:
    file = spoil(market, name, VALUES[value], slice(12, 24))
    rows = len(pd.read_feather(file))
    (line,) = notes(market, name)
    assert line.startswith(
        f"{BTC}: 12 of {rows} rows ({12 / rows:.2%}) of {file.name} hold no usable "
        f"{SERIES[name][2]}, the first at 2024-01-0"
    )
    # Research pays rates, and no mark price.
    assert notes(market, name, costs=()) == ([] if name == "mark" else [line])
    # Where nothing is read, nothing is wrong.
    assert notes(market, name, timerange="20240115-20240125") == []


@pytest.mark.parametrize("name", SERIES)
def test_text_counts_as_freqtrade_reads_it(market: Path, name: str) -> None:
    file = market / f"{SERIES[name][0]}.feather"
    frame = pd.read_feather(file)
    column = SERIES[name][1]
    frame.assign(**{column: frame[column].astype(str)}).to_feather(file)
    assert notes(market, name) == []
    frame.assign(**{column: frame[column].astype(str).where(frame.index != 5, "x")}).to_feather(
        file
    )
    with pytest.raises(
        DataError, match=f'column "{column}" holds text that is not a number at 2024'
    ):
        notes(market, name)


@pytest.mark.parametrize("name", [name for name in SERIES if name != "funding"])
def test_candles_off_their_grid_are_refused(market: Path, name: str) -> None:
    file = market / f"{SERIES[name][0]}.feather"
    frame = pd.read_feather(file)
    late = frame["date"].where(frame.index != 7, frame["date"] + pd.Timedelta("30min"))
    frame.assign(date=late).to_feather(file)
    with pytest.raises(DataError) as error:
        notes(market, name)
    assert str(error.value).startswith(f'{file}, column "date": 1 of {len(frame)} candles do not ')


@pytest.mark.parametrize(
    ("late", "share"), [("900ms", None), ("2s", "100.00%"), ("30min", "100.00%")]
)
def test_funding_counts_where_freqtrade_pays_it(market: Path, late: str, share: str | None) -> None:
    file = market / f"{SERIES['funding'][0]}.feather"
    frame = pd.read_feather(file)
    frame.assign(date=frame["date"] + pd.Timedelta(late)).to_feather(file)
    said = notes(market)
    assert [f"rows ({share}) of {file.name} hold no usable rate" in line for line in said] == (
        [True] if share else []
    )


def test_settlement_without_a_rate_costs_nothing(market: Path) -> None:
    whole = next(PairHistories(market, "1h", SETTINGS).pairs([BTC])).funding
    spoil(market, "funding", np.nan, slice(3, 4))
    found = next(PairHistories(market, "1h", SETTINGS).pairs([BTC])).funding
    assert np.flatnonzero(found != whole).tolist() == [24]
    assert found[24] == 0
