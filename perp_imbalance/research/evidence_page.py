"""The evidence as a page: the trades in tables, then net returns over fixed horizons."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.colors import qualitative
from plotly.subplots import make_subplots

from perp_imbalance.plotting.html_page import html_table, write_page
from perp_imbalance.research.bootstrap import EXPLAINED
from perp_imbalance.research.event_study import ALL, Finding, as_rows, verdict
from perp_imbalance.research.evidence import Report
from perp_imbalance.research.nulls import KINDS
from perp_imbalance.research.pooled import MIN_TRADES, MIN_WEEKS

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

_TRADED = (
    "What the trades of the strategy earned, all pairs together, in bps of the stake at leverage "
    "1: entries, exits, stop, fees and funding as in a backtest, with a slot for every pair. t and "
    "interval: errors of trades of one week may go together, whatever their pair; where there are "
    f"fewer than {MIN_TRADES} trades or {MIN_WEEKS} weeks with any, there is none. p is one-sided: "
    "of no profit. q: the false discovery rate over the lines of one part at which this one would "
    "still count (Benjamini-Hochberg)."
)
_SECTIONS = {
    "nulls": (
        "Against signals that mean nothing",
        "The same rules traded on "
        + "; ".join(f"{kind}: {what}" for kind, what in KINDS.items())
        + ". percentile: how many of the nulls in a hundred earned less than the real trades. p: "
        "of a null that does at least as well.",
    ),
    "inverted": ("The signal inverted", "Every signal with its side exchanged."),
    "by_deviation": (
        "By size of the deviation",
        "|deviation| of the signal's candle in bps: the premium less the median of the last 200. "
        "If the premium matters, more of it should earn more.",
    ),
    "slopes": (
        "Slope over the classes of the deviation",
        "net: by how many bps a trade earns more from one class of |deviation| to the next.",
    ),
    "by_premium": ("By level of the premium", "The premium of the signal's candle, in bps."),
    "held": (
        "The same entries, held for a fixed time",
        "All pairs together, net of two fees and funding; held: candles. No stop.",
    ),
    "by_pair": ("By pair", "As traded."),
    "by_year": ("By year", "As traded."),
}
_MANY = (
    "spa p: that the best line is no better than not trading, knowing that it is the best of "
    "several (Hansen's test of superior predictive ability, on weekly totals). better: what "
    "Romano and Wolf's StepM keeps, with an error of 5 % over all lines together. block: weeks "
    "that are drawn together, by arch's optimal block length."
)


def write_evidence(
    findings: Sequence[Finding],
    file: Path,
    *,
    title: str,
    left_out: Sequence[str] = (),
    report: Report,
    verdicts: Sequence[str] = (),
) -> None:
    """Write one self-contained page: the trades' tables first, then the fixed horizons.

    :param left_out: sentences about what could not be studied.
    :param verdicts: what the trades amount to.
    """
    overall = [finding for finding in findings if finding.group == ALL]
    parts: list[Any] = traded_parts(report)
    parts += ["<h2>Fixed horizons, pair by pair</h2>", _paragraphs(verdict(findings), _EXPLAINED)]
    parts += [net_figure(overall), "<h2>By year and by volatility</h2>", _groups_figure(findings)]
    parts += ["<h2>All figures over the whole time</h2>", html_table(_table(overall))]
    write_page(file, title, [*verdicts, *left_out], parts)


def traded_parts(report: Report) -> list[str]:
    """Return the sections about the trades: a head, what it means, a table."""
    values = report.as_values()
    parts = [html_table(_first_table(values["traded"])), _paragraphs(_TRADED)]
    for name, (head, explained) in _SECTIONS.items():
        if values[name]:
            parts += [f"<h2>{head}</h2>", _paragraphs(explained), html_table(values[name])]
    families = [{"part": part, **family} for part, family in values["families"].items()]
    for row in families:
        row["better"] = ", ".join(row["better"]) or "none"
    return [*parts, "<h2>Many results at once</h2>", _paragraphs(_MANY), html_table(families)]


def _first_table(traded: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what a human reads first, in few columns."""
    return [
        {
            "part": row["part"],
            "preset": row["preset"],
            "side": row["side"],
            "trades": row["trades"],
            "net bps": row["net"],
            "t": row["t"],
            "95 % interval": _interval(row),
            "net at doubled fees": row["net_doubled"],
            "candles held": row["held"],
            "p": row["p"],
            "q": row["q"],
        }
        for row in traded
    ]


def traded_lines(report: Report) -> list[str]:
    """Return the first table as lines of text."""
    lines = [
        f"{'part':<11}{'preset':<15}{'side':<6}{'trades':>7}{'net bps':>9}{'t':>7}  "
        f"{'95 % interval':<20}{'doubled fees':>12}"
    ]
    for row in report.as_values()["traded"]:
        t = "" if row["t"] is None else f"{row['t']:.1f}"
        lines.append(
            f"{row['part']:<11}{row['preset']:<15}{row['side']:<6}{row['trades']:>7}"
            f"{row['net']:>9.1f}{t:>7}  {_interval(row):<20}{row['net_doubled']:>12.1f}"
        )
    return lines


def _interval(row: dict[str, Any]) -> str:
    return "too few" if row["low"] is None else f"[{row['low']:+.1f}, {row['high']:+.1f}]"


def _paragraphs(*texts: str) -> str:
    return "".join(f"<p>{html.escape(text)}</p>" for text in texts)


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
