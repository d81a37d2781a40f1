"""The report as one HTML page: verdict, tables, figures, and charts of single trades."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from perp_imbalance.plotting.chart import chart_section
from perp_imbalance.plotting.html_page import (
    TOO_FEW,
    Charts,
    Figure,
    Link,
    Part,
    Section,
    Table,
    number,
    write_page,
)
from perp_imbalance.reporting.figures import MOST_MARKS, Figures
from perp_imbalance.reporting.strategy_runs import StrategyRun
from perp_imbalance.reporting.tables import GROUPINGS, best_trades, worst_trades
from perp_imbalance.research.account import LEAST_TRADES
from perp_imbalance.strategy.palette import Palette

#: Number of best and of worst trades drawn per strategy.
MOST = 3
#: Candles that a small chart shows before and after a trade.
AROUND = 30
#: Most candles of a trade that a small chart shows.
LONGEST = 400


def _signed(value: float) -> str:
    return number(value, sign=True)


def _percent_of(share: float) -> str:
    return number(share * 100.0, 0)


# Headings and formats of columns that do not use their own name or the default format.
_COLUMNS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "trades": ("trades", int),
    "won": ("won, %", _percent_of),
    "profit_pct": ("profit, %", _signed),
    "before_costs_pct": ("before costs, %", _signed),
    "fees_pct": ("fees, %", number),
    "fees_bps": ("fees, bps of turnover", number),
    "funding_pct": ("funding, %", _signed),
    "funding_bps": ("funding, bps of turnover", _signed),
    "turnover": ("turnover, times the wallet", number),
    "drawdown_pct": ("drawdown, %", number),
    "marked_drawdown_pct": ("with open positions, %", number),
    "sharpe": ("Sharpe", number),
    "profit_factor": ("profit factor", number),
    "mean_pct": ("mean, % of the stake", _signed),
    "share": ("% of the bias", lambda share: number(share * 100.0, 1)),
    "left before it cooled": ("left before it cooled, %", _percent_of),
    "premium came back": ("premium came back, %", _percent_of),
    "won where it did": ("won where it did, %", _percent_of),
    "won where it did not": ("won where it did not, %", _percent_of),
}
# Columns counted in candles.
_COLUMNS |= {
    f"{name} {which}": (f"{name.replace('_', ' ')}, {which}", lambda candles: number(candles, 1))
    for name in ("held", "to_cool")
    for which in ("median", "90 %", "longest")
}
_SUMMARY = (
    *("strategy", "verdict", "trades", "won", "profit_pct", "drawdown_pct"),
    *("marked_drawdown_pct", "sharpe", "profit_factor"),
)
_COSTS = (
    *("strategy", "before_costs_pct", "fees_pct", "funding_pct", "profit_pct"),
    *("turnover", "fees_bps", "funding_bps"),
)
_RATIOS = ("sharpe", "profit_factor")
_GROUPS = {
    "pair": "What each pair added to the wallet.",
    "exit tag": "Why positions ended.",
    "side": "Shorts are entered where perp longs are crowded, longs where perp shorts are.",
    "|z| at entry": "By how extreme the premium was on the signal's candle.",
    "hour": "By the hour (UTC) in which a position was opened.",
    "month": "By the month (UTC) in which a position was closed.",
}
_SUMMARY_TEXT = (
    "In percent of the wallet at the beginning, after fees and funding. The drawdown and Sharpe "
    "are freqtrade's, whose backtest counts a position when it closes. Sharpe and profit factor "
    f"need at least {LEAST_TRADES} trades."
)
_COSTS_TEXT = (
    "In percent of the wallet at the beginning. Before costs: what the same trades would have made "
    "without fees and funding. Turnover: the value of all orders. 100 bps are 1 %."
)
_EQUITY_TEXT = (
    "Open positions are valued at each candle's close, as buy and hold is. Where the candles are "
    "missing, a position counts when it closes."
)
_NO_ENTRY_TEXT = (
    "Each candle on which the strategy had a bias and did not enter, by reason. A candle with "
    "several reasons counts for each of them; the last column counts the candles that had this "
    "reason only. A reason with many candles in that column keeps a preset from trading."
)
_COOLING_TEXT = (
    "Held: candles from entry to exit. To cool: candles from the signal's to the first with |z| "
    "below exit_z. The figure shows the share of trades for which each took at most so many "
    "candles. Where the line of held runs above its dots, positions ended before z had cooled: by "
    "a stop, a flip or a stale premium."
)
_PREMIUM_TEXT = (
    "Captured: how far the premium came back between the signals of entry and exit, in percentage "
    "points, positive for the side of the trade. The rest of the price's move is the market's. "
    f"Of a strategy with more than {MOST_MARKS} trades the figure shows an even selection; the "
    "table counts all."
)
_TRADES_TEXT = (
    "of each strategy, by share of the stake. A link leads to the trade's chart. The whole chart "
    "of a pair: perp-imbalance plot, with --trades and the name of this result."
)


def write_report(
    file: Path,
    title: str,
    notes: Sequence[str],
    runs: Sequence[StrategyRun],
    tables: Mapping[str, pd.DataFrame],
    market: "pd.Series[float]",
    colors: Palette,
) -> None:
    """Write the report page, atomically.

    :param notes: paragraphs below the verdict.
    :param tables: as :func:`perp_imbalance.reporting.build.tables_of` returns them.
    :raises CommandError: if the file cannot be written.
    """
    figures = Figures([run.outcome.strategy for run in runs], colors)
    traded = {run.outcome.strategy: run.trades for run in runs if len(run.trades)}
    summary, by_group = tables["preset"], _groups(tables, runs, figures)
    sections = [
        Section("By preset", [_SUMMARY_TEXT, _table(summary, _SUMMARY)]),
        Section("Costs", [_COSTS_TEXT, _table(summary, _COSTS)]),
        Section("Equity and drawdown", [_EQUITY_TEXT, Figure(figures.equity(runs, market))]),
        by_group.pop("pair"),
    ]
    if len(tables["no entry"]):
        signals, reasons = (_table(tables[name]) for name in ("signals", "no entry"))
        sections.append(Section("Why there was no entry", [_NO_ENTRY_TEXT, signals, reasons]))
    sections += [
        _single_trades("Worst trades", "that lost most", worst_trades, runs, colors),
        _single_trades("Best trades", "that gained most", best_trades, runs, colors),
    ]
    sections += by_group.values()
    if any(len(run.charts) for run in runs):
        cooling, premium = Figure(figures.cooling(traded)), Figure(figures.premium(traded))
        sections += [
            Section("Held, and time to cool", [_COOLING_TEXT, cooling, _table(tables["cooling"])]),
            Section("Premium and price", [_PREMIUM_TEXT, premium, _table(tables["premium"])]),
        ]
    said = _verdict(summary, market)
    write_page(file, title, said, sections, colors=colors, notes=notes)


def _verdict(summary: pd.DataFrame, market: "pd.Series[float]") -> str:
    """Return one line with the result of each strategy and of buy-and-hold."""
    said = [
        f"{row['strategy']} {_signed(row['profit_pct'])} % ({row['verdict']})"
        for row in summary.to_dict("records")
    ]
    if len(market):
        said.append(f"buy and hold {_signed((float(market.iloc[-1]) - 1.0) * 100.0)} %")
    return "; ".join(said)


def _groups(
    tables: Mapping[str, pd.DataFrame], runs: Sequence[StrategyRun], figures: Figures
) -> dict[str, Section]:
    """Return a section for each grouping, with profits in percent of the wallet."""
    wallet = float(runs[0].outcome.stats["starting_balance"])
    sections = {}
    for name in GROUPINGS:
        shares = tables[name].assign(
            profit_pct=tables[name]["profit"] / wallet * 100.0,
            fees_pct=tables[name]["fees"] / wallet * 100.0,
        )
        numbers = _table(shares.drop(columns=["profit", "fees"]).rename(columns={"group": name}))
        parts: list[Part] = [_GROUPS[name], Figure(figures.profit(shares, name))]
        parts.append(numbers if name == "pair" else replace(numbers, is_folded=True))
        sections[name] = Section("By pair" if name == "pair" else f"Profit by {name}", parts)
    return sections


def _table(table: pd.DataFrame, columns: Sequence[str] | None = None) -> Table:
    """Return a table with headings and number formats for the page."""
    rows = []
    for row in table.to_dict("records"):
        shown: dict[str, Any] = {}
        for key in columns or row:
            head, form = _COLUMNS.get(str(key), (str(key), number))
            value = row[key]
            if key in _RATIOS and row["trades"] < LEAST_TRADES:
                shown[head] = TOO_FEW
            elif value is None or pd.isna(value):
                shown[head] = None
            else:
                shown[head] = form(value) if isinstance(value, float) or key == "trades" else value
        rows.append(shown)
    return Table(rows)


def _single_trades(
    title: str,
    which: str,
    choose: Callable[[pd.DataFrame, int], pd.DataFrame],
    runs: Sequence[StrategyRun],
    colors: Palette,
) -> Section:
    """Return a section with a table of trades, and a small chart of each trade that has candles."""
    rows: list[dict[str, Any]] = []
    charts: dict[str, str] = {}
    for run in runs:
        if not len(run.trades):
            continue
        for trade in choose(run.trades, MOST).itertuples():
            anchor = f"{title.split()[0].lower()}-{len(rows) + 1}"
            chart = run.charts.get(str(trade.pair))
            rows.append(_trade_row(run, trade, anchor if chart else None))
            if chart is not None:
                part = _around(chart, trade, run)
                charts[anchor] = chart_section(part, colors, small=True)
    if not rows:
        return Section(title, [f"There is no trade {which}."])
    parts: list[Part] = [f"The {MOST} trades {which} {_TRADES_TEXT}", Table(rows)]
    return Section(title, [*parts, *([Charts(charts)] if charts else [])])


def _trade_row(run: StrategyRun, trade: Any, anchor: str | None) -> dict[str, Any]:
    opened = f"{trade.open_date:%Y-%m-%d %H:%M}"
    wallet = float(run.outcome.stats["starting_balance"])
    return {
        "strategy": run.outcome.strategy,
        "pair": str(trade.pair),
        "side": "short" if trade.is_short else "long",
        "opened (UTC)": Link(opened, anchor) if anchor else opened,
        "candles": f"{trade.held:.0f}",
        "z at entry": _signed(trade.z_entry),
        "exit tag": str(trade.exit_reason),
        "profit, % of the stake": _signed(trade.profit_ratio * 100.0),
        "profit, % of the wallet": _signed(trade.profit_abs / wallet * 100.0),
    }


def _around(chart: Any, trade: Any, run: StrategyRun) -> Any:
    """Return the part of a chart around a trade."""
    candle = pd.Timedelta(seconds=chart.seconds)
    until = min(trade.close_date, trade.open_date + candle * LONGEST)
    part = chart.between(trade.open_date - candle * AROUND, until + candle * AROUND)
    one = run.trades.loc[[trade.Index]]
    return replace(
        part,
        trades=one,
        note=f"{_signed(trade.profit_ratio * 100.0)} % {'short' if trade.is_short else 'long'}, "
        f"{trade.exit_reason}",
    )
