"""RESULTS.md: the measurements, and the targets that they meet."""

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from benchmarks import hyperopt, live_market, rehearsal, simulation, vectorized
from benchmarks.timing import Times

OURS, HOLES, PANDAS, TALIB = (
    "imbalance_columns",
    "the same, spot rows missing",
    "plain pandas",
    "bare TA-Lib calls",
)
Z, ROBUST_Z = "z alone", "robust z alone"
_PACKAGES = ("numpy", "pandas", "TA-Lib", "bottleneck", "numba", "freqtrade")
_TARGET_TALIB, _TARGET_PANDAS, _TARGET_MILLISECONDS = 2.5, 1 / 3, 5.0
_TARGET_ROBUST = 5.0
_TARGET_BACKTESTS, _TARGET_PORTFOLIOS, _TARGET_GROWTH = 10_000.0, 500.0, 1.2
_TARGET_VECTORBT, _TARGET_HYPEROPT = 20.0, 2_000.0
_TARGET_FIRST, _TARGET_COMPILED = 2.0, 0.3
#: By looks per candle.
_TARGET_REHEARSED = {1: 8.0, 6: 5.0}
_TARGET_LIVE = 2.0
_TARGET_COMBINATIONS, _TARGET_EPOCHS, _TRADES_APART = 1000.0, 0.95, 0.2


@dataclass(frozen=True)
class Target:
    """A performance target and the measured value; lower is better, except for minimum limits."""

    name: str
    limit: float
    found: float
    unit: str
    least: bool = False

    @property
    def verdict(self) -> str:
        """Return whether the target was met, or by how much it was missed."""
        if self.least and self.found >= self.limit:
            return "met"
        if self.least:
            return f"**missed by {1 - self.found / self.limit:.0%}**"
        if self.found <= self.limit:
            return "met"
        return f"**missed by {self.found / self.limit - 1:.0%}**"


@dataclass(frozen=True)
class Results:
    """All measurements of one run.

    :ivar indicators: by number of candles.
    :ivar target_rows: number of candles to which the targets of the indicators apply.
    :ivar strategy: ``populate_indicators`` by preset.
    :ivar strategy_rows: number of candles of ``strategy``.
    :ivar combinations: combinations of a sweep per second.
    :ivar sweep_rows: number of candles of the sweep.
    :ivar epochs: hyperopt's epochs, by strategy.
    :ivar speeds: of the simulation.
    :ivar rehearsed: candles of a rehearsal per second, by looks per candle.
    :ivar live: the cost of a candle of a whole market.
    """

    indicators: Mapping[int, Times]
    target_rows: int
    strategy: Times
    strategy_rows: int
    combinations: float
    sweep_rows: int
    epochs: Mapping[str, hyperopt.Epochs]
    speeds: simulation.Speeds
    rehearsed: Mapping[int, float]
    live: live_market.Live


def targets(results: Results) -> list[Target]:
    """Return all targets with the measured values."""
    times, candles = results.indicators[results.target_rows], f"{results.target_rows:,} candles"
    ratios = (
        (f"all columns, {candles}: at most 2.5 times the {TALIB}", _TARGET_TALIB, TALIB),
        (f"all columns, {candles}: at most 1/3 of {PANDAS}", _TARGET_PANDAS, PANDAS),
    )
    found = [Target(name, limit, times.ratio(OURS, other), "×") for name, limit, other in ratios]
    name = f"{ROBUST_Z}, {candles}: at most {_TARGET_ROBUST:g} times {Z}"
    found.append(Target(name, _TARGET_ROBUST, times.ratio(ROBUST_Z, Z), "×"))
    candles = f"{results.strategy_rows:,} candles"
    for preset in results.strategy.seconds:
        name = f"`populate_indicators`, {preset}, {candles}: at most {_TARGET_MILLISECONDS:g} ms"
        milliseconds = results.strategy.median(preset) * 1e3
        found.append(Target(name, _TARGET_MILLISECONDS, milliseconds, "ms"))
    found += [*_tuning_targets(results), *_simulation_targets(results)]
    for looks, limit in _TARGET_REHEARSED.items():
        name = f"rehearsal, {len(hyperopt.PAIRS)} pairs, {looks} look{'s' * (looks > 1)} a candle"
        name += f": at least {limit:g} candles a second"
        found.append(Target(name, limit, results.rehearsed[looks], "/s", least=True))
    live = results.live
    name = f"live, {live.pairs} perps, {live_market.TIMEFRAME}: at most "
    found += [
        Target(f"{name}{_TARGET_LIVE:g} s from the last answer", _TARGET_LIVE, live.computing, "s"),
        Target(f"{name}one request a series and candle", 1.0, float(live.repeats), "×"),
    ]
    for market, (weight, limit) in live.weights.items():
        target = f"{name}the {market} weight of a minute for a candle's requests"
        found.append(Target(target, 100.0, 100 * weight / limit, "%"))
    return found


