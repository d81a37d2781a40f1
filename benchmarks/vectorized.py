"""Backtest the same signals with vectorbt, which computes on whole arrays."""

import time
from importlib.util import find_spec
from itertools import islice
from statistics import median
from typing import Any

import numpy as np

from benchmarks.market import Candles
from benchmarks.variants import ParityError
from perp_imbalance.indicators import PRESETS, entry_signals, exit_signals, imbalance_columns
from perp_imbalance.research.grid import Grid, parse_values
from perp_imbalance.simulation import (
    Rules,
    Signals,
    market,
    signals,
    simulate,
    statistics,
    terms_of,
)

#: Pairs of thresholds, passed to vectorbt all at once, which is its fastest use.
GRID = Grid(
    {"enter_z": parse_values("1.6:2.5:0.1", float), "exit_z": [0.3, 0.5, 0.7, 0.9]},
    PRESETS["balanced"],
)
COLUMNS = 40
_NAMES = ("enter_long", "exit_long", "enter_short", "exit_short")


def measure(candles: Candles, rounds: int) -> float | None:
    """Return the simulation's speed divided by vectorbt's; None if vectorbt is not installed.

    Fills at the next open, one fee, one position at a time; no stop, because the two differ there.

    :raises ParityError: if the numbers of trades differ.
    """
    if find_spec("vectorbt") is None:
        return None
    import vectorbt

    prices, columns = prices_of(candles), columns_of(candles)
    times = candles.perp["date"].dt.as_unit("ns").astype("int64").to_numpy()
    pair, terms = market(times, prices, tick=0.1), terms_of(Rules(stoploss=-0.99))
    given = [signals(**{name: column[name] for name in _NAMES}) for column in columns]
    # A candle's signal is filled at the open of the next candle.
    tables = {
        name: np.column_stack([np.append(False, column[name][:-1] == 1) for column in columns])
        for name in _NAMES
    }

    def ours() -> list[int]:
        return [_count(pair, one, terms) for one in given]

    def theirs() -> Any:
        portfolio = vectorbt.Portfolio.from_signals(
            prices["open"][:, np.newaxis],
            tables["enter_long"],
            tables["exit_long"],
            short_entries=tables["enter_short"],
            short_exits=tables["exit_short"],
            fees=0.0005,
            init_cash=1000.0,
            freq="1h",
        )
        return portfolio.trades.count(), portfolio.total_return()

    expected = theirs()[0].to_list()
    if ours() != expected:
        raise ParityError(f"trades of the simulation are {ours()}, of vectorbt {expected}")
    ratios = []
    for _ in range(rounds):
        begin = time.process_time()
        theirs()
        between = time.process_time()
        ours()
        ratios.append((between - begin) / (time.process_time() - between))
    return median(ratios)


def prices_of(candles: Candles) -> dict[str, Any]:
    """Return prices on ticks; each candle opens at the previous close."""
    close = np.round(candles.perp["close"].to_numpy(np.float64), 1)
    open_ = np.append(close[0], close[:-1])
    high, low = np.maximum(open_, close), np.minimum(open_, close)
    return {"open": open_, "high": high, "low": low, "close": close}


def columns_of(candles: Candles) -> list[dict[str, Any]]:
    """Return the signals of each pair of thresholds."""
    found = []
    for thresholds in islice(GRID.combinations(), COLUMNS):
        columns = imbalance_columns(candles.perp, candles.spot, thresholds=thresholds)
        columns = candles.perp.join(columns)
        entries, exits = entry_signals(columns, thresholds), exit_signals(columns)
        found.append({name: {**entries, **exits}[name].to_numpy() for name in _NAMES})
    return found


def _count(pair: Any, given: Signals, terms: Any) -> int:
    return statistics(simulate(pair, given, terms), 1000.0).trades
