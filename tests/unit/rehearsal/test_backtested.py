"""Only what bot and backtest both can trade from its first candle to its last is rehearsed."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from perp_imbalance.errors import RehearsalError
from perp_imbalance.rehearsal import Plan, check_span
from perp_imbalance.rehearsal.backtested import price_range
from perp_imbalance.strategy.parameters import STARTUP_CANDLES

SPANS = {"BTC/USDT:USDT": ("2025-01-01", "2025-03-10 22:00"), "X/USDT:USDT": ("2025-02-01", "2025")}
FIRST = pd.Timestamp("2025-01-01", tz="UTC") + pd.Timedelta(hours=STARTUP_CANDLES + 1)


def data() -> Any:
    spans = {
        pair: tuple(pd.Timestamp(time, tz="UTC") for time in span) for pair, span in SPANS.items()
    }
    folder = SimpleNamespace(datadir=Path("candles"), span=lambda pair, *_: spans[pair])
    return SimpleNamespace(folder=folder, timeframe="1h", pairs=list(spans))


@pytest.mark.parametrize(
    ("start", "stop", "said"),
    [
        (FIRST, "2025-03-10 22:00", None),
        (FIRST - pd.Timedelta(seconds=1), "2025-03-10", f"start it at {FIRST.ceil('D'):%Y%m%d}"),
        (FIRST, "2025-03-11", "opens 2025-03-10 22:00: end the time range at 20250310 or"),
    ],
)
def test_time_range_outside_the_folder_is_refused(
    start: pd.Timestamp, stop: str, said: str | None
) -> None:
    times = start.to_pydatetime(), datetime.fromisoformat(stop).replace(tzinfo=UTC)
    if said is None:
        check_span(data(), *times)
        return
    with pytest.raises(RehearsalError, match=said) as refused:
        check_span(data(), *times)
    assert "\n" not in str(refused.value)


def test_price_range_is_that_of_the_candle(tiny_datadir: Path, tmp_path: Path) -> None:
    file = next((tiny_datadir / "futures").glob("*-1h-futures.feather"))
    candle = pd.read_feather(file).iloc[5]
    pair = f"{file.name.partition('_')[0]}/USDT:USDT"
    config = {"timeframe": "1h", "dataformat_ohlcv": "feather"}
    time = candle["date"].to_pydatetime()
    prices = price_range(Plan(config, tiny_datadir, tmp_path, time, time))
    assert prices(pair, candle["date"]) == (candle["low"], candle["high"])
    unknown = prices(pair, candle["date"] + pd.Timedelta("30min"))
    assert np.isnan(unknown).all()
