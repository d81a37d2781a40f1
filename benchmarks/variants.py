"""The same columns written with pandas, as a trader would, and the bare TA-Lib calls."""

import bottleneck
import numpy as np
import pandas as pd
import talib

from perp_imbalance.errors import PerpImbalanceError
from perp_imbalance.indicators import Thresholds
from perp_imbalance.indicators.deviation import LEAST_PREMIUMS
from perp_imbalance.indicators.premium import MAX_PREMIUM
from perp_imbalance.indicators.rolling import MEMORY_CANDLES, Floats
from perp_imbalance.indicators.thresholds import MAX_STALE_CANDLES
from perp_imbalance.indicators.zscore import MIN_STDEV

BALANCED = Thresholds()

#: Relative and absolute tolerance of each column in the comparison.
TOLERANCES = {
    "spot_close": (0.0, 0.0),
    "premium": (1e-9, 1e-15),
    "premium_pct": (1e-9, 1e-13),
    "z_raw": (0.0, 1e-6),
    "z": (0.0, 1e-6),
    "deviation_bps": (0.0, 1e-8),
    "bb_middle": (1e-9, 0.0),
    "bb_upper": (1e-9, 0.0),
    "bb_lower": (1e-9, 0.0),
    "bias": (0.0, 0.0),
    "htf_z": (0.0, 0.0),
}
# pandas seeds its average with one value, TA-Lib with a mean: they differ by less than 2^-60 after
# this many premiums. A bias entered before may differ until the first bias change after.
_SEED_FORGOTTEN = 60


class ParityError(PerpImbalanceError):
    """Variants compute different values, so that their times cannot be compared."""


def plain_pandas(perp: pd.DataFrame, spot: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the balanced preset, computed with pandas alone."""
    close = perp["close"].where((perp["volume"] > 0) & (perp["close"] > 0))
    traded = spot[(spot["volume"] > 0) & (spot["close"] > 0)]
    merged = perp[["date"]].merge(traded[["date", "close"]], on="date", how="left")
    spot_close = merged["close"].set_axis(perp.index)
    premium = (close - spot_close) / spot_close
    absurd = premium.abs() > MAX_PREMIUM
    premium = premium.mask(absurd)

    # A window holds the last finite premiums, so rows without one are removed and restored later.
    finite = premium.dropna()
    window = finite.rolling(BALANCED.len_prem)
    stdev = window.std(ddof=0)
    z_raw = (finite - window.mean()) / stdev.where(stdev > MIN_STDEV)
    z_raw = z_raw.where(_fits_memory(perp, finite, BALANCED.len_prem))
    z = z_raw.ewm(
        span=BALANCED.smooth_len, adjust=False, ignore_na=True, min_periods=BALANCED.smooth_len
    ).mean()
    z_raw, z = z_raw.reindex(perp.index), z.reindex(perp.index)

    median = finite.rolling(BALANCED.dev_len, min_periods=LEAST_PREMIUMS).median()
    deviation = (1e4 * (finite - median)).reindex(perp.index)

    believable = close.mask(absurd).dropna()
    bands = believable.rolling(BALANCED.bb_len)
    middle = bands.mean().where(_fits_memory(perp, believable, BALANCED.bb_len))
    middle = middle.reindex(perp.index)
    width = (BALANCED.bb_k * bands.std(ddof=0)).reindex(perp.index)

    missing = premium.isna()
    missing_in_a_row = missing.groupby((~missing).cumsum()).cumsum()
    event = pd.Series(np.nan, index=perp.index)
    event = event.where(missing_in_a_row < MAX_STALE_CANDLES, 0.0)
    event = event.where(~(z.abs() < BALANCED.exit_z), 0.0)
    event = event.where(~(z >= BALANCED.enter_z), -1.0).where(~(z <= -BALANCED.enter_z), 1.0)
    return pd.DataFrame(
        {
            "spot_close": spot_close,
            "premium": premium,
            "premium_pct": premium * 100.0,
            "z_raw": z_raw,
            "z": z,
            "deviation_bps": deviation,
            "bb_middle": middle,
            "bb_upper": middle + width,
            "bb_lower": middle - width,
            "bias": event.ffill().fillna(0.0).astype("int64"),
            "htf_z": np.nan,
        }
    )


def _fits_memory(perp: pd.DataFrame, values: "pd.Series[float]", length: int) -> "pd.Series[bool]":
    """Return a mask of the values whose window lies within the memory."""
    row = pd.Series(np.arange(len(perp)), index=perp.index)[values.index]
    return row - row.shift(length - 1) < MEMORY_CANDLES


def bare_talib(premium: Floats, close: Floats) -> tuple[Floats, ...]:
    """Return the columns that TA-Lib computes from arrays without gaps: no frame, no bias."""
    return (
        talib.SMA(premium, BALANCED.len_prem),
        talib.STDDEV(premium, BALANCED.len_prem),
        talib.EMA(premium, BALANCED.smooth_len),
        bottleneck.move_median(premium, BALANCED.dev_len, LEAST_PREMIUMS),
        *talib.BBANDS(close, BALANCED.bb_len, BALANCED.bb_k, BALANCED.bb_k),
    )


def check_parity(found: pd.DataFrame, expected: pd.DataFrame, name: str) -> None:
    """Raise unless two variants agree on every column and row after the average's warm-up.

    :raises ParityError: naming variant, column and row.
    """
    seeded = expected["z_raw"].notna().cumsum() > _SEED_FORGOTTEN
    event = (expected["z"].abs() >= BALANCED.enter_z) | (expected["z"].abs() < BALANCED.exit_z)
    settled = {"z": seeded, "bias": (seeded & event).cummax()}
    for column, (relative, absolute) in TOLERANCES.items():
        rows = settled.get(column, pd.Series(True, index=expected.index)).to_numpy()
        if not rows.any():
            raise ParityError(f"{column} cannot be compared: {len(expected)} candles are too few")
        left = found[column].to_numpy(dtype=np.float64)
        right = expected[column].to_numpy(dtype=np.float64)
        same = np.isclose(left, right, rtol=relative, atol=absolute, equal_nan=True)
        wrong = np.flatnonzero(rows & ~same)
        if wrong.size:
            row = wrong[0]
            raise ParityError(
                f"{column} of the {name} differs from plain pandas on {wrong.size} rows, first on "
                f"row {row}: {left[row]!r} and {right[row]!r}; nothing was timed"
            )
