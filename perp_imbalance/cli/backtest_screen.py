"""The final screen of ``perp-imbalance backtest``: at most 80 columns and 24 lines."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perp_imbalance.cli.console import json_text, page_console

if TYPE_CHECKING:
    from perp_imbalance.reporting.backtest_result import Result

#: Numeric columns of the table: heading, key in a row, format.
NUMBERS = (
    ("trades", "trades", "d"),
    ("net %", "profit_pct", ".2f"),
    ("drawdown", "drawdown_pct", ".2f"),
    ("fees", "fees", ".2f"),
    ("funding", "funding", ".2f"),
)


@dataclass(frozen=True)
class Ending:
    """What ``perp-imbalance backtest`` prints when it ends.

    :ivar result: freqtrade's result file; None if none was written.
    :ivar report: the report page; None if none was written.
    :ivar notes: what the figures leave out, one note per line.
    :ivar next_command: the command to run next.
    :ivar datadir: the folder of the candles.
    """

    result: Path | None
    report: Path | None
    notes: Sequence[str]
    next_command: str | None
    datadir: Path

    def show(self, *, as_json: bool = False) -> None:
        """Print the result as a table, or as one JSON object."""
        from perp_imbalance.data.sample import is_sample_market
        from perp_imbalance.reporting.backtest_result import read_result

        result = read_result(self.result) if self.result else None
        rows = _rows(result) if result else []
        synthetic = is_sample_market(self.datadir)
        if as_json:
            print(json_text(self._as_dict(rows, synthetic)))
            return
        if result:
            self._print_table(result, rows, synthetic)
        for note in self.notes:
            print(f"Note: {note}")
        for name, file in (("Results", self.result), ("Report", self.report)):
            if file:
                print(f"{name}: {_short(file)}")
        if self.next_command:
            print(f"Next: {self.next_command}")

    def _as_dict(self, rows: list[dict[str, Any]], synthetic: bool) -> dict[str, Any]:
        return {
            "synthetic": synthetic,
            "datadir": str(self.datadir),
            "strategies": rows,
            "notes": list(self.notes),
            "result": str(self.result) if self.result else None,
            "report": str(self.report) if self.report else None,
            "next": self.next_command,
        }

    def _print_table(self, result: "Result", rows: list[dict[str, Any]], synthetic: bool) -> None:
        from rich.table import Table

        from perp_imbalance.research.account import LEAST_TRADES

        first, last = (f"{moment:%Y-%m-%d}" for moment in result.span)
        stats = result.outcomes[0].stats
        pairs = len(stats["pairlist"])
        told = f"{result.timeframe}, {pairs} pair{'s' if pairs > 1 else ''}"
        told += ", SYNTHETIC market" if synthetic else ""
        print(f"Backtest of {first} to {last}, {told}")
        print(f"Candles: {_short(self.datadir)}\n")
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
        # Wide enough for the names of the presets.
        table.add_column("strategy", overflow="fold", min_width=25)
        for heading, _, _ in NUMBERS:
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("verdict")
        for row in rows:
            numbers = (_number(row[key], form) for _, key, form in NUMBERS)
            table.add_row(row["strategy"], *numbers, row["verdict"])
        page_console().print(table)
        coin = result.config.get("stake_currency", "the stake currency")
        print(
            f"\nNet is after fees and funding; drawdown is of closed trades. Net and drawdown\n"
            f"are % of the first wallet ({stats['starting_balance']:g} {coin}), fees and "
            f"funding {coin};\nfunding above 0 was received. "
            f"Too few trades: fewer than {LEAST_TRADES}.\n"
        )


def _rows(result: "Result") -> list[dict[str, Any]]:
    """Return the summary of each strategy of a result, in the order of the result."""
    import pandas as pd
    from freqtrade.exchange import timeframe_to_seconds

    from perp_imbalance.reporting.tables import summary, with_signal_columns

    candle = pd.Timedelta(seconds=timeframe_to_seconds(result.timeframe))
    rows = []
    for outcome in result.outcomes:
        trades = outcome.trades
        if len(trades):
            # Of their columns only fees and turnover are read, which need no candles.
            trades = with_signal_columns(trades, {}, candle, 0.0)
        row = summary(outcome.strategy, trades, outcome.stats)
        # Known with candles only; the report has it.
        del row["marked_drawdown_pct"]
        rows.append(row)
    return rows


def _number(value: float, form: str) -> str:
    """Return a number as text; a number that rounds to zero has no sign.

    >>> _number(-0.001, ".2f")
    '0.00'
    """
    text = f"{value:{form}}"
    return text.removeprefix("-") if not float(text) else text


def _short(file: Path) -> Path:
    """Return a path relative to the working folder if it is inside, else unchanged."""
    here = Path.cwd()
    return file.relative_to(here) if file.is_relative_to(here) else file
