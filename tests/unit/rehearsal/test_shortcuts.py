"""A shortcut gives what freqtrade's own work gives, or is not taken."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from freqtrade.data.converter import clean_ohlcv_dataframe
from freqtrade.enums import CandleType
from support.tiny_replay import HOUR, TINY_START, milliseconds

from perp_imbalance.rehearsal.shortcuts import fund_when_due, skip_cleaning
from perp_imbalance.replay import CandleStore

PAIR = "BTC/USDT:USDT"


def candles(hours: list[int], **changes: Any) -> pd.DataFrame:
    """Return candles as freqtrade makes them of an answer, their values by their hour."""
    dates = pd.to_datetime([TINY_START + pd.Timedelta(hours=hour) for hour in hours]).as_unit("ms")
    frame = pd.DataFrame({"date": dates.floor("s")})
    for place, name in enumerate(["open", "high", "low", "close", "volume"]):
        frame[name] = [100.0 + hour % 50 + place for hour in hours]
    for name, (row, value) in changes.items():
        frame.loc[row, name] = value
    return frame


@pytest.mark.parametrize(
    ("frame", "taken"),
    [
        (candles([0, 1, 2, 3]), True),
        (candles([0, 1, 2, 2, 3]), True),
        (candles([0, 1, 1, 2, 2, 3]), True),
        (candles([0, 1, 3]), False),
        (candles([0, 1, 2, 2, 4]), False),
        (candles([0, 2, 1, 3]), False),
        (candles([0, 1, 2, 2, 3], close=(3, 99.0)), False),
        (candles([0, 1, 2], low=(1, np.nan)), False),
        (candles([0]), False),
        (candles([]), False),
    ],
)
@pytest.mark.parametrize("drop_incomplete", [False, True])
def test_cleaning_is_left_out_where_it_changes_nothing(
    frame: pd.DataFrame, taken: bool, drop_incomplete: bool
) -> None:
    called = []

    def clean(*arguments: Any, **options: Any) -> pd.DataFrame:
        called.append(arguments)
        return pd.DataFrame(clean_ohlcv_dataframe(*arguments, **options))

    options = {"fill_missing": True, "drop_incomplete": drop_incomplete}
    before = frame.copy()
    expected = clean_ohlcv_dataframe(frame.copy(), "1h", PAIR, **options)
    found = skip_cleaning(clean)(frame, "1h", PAIR, **options)
    pd.testing.assert_frame_equal(found, expected)
    pd.testing.assert_frame_equal(frame, before)
    assert bool(called) != taken


def test_funding_rates_are_cleaned_as_ever() -> None:
    dates = pd.date_range(TINY_START, periods=3, freq="8h")
    rates = pd.DataFrame({"date": dates, "funding_rate": [1e-4, 2e-4, 3e-4]})
    options = {"fill_missing": True, "drop_incomplete": False}
    kind = CandleType.FUNDING_RATE
    found = skip_cleaning(clean_ohlcv_dataframe)(rates, "1h", PAIR, candle_type=kind, **options)
    expected = clean_ohlcv_dataframe(rates, "1h", PAIR, candle_type=kind, **options)
    pd.testing.assert_frame_equal(found, expected)


def test_funding_is_computed_when_a_rate_has_been_set(tiny_datadir: Path) -> None:
    """Rates are set every eight hours; freqtrade asks every half an hour."""
    now, asked = milliseconds(TINY_START), []

    def fetch(self: Any, *trade: Any) -> float:
        asked.append(now)
        return float(len(asked))

    fees = fund_when_due(fetch, CandleStore(tiny_datadir), lambda: now)
    opened = datetime(2024, 1, 1, tzinfo=UTC)
    sums = []
    for _ in range(33):
        sums.append(fees(None, PAIR, 1.0, False, opened))
        now += HOUR // 2
    assert [(time - asked[0]) // HOUR for time in asked] == [0, 8, 16]
    assert sums == [1.0] * 16 + [2.0] * 16 + [3.0]
    for trade in ((PAIR, 2.0, False, opened), (PAIR, 1.0, True, opened)):
        fees(None, *trade)
    fees(None, PAIR, 1.0, False, opened + timedelta(hours=1))
    assert len(asked) == 6
