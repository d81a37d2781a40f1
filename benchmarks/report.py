"""RESULTS.md: what was measured, and which targets it meets."""

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from benchmarks.timing import Times

OURS, HOLES, PANDAS, TALIB = (
    "imbalance_columns",
    "the same, spot rows missing",
    "plain pandas",
    "bare TA-Lib calls",
)
_PACKAGES = ("numpy", "pandas", "TA-Lib", "freqtrade")
_TARGET_TALIB, _TARGET_PANDAS, _TARGET_MILLISECONDS = 2.5, 1 / 3, 5.0


@dataclass(frozen=True)
class Target:
    """One demand and what was found: the less, the better."""

    name: str
    limit: float
    found: float
    unit: str

    @property
    def verdict(self) -> str:
        """Say whether the target was met, or by how much it was missed."""
        if self.found <= self.limit:
            return "met"
        return f"**missed by {self.found / self.limit - 1:.0%}**"


@dataclass(frozen=True)
class Results:
    """All measurements of one run.

    :ivar indicators: by number of candles.
    :ivar target_rows: the number of candles that the targets of the indicators are about.
    :ivar strategy: ``populate_indicators`` by preset.
    :ivar strategy_rows: on so many candles.
    """

    indicators: Mapping[int, Times]
    target_rows: int
    strategy: Times
    strategy_rows: int


def targets(results: Results) -> list[Target]:
    """Return the targets, each with what was measured."""
    times, candles = results.indicators[results.target_rows], f"{results.target_rows:,} candles"
    ratios = (
        (f"all columns, {candles}: at most 2.5 times the {TALIB}", _TARGET_TALIB, TALIB),
        (f"all columns, {candles}: at most 1/3 of {PANDAS}", _TARGET_PANDAS, PANDAS),
    )
    found = [Target(name, limit, times.ratio(OURS, other), "×") for name, limit, other in ratios]
    candles = f"{results.strategy_rows:,} candles"
    for preset in results.strategy.seconds:
        name = f"`populate_indicators`, {preset}, {candles}: at most {_TARGET_MILLISECONDS:g} ms"
        milliseconds = results.strategy.median(preset) * 1e3
        found.append(Target(name, _TARGET_MILLISECONDS, milliseconds, "ms"))
    return found


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
        "all columns are found equal to those of plain pandas."
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
