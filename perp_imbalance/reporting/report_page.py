"""The report as one page: tables, figures, and the worst trades with a small chart each."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perp_imbalance.plotting.chart import chart_scripts, chart_section
from perp_imbalance.plotting.html_page import html_table, write_page
from perp_imbalance.reporting.figures import MOST_MARKS, Figures
from perp_imbalance.reporting.strategy_runs import StrategyRun
from perp_imbalance.reporting.tables import GROUPINGS, worst_trades
from perp_imbalance.strategy.palette import Palette

#: Trades of each strategy that are drawn because they lost most.
WORST = 3
#: Candles of a small chart before a trade and after it.
AROUND = 30
#: Most candles of a trade that a small chart shows.
LONGEST = 400

_COLUMNS = {
    "trades": ("trades", "{:d}"),
    "won": ("won", "{:.0%}"),
    "profit_pct": ("profit %", "{:+.2f}"),
    "before_costs_pct": ("before costs %", "{:+.2f}"),
    "fees_pct": ("fees %", "{:.2f}"),
    "fees": ("fees", "{:.2f}"),
    "funding_pct": ("funding %", "{:+.2f}"),
    "drawdown_pct": ("drawdown %", "{:.2f}"),
    "marked_drawdown_pct": ("incl. open", "{:.2f}"),
    "sharpe": ("Sharpe", "{:.2f}"),
    "profit_factor": ("profit factor", "{:.2f}"),
    "mean_pct": ("mean % of stake", "{:+.3f}"),
    "profit": ("profit", "{:+.2f}"),
    "left before it cooled": ("left before it cooled", "{:.0%}"),
    "premium came back": ("premium came back", "{:.0%}"),
    "won where it did": ("won where it did", "{:.0%}"),
    "won where it did not": ("won where it did not", "{:.0%}"),
}
_SAID = {
    "exit tag": "Why positions ended.",
    "side": "Shorts are entered where perp longs are crowded, longs where perp shorts are.",
    "|z| at entry": "By how extreme the premium was on the signal's candle.",
    "hour": "By the hour (UTC) in which a position was opened.",
    "month": "By the month (UTC) in which a position was closed.",
}


def write_report(
    file: Path,
    title: str,
    said: Sequence[str],
    seen: Sequence[StrategyRun],
    tables: Mapping[str, pd.DataFrame],
    market: "pd.Series[float]",
    palette: Palette,
) -> None:
    """Write the page; it appears when it is whole.

    :param said: paragraphs below the title.
    :param tables: as :func:`perp_imbalance.reporting.build.tables_of` returns them.
    :raises CommandError: if it cannot be written there.
    """
    figures = Figures([found.outcome.strategy for found in seen], palette)
    wallet = float(seen[0].outcome.stats["starting_balance"])
    traded = {found.outcome.strategy: found.trades for found in seen if len(found.trades)}
    parts: list[Any] = [
        *_section("By preset", _SUMMARY_SAID, _table(tables["preset"])),
        *_section("Equity and drawdown", _EQUITY_SAID, figures.equity(seen, market)),
    ]
    for name in GROUPINGS:
        figure = figures.profit(tables[name], wallet, name)
        parts += _section(f"Profit by {name}", _SAID[name], figure, _folded(tables[name]))
    if any(len(found.charts) for found in seen):
        cooling, premium = figures.cooling(traded), figures.premium(traded)
        parts += _section("Held, and time to cool", _COOLING, cooling, _table(tables["cooling"]))
        parts += _section("Premium and price", _PREMIUM, premium, _table(tables["premium"]))
    parts += _worst(seen, palette)
    write_page(file, title, said, parts, style=_style(palette))


_SUMMARY_SAID = (
    "In percent of the wallet at the beginning. Before costs: what the trades would have made "
    "without fees and funding. Drawdown and Sharpe are freqtrade's, whose backtest counts a "
    'position when it closes; "incl. open" is the drawdown with open positions at each close.'
)
_EQUITY_SAID = (
    "Open positions are valued at each candle's close, as holding is; where the candles are gone, "
    "a position counts when it closes."
)
_COOLING = (
    "Held: candles from entry to exit. To cool: candles from the signal's to the first with |z| "
    "below exit_z. Where the line of held runs above its dots, positions ended before z had "
    "cooled: stopped, flipped or stale."
)
_PREMIUM = (
    "Captured: how far the premium came back between the signals of entry and exit, in points of "
    "percent, positive for the side of the trade. The rest of the price's move is the market's. "
    f"Of a strategy with more than {MOST_MARKS} trades some are drawn, evenly picked; the numbers "
    "are of all."
)


def _section(title: str, said: str, *parts: Any) -> list[Any]:
    about = f"<p>{html.escape(said)}</p>" if said else ""
    return [f"<h2>{html.escape(title)}</h2>{about}", *parts]


def _shown(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows with the names and formats for a reader."""
    rows: list[dict[str, Any]] = []
    for row in table.to_dict("records"):
        shown: dict[str, Any] = {}
        for key, value in row.items():
            name, form = _COLUMNS.get(str(key), (str(key), "{:.3g}"))
            if isinstance(value, float) and not np.isfinite(value):
                value = None
            shown[name] = value if value is None or isinstance(value, str) else form.format(value)
        rows.append(shown)
    return rows


