"""Candles of ccxt, hummingbot and vectorbt: understood, or refused with the call that converts."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pandas as pd
import pytest

from perp_imbalance.errors import DataError
from perp_imbalance.indicators import imbalance_columns

COLUMNS = ["open", "high", "low", "close", "volume"]
DATES = pd.date_range("2025-01-01", periods=120, freq="h", tz="UTC")


def candles() -> pd.DataFrame:
    close = 100 + np.random.default_rng(1).normal(0, 1, DATES.size)
    prices = dict.fromkeys(COLUMNS[:4], close)
    return pd.DataFrame({"date": DATES, **prices, "volume": 1.0})


def ms() -> "pd.Series[int]":
    return pd.Series(DATES.as_unit("ms").asi8)


def ccxt() -> pd.DataFrame:
    """Return what ``pd.DataFrame(exchange.fetch_ohlcv(...), columns=...)`` is."""
    return candles().rename(columns={"date": "timestamp"}).assign(timestamp=ms())


def hummingbot() -> pd.DataFrame:
    """Return what ``candles_df`` of a hummingbot feed is: seconds, as floats."""
    return ccxt().assign(timestamp=ms() / 1000, n_trades=1.0)


def vectorbt() -> pd.DataFrame:
    """Return what vectorbt's data holds: times in the index, names with a capital."""
    return candles().set_index("date").rename(columns=str.capitalize)


FOREIGN: dict[str, tuple[Callable[[], pd.DataFrame], str]] = {
    "ccxt": (
        ccxt,
        "lack the column date: make it of timestamp with "
        'pd.to_datetime(candles["timestamp"], unit="ms", utc=True)',
    ),
    "hummingbot": (
        hummingbot,
        "lack the column date: make it of timestamp with "
        'pd.to_datetime(candles["timestamp"], unit="s", utc=True)',
    ),
    "vectorbt": (
        vectorbt,
        'lack the column date: make it of the index with reset_index(names="date")',
    ),
    "capitals": (lambda: vectorbt().reset_index(), "lack the column close: rename Close"),
    "milliseconds": (
        lambda: candles().assign(date=ms()),
        "have numbers in the column date: convert them with "
        'pd.to_datetime(candles["date"], unit="ms", utc=True)',
    ),
    "nanoseconds": (
        lambda: candles().assign(date=ms() * 10**6),
        "have numbers in the column date: convert them with "
        'pd.to_datetime(candles["date"], unit="ns", utc=True)',
    ),
    "text": (
        lambda: candles().assign(date=DATES.astype(str)),
        "have no datetimes in the column date: convert them with "
        'pd.to_datetime(candles["date"], utc=True)',
    ),
    "no time zone": (
        lambda: candles().assign(date=DATES.tz_localize(None)),
        'have dates without a time zone: convert them with candles["date"].dt.tz_localize("UTC")',
    ),
    "no volume": (lambda: candles().drop(columns="volume"), "lack the column volume"),
    "prices as text": (
        lambda: candles().assign(close="n/a"),
        "have no numbers in the column close: convert them with pd.to_numeric",
    ),
    "no date in a row": (
        lambda: candles().assign(date=DATES.where(DATES[0] != DATES)),
        "have a row without a date: drop it",
    ),
    "newest first": (
        lambda: candles().iloc[::-1],
        "are not in order of time or repeat one: sort them by date and drop duplicates",
    ),
}


@pytest.mark.parametrize("name", ["perp", "spot", "perp 4h", "spot 4h"])
@pytest.mark.parametrize(("frame", "said"), FOREIGN.values(), ids=FOREIGN)
def test_frame_with_unknown_columns_is_refused(
    frame: Callable[[], pd.DataFrame], said: str, name: str
) -> None:
    frames = {"perp": candles(), "spot": candles(), "perp 4h": candles(), "spot 4h": candles()}
    frames[name] = frame()
    with pytest.raises(DataError) as refusal:
        imbalance_columns(
            *(frames["perp"], frames["spot"]),
            timeframe="1h",
            htf=(frames["perp 4h"], frames["spot 4h"]),
        )
    assert str(refusal.value) == f"the {name} candles {said}"


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_converted_frame_has_the_columns_of_the_original(
    unit: Literal["s", "ms", "us", "ns"],
) -> None:
    spot = candles()
    perp = spot.assign(close=spot["close"] * (1 + np.sin(np.arange(DATES.size)) / 1000))
    expected = imbalance_columns(perp, spot)
    assert expected["z"].notna().any()
    foreign = ccxt().assign(close=perp["close"])
    foreign["date"] = pd.to_datetime(foreign["timestamp"], unit="ms", utc=True).dt.as_unit(unit)
    pd.testing.assert_frame_equal(imbalance_columns(foreign, spot), expected)


def test_frame_without_rows_gives_no_premium() -> None:
    """What freqtrade gives of a pair without candles."""
    empty = pd.DataFrame(columns=["date", *COLUMNS])
    assert imbalance_columns(candles(), empty)["premium"].isna().all()
    assert imbalance_columns(empty, candles()).empty
