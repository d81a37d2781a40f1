"""The expected plots of the Pine script: the strategy's columns, on candles with gaps."""

from collections.abc import Collection
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from perp_imbalance.indicators import (
    Thresholds,
    entry_signals,
    exit_signals,
    imbalance_columns,
)
from perp_imbalance.indicators.gates import active_gates
from perp_imbalance.indicators.hysteresis import EntryMode
from perp_imbalance.indicators.positioning import open_interest
from perp_imbalance.indicators.thresholds import HTF_TIMEFRAME, Side
from perp_imbalance.strategy.settings import Settings
from support.freqtrade import ROOT
from support.pyne_run import NUMBERS

PINE = ROOT / "pine" / "perp_imbalance.pine"
PINE_REFERENCE = ROOT / "tests" / "support" / "pine_reference"
CANDLES = 1200
TAGS = ("", "cooled", "flipped", "stale_spot")
#: Columns, with PyneCore's relative and absolute tolerance.
TOLERANCES = {
    "premium": (1e-12, 1e-15),
    "z_raw": (0, 1e-6),
    "z": (0, 1e-6),
    "deviation_bps": (0, 1e-9),
    "oi_change": (0, 1e-12),
    "bb_middle": (1e-9, 0),
    "bb_upper": (1e-9, 0),
    "bb_lower": (1e-9, 0),
    "bias": (0, 0),
    "htf_z": (0, 1e-6),
    "enter_short": (0, 0),
    "enter_long": (0, 0),
    "exit_short": (0, 0),
    "exit_long": (0, 0),
    "exit_tag": (0, 0),
}
#: TradingView's symbol of BTC's open interest.
INTEREST = "BINANCE:BTCUSDT.P_OI"
#: Columns that the script does not plot, or only if a gate is on.
PLOTS = {
    "premium": "premium",
    "every htf_z": "htf_z",
    "exit_tag": f"{TAGS}.index(exit_tag)",
}


def market(datadir: Path, perp: str, spot: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return sample candles of a perp and its spot pair, with missing and untraded candles."""
    perps = pd.read_feather(datadir / "futures" / f"{perp}_USDT_USDT-1h-futures.feather")
    spots = pd.read_feather(datadir / f"{spot}_USDT-1h.feather")
    first = int(np.flatnonzero(perps["date"].dt.hour % 4 == 0)[0])
    perps = perps.iloc[first : first + CANDLES].reset_index(drop=True)
    spots = spots[spots["date"].between(perps["date"].iloc[0], perps["date"].iloc[-1])]
    spots = spots.reset_index(drop=True)
    # As freqtrade fills gaps: flat at the previous close; some get a volume.
    for candles, rows in ((perps, (250, 251)), (spots, (260, 261))):
        for row in rows:
            candles.loc[row:row, NUMBERS[:4]] = float(candles["close"].iloc[row - 1])
    perps.loc[251, "volume"] = 0.0
    spots.loc[300:320, "volume"] = 0.0
    spots.loc[700, NUMBERS[:4]] *= 3
    missing = [203, *range(400, 404), 500, *range(600, 630)]
    return perps, spots.drop(index=missing).reset_index(drop=True)


def reference_market(name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return candles of perp and spot from ``pine_reference``, as many as the sample's."""
    rows = pd.read_csv(PINE_REFERENCE / f"{name}.csv", nrows=CANDLES)
    dates = pd.to_datetime(rows["timestamp"], unit="ms", utc=True)
    perp = rows[NUMBERS].astype(float).assign(date=dates)
    spot = perp.assign(**dict.fromkeys(NUMBERS[:4], rows["spot_close"]), volume=1.0)
    return perp, spot[rows["spot_close"].notna()].reset_index(drop=True)


def interest_of(perp: pd.DataFrame) -> pd.DataFrame:
    """Return random open interest in freqtrade's form: some candles missing, some at 0."""
    random = np.random.default_rng(17)
    coins = 80_000 * np.exp(np.cumsum(random.normal(0, 0.006, len(perp))))
    coins[[90, 91]] = 0.0
    columns = {"open_interest_amount": coins, "open_interest_value": np.nan}
    interest = pd.DataFrame({"date": perp["date"], **columns})
    return interest.drop(index=[45, *range(150, 170)]).reset_index(drop=True)


def interest_candles(interest: pd.DataFrame) -> pd.DataFrame:
    """Return open interest in TradingView's form: a candle opens at the value of its time."""
    opens = interest["open_interest_amount"]
    candles = pd.DataFrame({"date": interest["date"], **dict.fromkeys(NUMBERS, opens)})
    return candles.assign(high=opens + 5_000, close=opens + 5_000)


def higher(candles: pd.DataFrame) -> pd.DataFrame:
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    return candles.resample(HTF_TIMEFRAME, on="date").agg(how).dropna().reset_index()


def expected(
    candles: tuple[pd.DataFrame, pd.DataFrame],
    thresholds: Thresholds,
    *,
    scale: float = 1.0,
    mode: EntryMode = "zone",
    max_stale_candles: int = Settings().max_stale_candles,
    sides: Collection[Side] = get_args(Side),
    interest: pd.DataFrame | None = None,
) -> pd.DataFrame:
    perp, spot = candles
    columns = imbalance_columns(
        perp,
        spot,
        scale=scale,
        thresholds=thresholds,
        timeframe="1h",
        htf=(higher(perp), higher(spot)),
        max_stale_candles=max_stale_candles,
    )
    rows = perp.join(columns).assign(oi_change=np.nan)
    if interest is not None:
        sources = {"open_interest": open_interest(perp, interest)}
        for gate in active_gates(thresholds):
            rows = rows.assign(**gate.own_columns(thresholds, sources))
    rows = rows.join(entry_signals(rows, thresholds, mode, sides)).join(exit_signals(rows))
    rows["exit_tag"] = [TAGS.index(tag or "") for tag in rows["exit_tag"]]
    return rows


def assert_equal(found: pd.DataFrame, wanted: pd.DataFrame) -> None:
    found = found.assign(htf_z=found["every htf_z"])
    for name, (relative, absolute) in TOLERANCES.items():
        np.testing.assert_allclose(
            found[name], wanted[name].astype(float), relative, absolute, err_msg=name
        )
