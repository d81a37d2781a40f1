"""Full backtests a second by the compiled simulation: ``python -m benchmarks.simulation``."""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks import market as candles
from perp_imbalance.indicators import PRESETS, entry_signals, exit_signals, imbalance_columns
from perp_imbalance.simulation import (
    Markets,
    Rules,
    Signals,
    Statistics,
    Terms,
    join,
    join_signals,
    market,
    signals,
    simulate,
    statistics,
    terms_of,
)

ROWS = 26_000
PAIRS = 10
ROUNDS = 7


def main() -> None:
    """Print the speed of one pair and of a portfolio, on one core."""
    begin = time.process_time()
    pair, given, z = sample(ROWS)
    simulate(pair, given, Rules())
    from_z(pair, z, terms_of(Rules()))
    one, ten = terms_of(Rules()), terms_of(Rules(max_open_trades=3))
    pairs, many = join([pair] * PAIRS), join_signals([given] * PAIRS)
    first = time.process_time() - begin
    count = len(simulate(pair, given, one))
    alone = seconds(lambda: statistics(simulate(pair, given, one), 1000.0), 200)
    everything = seconds(lambda: from_z(pair, z, one), 200)
    shared = seconds(lambda: statistics(simulate(pairs, many, ten), 1000.0), 30)
    print(f"{ROWS} candles, one core, with statistics; data and first call: {first:.2f} s")
    print(f"one pair, {count} trades: {1 / alone:.0f} backtests a second")
    print(f"one pair from z-scores and gates on: {1 / everything:.0f} backtests a second")
    print(f"{PAIRS} pairs, one wallet: {1 / shared:.0f} backtests a second")


def sample(rows: int) -> tuple[Markets, Signals, NDArray[np.float64]]:
    """Return a pair, the signals of the preset ``balanced`` and its z-scores."""
    perp, spot, _ = candles.candles(rows)
    columns = perp.join(imbalance_columns(perp, spot))
    entries = entry_signals(columns, PRESETS["balanced"])
    exits = exit_signals(columns)
    close = np.round(perp["close"].to_numpy(), 1)
    open_ = np.append(close[0], close[:-1])
    prices = {"open": open_, "close": close}
    prices["high"], prices["low"] = np.maximum(open_, close), np.minimum(open_, close)
    times = perp["date"].dt.as_unit("ns").astype("int64").to_numpy()
    pair = market(
        times,
        prices,
        tick=0.1,
        funding_times=times[::8],
        funding_fees=close[::8] * 1e-4,
        amount_step=1e-3,
        min_cost=5.0,
    )
    given = {name: entries[name].to_numpy() for name in ("enter_long", "enter_short")}
    given |= {name: exits[name].to_numpy() for name in ("exit_long", "exit_short")}
    return pair, signals(**given), columns["z"].to_numpy(dtype=np.float64)


def from_z(pair: Markets, z: NDArray[np.float64], terms: Terms) -> Statistics:
    """Return what a pair of thresholds earns, hysteresis and zones included."""
    flags, passes = np.empty(z.size, np.uint8), np.isfinite(z)
    return statistics(simulate(pair, Signals(flags, z), terms), 1000.0)


def seconds(call: Callable[[], object], times: int) -> float:
    """Return the processor time of a call: the best of several rounds."""
    best = np.inf
    for _ in range(ROUNDS):
        begin = time.process_time()
        for _ in range(times):
            call()
        best = min(best, (time.process_time() - begin) / times)
    return float(best)


if __name__ == "__main__":
    main()
