"""``python -m benchmarks``: check that all variants agree, time them, write RESULTS.md."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import (
    hyperopt,
    live_market,
    market,
    rehearsal,
    simulation,
    strategy,
    sweep,
    variants,
)
from benchmarks.report import HOLES, OURS, PANDAS, ROBUST_Z, TALIB, Results, Z, render
from benchmarks.timing import Times, paired
from perp_imbalance.errors import PerpImbalanceError
from perp_imbalance.indicators import imbalance_columns
from perp_imbalance.indicators.deviation import robust_z_score
from perp_imbalance.indicators.gates import GATE_SERIES
from perp_imbalance.indicators.zscore import z_score

RESULTS = Path(__file__).with_name("RESULTS.md")


@dataclass(frozen=True)
class Plan:
    """The size of all measurements.

    :ivar rounds: rounds by number of candles.
    :ivar target_rows: number of candles to which the targets of the indicators apply.
    """

    rounds: Mapping[int, int]
    target_rows: int
    strategy_rows: int
    strategy_rounds: int
    sweep_rows: int
    combinations: int
    sweep_rounds: int
    epochs: int
    epoch_rounds: int
    backtests: int
    backtest_rounds: int
    rehearsed: int
    rehearsal_rounds: int
    live_pairs: int
    live_candles: int


FULL = Plan(
    rounds={1_000: 400, 10_000: 200, 100_000: 150, 1_000_000: 15},
    target_rows=100_000,
    strategy_rows=1_000,
    strategy_rounds=300,
    sweep_rows=26_000,
    combinations=2_000,
    sweep_rounds=5,
    epochs=20,
    epoch_rounds=3,
    backtests=900,
    backtest_rounds=5,
    rehearsed=120,
    rehearsal_rounds=3,
    live_pairs=450,
    live_candles=5,
)
QUICK = Plan(
    rounds={500: 3, 2_000: 3},
    target_rows=2_000,
    strategy_rows=1_000,
    strategy_rounds=5,
    sweep_rows=2_000,
    combinations=50,
    sweep_rounds=1,
    epochs=2,
    epoch_rounds=1,
    backtests=50,
    backtest_rounds=1,
    rehearsed=12,
    rehearsal_rounds=1,
    live_pairs=6,
    live_candles=2,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all measurements and write the report.

    :return: exit code: 1 if the variants do not agree; nothing is written then.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few candles and rounds: a trial run")
    parser.add_argument("--output", type=Path, default=RESULTS, help="file to write")
    options = parser.parse_args(arguments)
    try:
        results = measure(QUICK if options.quick else FULL)
    except PerpImbalanceError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    text = render(results)
    options.output.write_text(text, encoding="utf-8")
    print(text, end="")
    return 0


def measure(plan: Plan) -> Results:
    """Check that variants agree on all numbers of candles, then time everything.

    :raises ParityError: if variants compute different values.
    """
    # Cut from the longest market, so that all memory is in use before the first round.
    longest = market.candles(max(*plan.rounds, plan.strategy_rows, plan.sweep_rows))
    calls = {rows: checked_variants(longest.head(rows)) for rows in plan.rounds}
    indicators = {rows: paired(calls.pop(rows), rounds) for rows, rounds in plan.rounds.items()}
    return Results(
        indicators,
        plan.target_rows,
        measure_strategy(longest.head(plan.strategy_rows), plan.strategy_rounds),
        plan.strategy_rows,
        sweep.measure(longest.head(plan.sweep_rows), plan.combinations, plan.sweep_rounds),
        plan.sweep_rows,
        hyperopt.measure(plan.epochs, plan.epoch_rounds),
        simulation.measure(plan.sweep_rows, plan.backtests, plan.backtest_rounds),
        rehearsal.measure(plan.rehearsed, plan.rehearsal_rounds),
        live_market.measure(plan.live_pairs, plan.live_candles),
    )


def checked_variants(candles: market.Candles) -> dict[str, Callable[[], object]]:
    """Return the variants that compute the columns of one market, after checking that they agree.

    :raises ParityError: if they do not.
    """
    perp, spot, holes = candles
    frames: dict[str, Callable[[], pd.DataFrame]] = {
        OURS: lambda: imbalance_columns(perp, spot),
        HOLES: lambda: imbalance_columns(perp, holes),
        PANDAS: lambda: variants.plain_pandas(perp, spot),
    }
    expected = frames[PANDAS]()
    for name, call in frames.items():
        variants.check_parity(call(), expected, name)
    premium = np.nan_to_num(expected["premium"].to_numpy(dtype=np.float64))
    close = perp["close"].to_numpy(dtype=np.float64)
    # The cost of each option on top of the columns of the preset balanced.
    options = {
        "deviation gate": replace(variants.BALANCED, min_deviation_bps=10.0),
        "robust z": replace(variants.BALANCED, robust_z=True),
    }
    for name, thresholds in options.items():
        frames[f"with {name}"] = partial(imbalance_columns, perp, spot, thresholds=thresholds)
    htf = market.higher(perp), market.higher(spot)
    frames["with higher timeframe"] = partial(
        imbalance_columns,
        perp,
        spot,
        htf=htf,
        timeframe=market.TIMEFRAME,
        htf_timeframe=market.HIGHER_TIMEFRAME,
    )
    alone: dict[str, Callable[[], object]] = {
        Z: lambda: z_score(premium, variants.BALANCED.len_prem, 3),
        ROBUST_Z: lambda: robust_z_score(premium, variants.BALANCED.dev_len, 3),
    }
    # The inputs of the gates of funding and open interest.
    for switch, series in market.series(perp).items():
        gate = GATE_SERIES[switch]
        name = f"{gate.column.replace('_', ' ')} alone"
        alone[name] = partial(gate.on_rows, perp, market.TIMEFRAME, series)
    return {**frames, **alone, TALIB: lambda: variants.bare_talib(premium, close)}


def measure_strategy(candles: market.Candles, rounds: int) -> Times:
    """Time ``populate_indicators`` of the presets with the least and the most work."""
    calls = {preset: strategy.populate(preset, candles, rounds) for preset in strategy.STRATEGIES}
    return paired(calls, rounds)


if __name__ == "__main__":
    sys.exit(main())
