"""``perp-imbalance sweep``: combinations of thresholds a second on one core."""

import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.market import HIGHER_TIMEFRAME, Candles, higher
from benchmarks.strategy import PERP, SPOT, TIMEFRAME
from perp_imbalance.indicators.columns import htf_premium, premium_columns, spot_premium
from perp_imbalance.indicators.premium import believable_close
from perp_imbalance.indicators.thresholds import PRESETS
from perp_imbalance.markets.spot_matching import SpotMatch
from perp_imbalance.research.grid import Grid, parse_values
from perp_imbalance.research.grid_sweep import Plan, run_sweep
from perp_imbalance.research.pair_history import PairHistory
from perp_imbalance.strategy.settings import Settings

#: The grid: all but the lookback of the bands and the smoothing varies.
GRID = Grid(
    {
        "enter_z": parse_values("1.2:3:0.1", float),
        "exit_z": parse_values("0.2:1.1:0.1", float),
        "len_prem": [25, 50, 100],
        "bb_k": [1.0, 1.25, 1.5],
        "use_sigma": [True, False],
    },
    PRESETS["balanced"],
)
HORIZONS = (1, 4, 12, 24)
_COST = 0.001


def pair_of(candles: Candles) -> PairHistory:
    """Return the candles as a sweep reads them from a folder."""
    perp, spot, _ = candles
    found = spot_premium(perp, spot)
    fraction = premium_columns(found)["premium"]
    return PairHistory(
        SpotMatch(PERP, SPOT, 1.0, None, None),
        TIMEFRAME,
        perp,
        fraction,
        believable_close(perp, found.spot_close, fraction),
        htf_premium(higher(perp), higher(spot), HIGHER_TIMEFRAME),
        np.zeros(len(perp)),
        {},
        0,
    )


def measure(candles: Candles, combinations: int, rounds: int) -> float:
    """Return combinations a second of processor time, with what is written; the median round."""
    pair = pair_of(candles)
    plan = Plan(GRID, Settings(), HORIZONS, _COST, sample=combinations)
    rates = []
    with tempfile.TemporaryDirectory() as name:
        for _ in range(rounds):
            begin = time.process_time()
            sweep = run_sweep(plan, [pair], Path(name) / "sweep.parquet", lambda _: None)
            rates.append(sweep.combinations / (time.process_time() - begin))
    return median(rates)
