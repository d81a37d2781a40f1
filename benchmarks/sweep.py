"""Measure ``perp-imbalance sweep`` in combinations of thresholds per second on one core."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.market import HIGHER_TIMEFRAME, Candles, higher
from benchmarks.strategy import PERP, SPOT, TIMEFRAME
from perp_imbalance.indicators.columns import htf_premium, premium_columns, spot_premium
from perp_imbalance.indicators.premium import believable_close, open_times
from perp_imbalance.indicators.thresholds import PRESETS
from perp_imbalance.markets.spot_matching import SpotMatch
from perp_imbalance.research.grid import Grid, parse_values
from perp_imbalance.research.grid_sweep import Plan, run_sweep
from perp_imbalance.research.pair_history import PairHistory
from perp_imbalance.simulation import Rules, market
from perp_imbalance.strategy.settings import Settings

#: The grid; all thresholds vary except the lookback of the bands and the smoothing.
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


def pair_of(candles: Candles) -> PairHistory:
    """Return the candles as a sweep reads them from a folder, all of them traded."""
    perp, spot, _ = candles
    # The open of a candle is the previous close, as on a market without jumps.
    close = np.round(perp["close"].to_numpy(dtype=np.float64), 1)
    opens = np.append(close[0], close[:-1])
    prices = {"open": opens, "close": close}
    prices |= {"high": np.maximum(opens, close), "low": np.minimum(opens, close)}
    perp = perp.assign(**prices)
    found = spot_premium(perp, spot)
    fraction = premium_columns(found)["premium"]
    times = open_times(perp, "perp")
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
        market(
            times,
            prices,
            tick=0.1,
            funding_times=times[::8],
            funding_fees=close[::8] * 1e-4,
            amount_step=1e-3,
            min_cost=5.0,
        ),
    )


def measure(candles: Candles, combinations: int, rounds: int) -> float:
    """Return combinations per second of processor time, output included; the median round."""
    plan = Plan(GRID, [pair_of(candles)], Settings(), Rules(), sample=combinations)
    rates = []
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "sweep.parquet"
        # The first call loads the compiled code.
        run_sweep(replace(plan, sample=1), file, lambda *_: None)
        for _ in range(rounds):
            begin = time.process_time()
            sweep = run_sweep(plan, file, lambda *_: None)
            rates.append(sweep.tried / (time.process_time() - begin))
    return median(rates)
