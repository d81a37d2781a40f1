"""The evidence as a page: net returns with their intervals, by year, by regime."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.colors import qualitative
from plotly.subplots import make_subplots

from perp_imbalance.plotting.html_page import html_table, write_page
from perp_imbalance.research.bootstrap import EXPLAINED
from perp_imbalance.research.event_study import ALL, Finding, as_rows, verdict

_KINDS = {
    "flip": "after a flip of the bias (no trade)",
    "entry": "after an entry that passed its gates",
}
# Of a preset and side, the same in every panel.
_COLOURS = qualitative.Safe
_EXPLAINED = (
    "Returns of the perp from the open after the signal on, for the side of the signal, in bps of "
    "the stake. Net: less two taker fees, funding included. Bars: 95 % intervals. An interval that "
    f"holds 0 says nothing. {EXPLAINED} Excess: beyond what the side earned from any candle "
    "(drift). A flip of the bias is no trade: its net return is what entering on every flip, gates "
    "or not, would have earned; what the strategy enters on are the entries. Where every flip is "
    "an entry, because no gate is on, they stand under entries only."
)


def write_evidence(
    findings: Sequence[Finding], file: Path, *, title: str, left_out: Sequence[str] = ()
) -> None:
    """Write one self-contained page.

    :param left_out: sentences about what could not be studied.
    """
    overall = [finding for finding in findings if finding.group == ALL]
    parts = [net_figure(overall), "<h2>By year and by volatility</h2>", _groups_figure(findings)]
    parts += ["<h2>All figures over the whole time</h2>", html_table(_table(overall))]
    write_page(file, title, [verdict(findings), *left_out, _EXPLAINED], parts)


def _table(overall: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return the rows of the table, in which no flip can be taken for a trade."""
    kinds = {"flip": "flip (no trade)", "entry": "entry"}
    return [row | {"kind": kinds[row["kind"]]} for row in as_rows(overall)]


def net_figure(overall: Sequence[Finding]) -> go.Figure:
    """Return net returns by horizon: a panel a pair and kind of event, a colour a preset and side.

    :param overall: findings over the whole time.
    """
    pairs = sorted({finding.pair for finding in overall})
    figure = make_subplots(
        rows=len(_KINDS),
        cols=len(pairs),
        shared_xaxes=True,
        subplot_titles=[f"{pair} {said}" for said in _KINDS.values() for pair in pairs],
    )
    lines = sorted({(finding.preset, finding.side) for finding in overall})
    in_legend = set()
    for row, kind in enumerate(_KINDS, start=1):
        for column, pair in enumerate(pairs, start=1):
            for number, (preset, side) in enumerate(lines):
                shown = [
                    finding
                    for finding in overall
                    if (finding.pair, finding.kind) == (pair, kind)
                    and (finding.preset, finding.side) == (preset, side)
                ]
                if not shown:
                    continue
                line = _line(shown, f"{preset} {side}", _COLOURS[number % len(_COLOURS)])
                line.showlegend = line.name not in in_legend
                figure.add_trace(line, row=row, col=column)
                in_legend.add(line.name)
    figure.update_xaxes(title_text="candles held", type="category", row=len(_KINDS))
    figure.update_yaxes(title_text="bps, net", zeroline=True)
    figure.update_layout(height=420 * len(_KINDS))
    return figure


def _line(shown: Sequence[Finding], name: str, colour: str) -> go.Scatter:
    """Return the net returns of one preset and side by horizon, with their intervals."""
    return go.Scatter(
        x=[str(finding.horizon) for finding in shown],
        y=[finding.net for finding in shown],
        error_y={
            "array": [finding.net_high - finding.net for finding in shown],
            "arrayminus": [finding.net - finding.net_low for finding in shown],
        },
        customdata=[[finding.events, finding.excess] for finding in shown],
        hovertemplate="%{y:.1f} bps net, excess %{customdata[1]:.1f}, %{customdata[0]} events",
        mode="markers+lines",
        name=name,
        legendgroup=name,
        line_color=colour,
    )


def _groups_figure(findings: Sequence[Finding]) -> go.Figure:
    """Return entries' net returns by group, at each pair's middle horizon."""
    horizons = sorted({finding.horizon for finding in findings})
    horizon = horizons[len(horizons) // 2]
    shown = [f for f in findings if f.kind == "entry" and f.horizon == horizon]
    groups = [ALL, *sorted({f.group for f in shown} - {ALL})]
    lines = sorted({(f.pair, f.preset, f.side) for f in shown})
    net = {(f.pair, f.preset, f.side, f.group): f for f in shown}
    figure = go.Figure(
        go.Heatmap(
            x=groups,
            y=[" ".join(line) for line in lines],
            z=[
                [getattr(net.get((*line, group)), "net", None) for group in groups]
                for line in lines
            ],
            text=[
                [getattr(net.get((*line, group)), "events", "") for group in groups]
                for line in lines
            ],
            hovertemplate="%{y}, %{x}: %{z:.1f} bps net, %{text} events<extra></extra>",
            colorscale="RdBu",
            zmid=0,
            colorbar={"title": "bps"},
        )
    )
    figure.update_layout(
        title=f"entries, net, {horizon} candles held; too few events: empty",
        height=160 + 26 * len(lines),
        xaxis={"type": "category"},
    )
    return figure