def _simulation_targets(results: Results) -> list[Target]:
    """Return the targets of the simulation."""
    speeds, epochs = results.speeds, results.epochs[hyperopt.OURS].rate
    compiled, first = speeds.first
    rates = (
        (f"one pair of {speeds.rows:,} candles", _TARGET_BACKTESTS, speeds.alone),
        (f"{simulation.PORTFOLIO} such pairs, one wallet", _TARGET_PORTFOLIOS, speeds.portfolio),
    )
    found = [
        Target(
            f"simulation, {name}: at least {limit:,.0f} backtests a second",
            *(limit, rate, "/s", True),
        )
        for name, limit, rate in rates
    ]
    found += [
        Target(
            f"simulation, four times as many candles: at most {_TARGET_GROWTH:g} times the time of "
            "each",
            *(_TARGET_GROWTH, speeds.growth, "×"),
        ),
        Target(
            f"simulation, pairs and candles of hyperopt: at least {_TARGET_HYPEROPT:,.0f} times "
            "its epochs a second",
            *(_TARGET_HYPEROPT, speeds.sample / epochs, "×", True),
        ),
    ]
    if speeds.vectorbt is not None:
        found.append(
            Target(
                f"simulation, the same signals: at least {_TARGET_VECTORBT:g} times as fast as "
                "vectorbt",
                *(_TARGET_VECTORBT, speeds.vectorbt, "×", True),
            )
        )
    return [
        *found,
        Target(
            f"simulation, first call, compiled before: at most {_TARGET_COMPILED:g} s",
            *(_TARGET_COMPILED, compiled, "s"),
        ),
        Target(
            f"simulation, first call, to be compiled: at most {_TARGET_FIRST:g} s",
            *(_TARGET_FIRST, first, "s"),
        ),
    ]


def _tuning_targets(results: Results) -> list[Target]:
    """Return the targets of sweep and hyperopt."""
    ours, example = (results.epochs[name] for name in (hyperopt.OURS, hyperopt.EXAMPLE))
    apart = abs(ours.trades / example.trades - 1)
    return [
        Target(
            f"sweep, {results.sweep_rows:,} candles: at least {_TARGET_COMBINATIONS:,.0f} "
            "combinations a second",
            *(_TARGET_COMBINATIONS, results.combinations, "/s", True),
        ),
        Target(
            f"hyperopt: at least {_TARGET_EPOCHS} times the epochs a second of {hyperopt.EXAMPLE}",
            *(_TARGET_EPOCHS, ours.ratio(example), "×", True),
        ),
        Target(
            f"with as many trades: at most {_TRADES_APART:.0%} apart",
            *(_TRADES_APART * 100, apart * 100, "%"),
        ),
    ]


def render(results: Results) -> str:
    """Return the text of RESULTS.md."""
    sections = (
        _introduction(),
        "## Targets\n\n" + _targets_table(results),
        "## All columns of the indicators, preset balanced\n\n" + _indicators_table(results),
        "## `populate_indicators` of the strategy, one pair\n\n"
        "Candles at hand in place of freqtrade's data provider; conservative has the higher "
        "timeframe on.\n\n" + _strategy_table(results),
        "## Growth with length\n\n" + _growth_table(results),
        "## Sweep and hyperopt\n\n" + _tuning(results),
        "## Simulation\n\n" + _simulation(results),
        "## Rehearsal\n\n" + _REHEARSAL,
        "## A whole market live\n\n" + _live(results.live),
    )
    return "\n\n".join(sections) + "\n"


def _introduction() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return (
        "# Speed\n\nWritten by `make bench`; do not edit. What was tried is in "
        "[README.md](README.md).\n\n"
        f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {packages}, "
        f"{os.cpu_count()} cores.\n\n"
        "Milliseconds of processor time. All variants run in turn, round after round, in one "
        "process; a ratio is the median of the ratios of the rounds. Before anything is timed, "
        "all columns are found equal to those of plain pandas.\n\n"
        f"Load of the machine at the end (processes that run or wait): {os.getloadavg()[1]:.1f}. "
        "Above the number of cores, milliseconds are too many; ratios suffer less."
    )


def _targets_table(results: Results) -> str:
    rows = [
        (target.name, f"{target.found:.2f} {target.unit}", target.verdict)
        for target in targets(results)
    ]
    return _table(("target", "found", ""), rows)


