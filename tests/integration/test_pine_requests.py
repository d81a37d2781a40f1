"""PyneCore's own ``request.security`` gives the Pine script what the strategy has."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from support.pine_columns import (
    INTEREST,
    PINE,
    PLOTS,
    assert_equal,
    expected,
    interest_candles,
    interest_of,
    market,
)
from support.pine_to_pyne import PyneScript, translate
from support.pyne_run import run_pyne

from perp_imbalance.indicators import PRESETS


@pytest.fixture(scope="module")
def script() -> PyneScript:
    return translate(PINE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def btc(sample_datadir: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    return market(sample_datadir, "BTC", "BTC")


def test_requested_candles_are_never_filled(
    script: PyneScript, btc: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    """With PyneCore's own ``request.security``; elsewhere the values are looked up."""
    perp, spot = (candles.iloc[:330] for candles in btc)
    spot = spot[spot["date"] <= perp["date"].iloc[-1]]
    interest = interest_of(perp)
    found = run_pyne(
        script,
        perp,
        {"BINANCE:BTCUSDT": spot, INTEREST: interest_candles(interest)},
        tmp_path,
        plots=PLOTS,
        inputs={"use_oi": True},
        in_processes=True,
    )
    assert found["premium"].isna().sum() > 20
    assert found["oi_change"].isna().sum() > 20
    thresholds = replace(PRESETS["balanced"], use_oi=True)
    assert_equal(found, expected((perp, spot), thresholds, interest=interest))
