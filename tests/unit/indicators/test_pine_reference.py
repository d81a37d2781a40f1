"""The columns equal what an independent Pine runtime computes for the same candles."""

import numpy as np
import pandas as pd
import pytest
from support.freqtrade import ROOT

from perp_imbalance.indicators import PRESETS, imbalance_columns

REFERENCES = sorted((ROOT / "tests" / "support" / "pine_reference").glob("*.csv"))
HTF = "4h"


def candles(reference: pd.DataFrame, close: str) -> pd.DataFrame:
    traded = reference[reference[close].notna()]
    return pd.DataFrame(
        {
            "date": pd.to_datetime(traded["timestamp"], unit="ms", utc=True),
            "close": traded[close],
            "volume": 1.0,
        }
    ).reset_index(drop=True)


def resampled(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.resample(HTF, on="date").last().dropna().reset_index()


@pytest.fixture(params=REFERENCES, ids=lambda path: path.stem)
def reference(request: pytest.FixtureRequest) -> pd.DataFrame:
    return pd.read_csv(request.param)


@pytest.fixture
def columns(reference: pd.DataFrame) -> pd.DataFrame:
    perp, spot = candles(reference, "close"), candles(reference, "spot_close")
    return imbalance_columns(
        perp,
        spot,
        thresholds=PRESETS["balanced"],
        timeframe="1h",
        htf=(resampled(perp), resampled(spot)),
        htf_timeframe=HTF,
        max_stale_candles=0,
    )


def test_every_reference_is_there() -> None:
    assert len(REFERENCES) == 8


@pytest.mark.parametrize(
    ("column", "relative", "absolute"),
    [
        ("premium", 1e-9, 1e-15),
        ("z", 0, 1e-6),
        ("bb_middle", 1e-9, 0),
        ("bb_upper", 1e-9, 0),
        ("bb_lower", 1e-9, 0),
    ],
)
def test_column_equals_the_reference(
    reference: pd.DataFrame,
    columns: pd.DataFrame,
    column: str,
    relative: float,
    absolute: float,
) -> None:
    assert reference[column].notna().any()
    np.testing.assert_allclose(columns[column], reference[column], relative, absolute)


def test_bias_equals_the_reference_on_every_bar(
    reference: pd.DataFrame, columns: pd.DataFrame
) -> None:
    assert set(reference["bias"]) == {-1, 0, 1}
    np.testing.assert_array_equal(columns["bias"], reference["bias"])


def test_htf_z_equals_the_reference_where_it_is_given(
    reference: pd.DataFrame, columns: pd.DataFrame
) -> None:
    if "htf_z" not in reference:
        assert columns["htf_z"].size
        return
    np.testing.assert_allclose(columns["htf_z"], reference["htf_z"], rtol=0, atol=1e-6)