def _indicators_table(results: Results) -> str:
    rows = [
        (
            f"{size:,}",
            name,
            f"{times.median(name) * 1e3:.2f}",
            f"{times.minimum(name) * 1e3:.2f}",
            f"{times.ratio(OURS, name):.2f}",
            str(times.rounds),
        )
        for size, times in results.indicators.items()
        for name in times.seconds
    ]
    head = ("candles", "variant", "median", "minimum", f"{OURS} / variant", "rounds")
    return _table(head, rows)


def _strategy_table(results: Results) -> str:
    times = results.strategy
    rows = [
        (
            name,
            f"{times.median(name) * 1e3:.2f}",
            f"{times.minimum(name) * 1e3:.2f}",
            str(times.rounds),
        )
        for name in times.seconds
    ]
    return _table(("preset", "median", "minimum", "rounds"), rows)


def _tuning(results: Results) -> str:
    rows = [
        (name, f"{epochs.rate:.2f}", f"{epochs.trades:.0f}", str(len(epochs.rates)))
        for name, epochs in results.epochs.items()
    ]
    head = ("strategy", "epochs a second", "trades an epoch", "rounds")
    return (
        f"`perp-imbalance sweep`, one pair of {results.sweep_rows:,} candles, each combination "
        "traded as in a backtest, its figures and luck taken and the file written: "
        f"{results.combinations:,.0f} combinations a second on one core.\n\n"
        f"freqtrade's hyperopt with one job on the sample market, {len(hyperopt.PAIRS)} pairs, "
        f"{hyperopt.TIMERANGE}, protections off, both with the ROI table of {hyperopt.EXAMPLE}, "
        "freqtrade's own example. A second of processor time of the epochs alone: of a run with "
        "more of them less one with few. Most of an epoch is freqtrade's own loop over candles and "
        "trades.\n\n" + _table(head, rows)
    )


def _simulation(results: Results) -> str:
    speeds = results.speeds
    absent = "vectorbt is not installed, so the simulation is not compared with it. "
    return (
        f"Whole backtests in the order of a grid of {simulation.GRID.size} combinations around "
        "balanced: bias, gates, zones, orders, fee, funding, statistics. One process, one core. "
        f"One pair makes {speeds.trades:.0f} trades a backtest. vectorbt gets "
        f"{vectorized.COLUMNS} pairs of thresholds at once and the signals ready-made, as the "
        "simulation does there; both make as many trades. "
        + ("" if speeds.vectorbt else absent)
        + "Seconds of a first call are of a process of its own, without its imports."
    )


_REHEARSAL = (
    f"{hyperopt.OURS} on the sample market: freqtrade's own bot on a stepped clock, from "
    f"{rehearsal.START:%Y-%m-%d} on. A second of processor time of the candles alone: from the "
    "end of the first look to that of the last."
)


def _live(live: live_market.Live) -> str:
    """Return the cost of a candle by part, and the cost of the start and the memory."""
    rows = [
        ("freqtrade's requests, answers and frames", live.fetching),
        ("`populate_indicators`", live.indicators),
        ("entries and exits", live.signals),
        ("lines of the log", live.lines),
        ("all else of the analysis, most of it freqtrade's", live.rest),
        ("a look without a new candle, all of it", live.idle),
        ("start and first look, all of it", live.start),
    ]
    weights = ", ".join(
        f"{market} {weight:,.0f} of {limit:,} a minute"
        for found in (live.weights, live.start_weights)
        for market, (weight, limit) in found.items()
    )
    return (
        f"{live_market.STRATEGY} in a dry-run of {live.pairs} perps on the replay exchange, "
        f"{live_market.TIMEFRAME}, on a stepped clock without the shortcuts of a rehearsal, "
        f"{len(live_market.LOOKS)} looks a candle; a third of the perps each with spot, index and "
        "premium index. Seconds of processor time of the bot's thread, the median candle; ccxt's "
        "pauses between requests are not in them.\n\n"
        + _table(("part", "seconds"), [(name, f"{seconds:.2f}") for name, seconds in rows])
        + f"\n\nWeight of the requests of a candle, then of the start: {weights}. Memory of the "
        f"bot and the replay exchange together: {live.megabytes:.0f} MB."
    )


def _growth_table(results: Results) -> str:
    rows = [
        (f"{size:,}", *(f"{times.median(name) / size * 1e9:.0f}" for name in times.seconds))
        for size, times in results.indicators.items()
    ]
    names = next(iter(results.indicators.values())).seconds
    return "Nanoseconds for each candle, median:\n\n" + _table(("candles", *names), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
