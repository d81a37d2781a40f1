"""The evidence as a page: net returns with their intervals, by year, by regime."""

from collections.abc import Sequence
from pathlib import Path

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from perp_imbalance.research.evidence import ALL, Finding, as_rows, verdict
from perp_imbalance.research.page import html_table, write_page

_KINDS = {"flip": "after a flip of the bias", "entry": "after an entry that passed its gates"}
_EXPLAINED = (
    "Returns of the perp from the open after the signal on, for the side of the signal, in bps of "
    "the stake. Net: less two taker fees, funding included. Bars: 95 % intervals of a block "
    "bootstrap. An interval that holds 0 says nothing. Excess: beyond what the side earned from "
    "any candle (drift)."
)


def write_evidence(findings: Sequence[Finding], file: Path, *, title: str) -> None:
    """Write one self-contained page."""
    overall = [finding for finding in findings if finding.group == ALL]
    parts = [_net_figure(overall), "<h2>By year and by volatility</h2>", _groups_figure(findings)]
    parts += ["<h2>All figures over the whole time</h2>", html_table(as_rows(overall))]
    write_page(file, title, [verdict(findings), _EXPLAINED], parts)


def _net_figure(overall: Sequence[Finding]) -> go.Figure:
    pairs = sorted({finding.pair for finding in overall})
    figure = make_subplots(
        rows=len(_KINDS),
        cols=len(pairs),
        shared_xaxes=True,
        subplot_titles=[f"{pair} {said}" for said in _KINDS.values() for pair in pairs],
    )
    lines = sorted({(finding.preset, finding.side) for finding in overall})
    for row, kind in enumerate(_KINDS, start=1):
        for column, pair in enumerate(pairs, start=1):
            for preset, side in lines:
                shown = [
                    finding
                    for finding in overall
                    if (finding.pair, finding.kind) == (pair, kind)
                    and (finding.preset, finding.side) == (preset, side)
                ]
                figure.add_trace(
                    go.Scatter(
                        x=[str(finding.horizon) for finding in shown],
                        y=[finding.net for finding in shown],
                        error_y={
                            "array": [finding.net_high - finding.net for finding in shown],
                            "arrayminus": [finding.net - finding.net_low for finding in shown],
                        },
                        customdata=[[finding.events, finding.excess] for finding in shown],
                        hovertemplate="%{y:.1f} bps net, excess %{customdata[1]:.1f}, "
                        "%{customdata[0]} events",
                        mode="markers+lines",
                        name=f"{preset} {side}",
                        legendgroup=f"{preset} {side}",
                        showlegend=row == column == 1,
                    ),
                    row=row,
                    col=column,
                )
    figure.update_xaxes(title_text="candles held", type="category", row=len(_KINDS))
    figure.update_yaxes(title_text="bps, net", zeroline=True)
    figure.update_layout(height=420 * len(_KINDS))
    return figure


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
