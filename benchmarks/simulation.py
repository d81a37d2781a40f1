"""Measure the compiled simulation in backtests per second, and how its time grows.

Measured in processor time, in one process on one core. Combinations come in the order of a grid, as
in a sweep or a tuning; each is a complete backtest with hysteresis, gates and statistics.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from statistics import median

import numpy as np

from benchmarks import market, vectorized
from benchmarks.hyperopt import PAIRS, TIMERANGE
from benchmarks.strategy import ROOT
from benchmarks.sweep import pair_of
from perp_imbalance.data.sample import ensure_sample_market
from perp_imbalance.files import temporary_folder
from perp_imbalance.indicators.premium import open_times
from perp_imbalance.indicators.thresholds import PRESETS, Thresholds
from perp_imbalance.research.grid import Grid, parse_values
from perp_imbalance.research.pair_history import PairHistories, PairHistory
from perp_imbalance.research.threshold_trades import ThresholdTrades
from perp_imbalance.simulation import Markets, Rules
from perp_imbalance.simulation import market as market_of
from perp_imbalance.strategy.settings import Settings

#: The grid around the preset balanced.
GRID = Grid(
    {
        "enter_z": parse_values("1.6:3:0.1", float),
        "exit_z": parse_values("0.2:1.1:0.1", float),
        "bb_k": [1.0, 1.25, 1.5],
        "use_sigma": [True, False],
    },
    PRESETS["balanced"],
)
PORTFOLIO = 10
_RULES = Rules()
_FIRST = """
import time
from benchmarks.simulation import portfolio
from benchmarks import market
from perp_imbalance.indicators.thresholds import PRESETS
pair = portfolio(market.candles(2_000), 1)
begin = time.process_time()
list(pair.statistics([PRESETS["balanced"]]))
print(time.process_time() - begin)
"""


@dataclass(frozen=True)
class Speeds:
    """Backtests per second of processor time, the median round.

    :ivar rows: number of candles per pair.
    :ivar trades: mean number of trades of a backtest of one pair.
    :ivar growth: time per candle with four times ``rows``, divided by the time with ``rows``.
    :ivar sample: rate on the candles with which hyperopt is measured.
    :ivar vectorbt: rate divided by vectorbt's on the same signals; None if it is not installed.
    :ivar first: seconds of a first call in a new process, with and without compiled code cached.
    """

    rows: int
    alone: float
    trades: float
    portfolio: float
    growth: float
    sample: float
    vectorbt: float | None
    first: tuple[float, float]


def measure(rows: int, combinations: int, rounds: int) -> Speeds:
    """Run all measurements of the simulation.

    :raises ParityError: if vectorbt makes another number of trades.
    """
    candles = market.candles(4 * rows)
    alone, four = portfolio(candles.head(rows), 1), portfolio(candles, 1)
    many = portfolio(candles.head(rows), PORTFOLIO, Rules(max_open_trades=3))
    rates = rounds_of([alone, four, many], combinations, rounds)
    growth = median(one / longer for one, longer in zip(rates[0], rates[1], strict=True)) / 4
    counted = [result.trades for result in alone.statistics(_combinations(combinations))]
    return Speeds(
        rows,
        median(rates[0]),
        float(np.mean(counted)),
        median(rates[2]),
        growth,
        sample_rate(combinations, rounds),
        vectorized.measure(candles.head(rows), rounds),
        (first_call(is_cold=False), first_call(is_cold=True)),
    )


def portfolio(candles: market.Candles, pairs: int, rules: Rules = _RULES) -> ThresholdTrades:
    """Return pairs that share one wallet: the same candles, with premiums shifted in time."""
    pair = pair_of(candles)
    histories = []
    for number in range(pairs):
        premium = np.roll(pair.premium, number * 137)
        histories.append(replace(pair, premium=premium, market=traded(pair)))
    return ThresholdTrades(histories, Settings(), rules)


def traded(pair: PairHistory) -> Markets:
    """Return the candles with shadows, ticks, steps and funding as on an exchange."""
    close = np.round(pair.perp["close"].to_numpy(np.float64), 1)
    open_, times = np.append(close[0], close[:-1]), open_times(pair.perp, "perp")
    prices = {"open": open_, "close": close}
    prices["high"] = np.round(np.maximum(open_, close) * 1.001, 1)
    prices["low"] = np.round(np.minimum(open_, close) * 0.999, 1)
    return market_of(
        times,
        prices,
        tick=0.1,
        funding_times=times[::8],
        funding_fees=close[::8] * 1e-4,
        amount_step=1e-3,
        min_cost=5.0,
    )


def _combinations(count: int) -> Iterator[Thresholds]:
    return islice(GRID.combinations(), count)


def rounds_of(
    traders: Sequence[ThresholdTrades], combinations: int, rounds: int
) -> list[list[float]]:
    """Return the backtests per second of each trader, one value per round; traders take turns."""
    rates: list[list[float]] = [[] for _ in traders]
    for number in range(rounds + 1):
        for trader, found in zip(traders, rates, strict=True):
            begin = time.process_time()
            done = sum(1 for _ in trader.statistics(_combinations(combinations)))
            if number:
                found.append(done / (time.process_time() - begin))
    return rates


def sample_rate(combinations: int, rounds: int) -> float:
    """Return backtests per second on the candles and pairs of the hyperopt measurement."""
    with temporary_folder() as name:
        datadir = ensure_sample_market(name / "binance")
        folder = PairHistories(datadir, "1h", Settings(), timerange=TIMERANGE)
        trader = ThresholdTrades(list(folder.traded(PAIRS)), Settings(), Rules(max_open_trades=3))
        return median(rounds_of([trader], combinations, rounds)[0])


def first_call(*, is_cold: bool) -> float:
    """Return the seconds of processor time of a first call in a new process.

    :param is_cold: whether no compiled code is cached.
    """
    with temporary_folder() as name:
        environment = {"NUMBA_CACHE_DIR": str(name)} if is_cold else {}
        process = subprocess.run(
            [sys.executable, "-c", _FIRST],
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
        )
    return float(process.stdout)