def _table(table: pd.DataFrame) -> str:
    return f'<div class="wide">{html_table(_shown(table))}</div>'


def _folded(table: pd.DataFrame) -> str:
    return f"<details><summary>numbers</summary>{_table(table)}</details>"


def _worst(seen: Sequence[StrategyRun], palette: Palette) -> list[str]:
    """Return the worst trades as a table, and of those with candles a small chart each."""
    rows: list[dict[str, str]] = []
    charts: list[str] = []
    for found in seen:
        if not len(found.trades):
            continue
        for trade in worst_trades(found.trades, WORST).itertuples():
            name = f"worst-{len(rows) + 1}"
            chart = found.charts.get(str(trade.pair))
            rows.append(_worst_row(found, trade, name if chart else None))
            if chart is not None:
                part = chart_section(_around(chart, trade, found), palette, small=True)
                charts.append(f'<div id="{name}">{part}</div>')
    if not rows:
        return _section("Worst trades", "No trade lost money.")
    head = "".join(f"<th>{html.escape(key)}</th>" for key in rows[0])
    body = "".join(
        f"<tr>{''.join(f'<td>{cell}</td>' for cell in row.values())}</tr>" for row in rows
    )
    about = (
        f"The {WORST} of each strategy that lost the greatest share of their stake. perp-imbalance "
        "plot draws the whole chart of a pair, with --trades and this result's name its trades."
    )
    table = f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'
    grid = f'<div class="charts">{"".join(charts)}</div>'
    return [*_section("Worst trades", about), table, grid, *_scripts(charts)]


def _scripts(charts: Sequence[str]) -> list[str]:
    return [chart_scripts()] if charts else []


def _worst_row(found: StrategyRun, trade: Any, anchor: str | None) -> dict[str, str]:
    """Return a row whose cells are HTML."""
    opened = f"{trade.open_date:%Y-%m-%d %H:%M}"
    z = "" if np.isnan(trade.z_entry) else f"{trade.z_entry:+.2f}"
    return {
        "strategy": html.escape(found.outcome.strategy),
        "pair": html.escape(str(trade.pair)),
        "side": "short" if trade.is_short else "long",
        "opened": f'<a href="#{anchor}">{opened}</a>' if anchor else opened,
        "candles": f"{trade.held:.0f}",
        "z at entry": z,
        "exit": html.escape(str(trade.exit_reason)),
        "profit % of stake": f"{trade.profit_ratio * 100.0:+.2f}",
        "profit": f"{trade.profit_abs:+.2f}",
    }


def _around(chart: Any, trade: Any, found: StrategyRun) -> Any:
    """Return the part of a chart that a trade lies in."""
    candle = pd.Timedelta(seconds=chart.seconds)
    until = min(trade.close_date, trade.open_date + candle * LONGEST)
    part = chart.between(trade.open_date - candle * AROUND, until + candle * AROUND)
    one = found.trades.loc[[trade.Index]]
    return replace(
        part,
        trades=one,
        note=f"{trade.profit_ratio:+.2%} {'short' if trade.is_short else 'long'}, "
        f"{trade.exit_reason}",
    )


def _style(palette: Palette) -> str:
    return (
        f"html{{color-scheme:{'dark' if palette.dark else 'light'}}}"
        f"body{{background:{palette.background};color:{palette.text};margin:1.2rem auto;"
        "padding:0 1rem;line-height:1.45}"
        "h1{font-size:1.4rem}h2{font-size:1.1rem;margin:2.2rem 0 .3rem}"
        f"p{{max-width:46rem;color:{palette.muted};margin:.3rem 0}}"
        f"td,th{{border-color:{palette.grid};white-space:nowrap}}"
        f"th{{color:{palette.muted};font-weight:600}}"
        "td:first-child,th:first-child{text-align:left}"
        ".wide{overflow-x:auto;margin:.5rem 0}"
        f"a{{color:{palette.long if not palette.dark else palette.text}}}"
        f"summary{{cursor:pointer;color:{palette.muted};font-size:.85rem}}"
        ".charts{display:grid;gap:1rem;"
        "grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr))}"
        ".charts>div{min-width:0}"
    )
