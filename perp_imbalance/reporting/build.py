"""Build the report of a result file."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from perp_imbalance.data.sample import is_sample_market
from perp_imbalance.reporting.backtest_result import Result, read_result
from perp_imbalance.reporting.report_page import write_report
from perp_imbalance.reporting.strategy_runs import ReportInput, StrategyRun, load_report_input
from perp_imbalance.reporting.tables import (
    GROUPINGS,
    by_strategy,
    cooling,
    no_entry,
    premium_against_price,
    signals,
    summary,
)
from perp_imbalance.strategy.palette import Palette


@dataclass(frozen=True)
class Report:
    """A report that was written.

    :ivar notes: what the report leaves out, and why.
    """

    file: Path
    tables: dict[str, pd.DataFrame]
    notes: Sequence[str]

    @property
    def fees(self) -> str:
        """The fees that each strategy paid, as one line of text."""
        rows = self.tables["preset"].to_dict("records")
        said = ", ".join(
            f"{row['strategy']} {row['fees']:.2f} ({row['fees_pct']:.1f} % of the wallet)"
            for row in rows
            if row["trades"]
        )
        return f"Fees paid: {said}"

    def as_dict(self) -> dict[str, Any]:
        """Return everything but the figures as plain data."""
        tables = {
            name: json.loads(table.to_json(orient="records")) for name, table in self.tables.items()
        }
        return {"html": str(self.file), "notes": list(self.notes), "tables": tables}


def make_report(
    file: Path,
    *,
    datadir: Path | None,
    fallback: Path,
    strategies: Path,
    output: Path,
    palette: Palette,
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """Read a result, recompute the strategies' columns, and write the page.

    :param file: freqtrade's result file.
    :param datadir: the candles of the backtest; None for the folder that the result names.
    :param fallback: the candles to use if the result names no folder.
    :param strategies: folder of the strategies.
    :param output: file of the page.
    :param tell: called with the current step.
    :raises DataError: if the file is not a result of this project's strategies.
    """
    tell("result")
    result = read_result(file)
    datadir = datadir or Path(result.config.get("datadir", fallback))
    opened = load_report_input(result, datadir, strategies, tell)
    tables = tables_of(opened.seen)
    tell("page")
    first, last = (f"{moment:%Y-%m-%d}" for moment in result.span)
    title = f"Backtest of {first} to {last}, {result.timeframe}"
    if is_sample_market(datadir):
        title += ": SYNTHETIC sample market, no real prices"
    write_report(output, title, _said(result, opened), opened.seen, tables, opened.market, palette)
    return Report(output, tables, opened.notes)


def tables_of(seen: Sequence[StrategyRun]) -> dict[str, pd.DataFrame]:
    """Return all tables of a report by name."""
    traded = {found.outcome.strategy: found.trades for found in seen if len(found.trades)}
    tables = {name: by_strategy(traded, name) for name in GROUPINGS}
    rows = [summary(f.outcome.strategy, f.trades, f.outcome.stats, f.marked) for f in seen]
    tables["preset"] = pd.DataFrame(rows)
    counted = {run.outcome.strategy: run for run in seen if run.no_entry}
    tables["signals"] = pd.DataFrame(
        [signals(name, run.no_entry, len(run.trades)) for name, run in counted.items()]
    )
    tables["no entry"] = pd.DataFrame(
        [row for name, run in counted.items() for row in no_entry(name, run.no_entry)]
    )
    tables["cooling"] = pd.DataFrame([cooling(name, found) for name, found in traded.items()])
    tables["premium"] = pd.DataFrame(
        [premium_against_price(name, found) for name, found in traded.items()]
    )
    return tables


def _said(result: Result, opened: ReportInput) -> list[str]:
    """Return the notes below the verdict."""
    pairs = ", ".join(result.outcomes[0].stats["pairlist"])
    return [f"{result.file.name}: {pairs}. Times are UTC.", *opened.notes]
