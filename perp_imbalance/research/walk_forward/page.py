"""The page of a walk-forward: accounts, windows, and the parameters of each window."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from perp_imbalance.plotting.html_page import Figure, Section, Table, number, write_page
from perp_imbalance.research.account_page import ABOUT, accounts_table, percent
from perp_imbalance.strategy.palette import Palette

_ABOUT_WINDOWS = (
    "The parameters of a window are fitted on its training part alone. freqtrade's backtest then "
    "trades its test part, which begins and ends without a position. Profit counts when a trade "
    "closes."
)


def write_walk_forward(
    file: Path, title: str, summary: Mapping[str, Any], colors: Palette | None = None
) -> None:
    """Write the page of a summary from :func:`summary.summarise`, atomically.

    :param colors: as :func:`perp_imbalance.plotting.html_page.write_page` takes them.
    :raises CommandError: if the file cannot be written.
    """
    windows = summary["windows"]
    fitted = [row for row in windows if not row["unsaid"]]
    table = Table([_window(row) for row in windows])
    sections = [
        Section("Accounts, out of sample", [ABOUT, accounts_table(summary["accounts"])]),
        Section("Equity, out of sample", [_equity(summary["equity"], summary["wallet"])]),
        Section("Windows", [_ABOUT_WINDOWS, table, *([_in_and_out(fitted)] if fitted else [])]),
    ]
    if summary["stability"]:
        spread = Table(
            [
                {"parameter": name, **{key: number(value, 3) for key, value in row.items()}}
                for name, row in summary["stability"].items()
            ]
        )
        about = "A parameter that jumps from window to window is fitted to noise."
        sections.append(Section("Parameters by window", [about, spread, _parameters(fitted)]))
    write_page(file, title, summary["verdict"], sections, colors=colors)


def _window(row: Mapping[str, Any]) -> dict[str, Any]:
    shown = {
        "window": row["window"],
        "train": row["train"],
        "test": row["test"],
        "epochs": row["epochs"],
        "in sample: trades": row.get("in_sample_trades"),
        "profit in sample, %": percent(row.get("in_sample_profit"), sign=True),
        "Sharpe in sample": number(row.get("in_sample_sharpe")),
        "out of sample: trades": row.get("trades"),
        "profit out of sample, %": percent(row.get("profit"), sign=True),
    }
    return shown | {"remark": row["unsaid"]}


def _equity(equities: Mapping[str, Mapping[str, float]], wallet: float) -> Figure:
    figure = go.Figure(
        [
            go.Scatter(
                x=list(equity),
                y=[round((value / wallet - 1.0) * 100.0, 4) for value in equity.values()],
                name=name,
                mode="lines",
            )
            for name, equity in equities.items()
        ]
    )
    figure.update_layout(height=480, hovermode="x unified", yaxis_title="wallet, % of the start")
    return Figure(figure)


def _in_and_out(windows: Sequence[Mapping[str, Any]]) -> Figure:
    names = [row["window"] for row in windows]
    bars = {"in sample": "in_sample_profit_a_day", "out of sample": "profit_a_day"}
    figure = go.Figure(
        [
            go.Bar(x=names, y=[round(row[key] * 1e4, 4) for row in windows], name=name)
            for name, key in bars.items()
        ]
    )
    figure.update_xaxes(type="category", title_text="window")
    figure.update_layout(barmode="group", height=400, yaxis_title="profit a day, bps of the wallet")
    return Figure(figure)


def _parameters(windows: Sequence[Mapping[str, Any]]) -> Figure:
    names = sorted({name for row in windows for name in row["params"]})
    figure = make_subplots(
        rows=len(names),
        cols=1,
        shared_xaxes=True,
        subplot_titles=names,
        vertical_spacing=0.3 / len(names),
    )
    for place, name in enumerate(names, start=1):
        values = [row["params"].get(name) for row in windows]
        trace = go.Scatter(
            x=[row["window"] for row in windows],
            y=[int(value) if isinstance(value, bool) else value for value in values],
            mode="lines+markers",
            name=name,
            showlegend=False,
        )
        figure.add_trace(trace, row=place, col=1)
    figure.update_xaxes(type="category")
    figure.update_xaxes(title_text="window", row=len(names))
    figure.update_annotations(font_size=12)
    return Figure(figure.update_layout(height=120 * len(names) + 80))
