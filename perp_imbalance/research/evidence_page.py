"""The evidence page: tables of the trades, then net returns over fixed horizons."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from perp_imbalance.plotting.html_page import (
    TOO_FEW,
    Figure,
    Part,
    Section,
    Table,
    number,
    write_page,
)
from perp_imbalance.plotting.theme import colors as line_colors
from perp_imbalance.research.bootstrap import EXPLAINED
from perp_imbalance.research.event_study import ALL, Finding, as_rows, verdict
from perp_imbalance.research.evidence import Report
from perp_imbalance.research.nulls import KINDS
from perp_imbalance.research.pooled import MIN_TRADES, MIN_WEEKS
from perp_imbalance.strategy.palette import Palette, palette

_HEADS = {
    "net": "net, bps",
    "interval": "95 % interval, bps",
    "low": "95 % from, bps",
    "high": "to, bps",
    "net_doubled": "net at doubled fees, bps",
    "t_doubled": "t at doubled fees",
    "net_inverted": "net of the inverted signal, bps",
    "held": "candles held",
    "horizon": "candles held",
    "null_mean": "mean of the nulls, bps",
    "null_low": "95 % of the nulls from, bps",
    "null_high": "to, bps",
    "spa_p": "SPA p",
    "better": "better (StepM)",
    "block": "block, weeks",
    **{name: f"{name}, bps" for name in ("deviation", "premium", "gross", "drift", "excess")},
    **{f"{name}_low": f"{name}, 95 % from, bps" for name in ("excess", "net")},
    **{f"{name}_high": f"{name}, to, bps" for name in ("excess", "net")},
    "premium_part": "part of the premium, bps",
    "has_edge": "edge",
}
# Decimal places; figures in bps have one.
_PLACES = {"p": 3, "q": 3, "spa_p": 3, "t": 2, "t_doubled": 2}
_KINDS = {
    "flip": "flips of the bias (no trade)",
    "entry": "entries",
}
_DASHES = {"long": "solid", "short": "dot"}
_EXPLAINED = (
    "Returns of the perp from the open after the signal, for the side of the signal, in bps of "
    "the stake. Net: less two taker fees, funding included. Bars: 95 % intervals. An interval that "
    f"holds 0 shows nothing. {EXPLAINED} Excess: beyond what the side earned from any candle "
    "(drift). A flip of the bias is not a trade: its net return is what an entry on every flip, "
    "without gates, would have earned. Where no gate is on, every flip is an entry and is listed "
    "under entries only."
)

_TRADED = (
    "What the trades of the strategy earned, all pairs together, in bps of the stake at leverage "
    "1: entries, exits, stop, fees and funding as in a backtest, with a slot for every pair. t and "
    "interval allow the trades of one week to depend on each other, whatever their pair. Fewer "
    f"than {MIN_TRADES} trades, or {MIN_WEEKS} weeks with a trade, are too few for them. p is "
    "one-sided: the probability of such a t without a profit. q: the false discovery rate over "
    "the lines of one part at which this line would still count (Benjamini-Hochberg)."
)
_SECTIONS = {
    "nulls": (
        "Against signals that mean nothing",
        "The same rules traded on "
        + "; ".join(f"{kind}: {what}" for kind, what in KINDS.items())
        + ". Percentile: how many of a hundred nulls earned less than the real trades. p: the "
        "share of nulls that earned at least as much.",
    ),
    "inverted": ("The signal inverted", "Every signal with its side exchanged."),
    "by_deviation": (
        "By size of the deviation",
        "|deviation| of the signal's candle in bps: the premium minus the median of the last 200 "
        "candles. If the premium matters, a larger deviation should earn more.",
    ),
    "slopes": (
        "Slope over the classes of the deviation",
        "Net: how many bps more a trade earns from one class of |deviation| to the next.",
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
    "SPA p: the probability of such a best line if none were better than not trading (Hansen's "
    "test of superior predictive ability, on weekly totals). Better: the lines that Romano and "
    "Wolf's StepM keeps, with an error of 5 % over all lines together. Block: weeks that are drawn "
    "together, by arch's optimal block length."
)


def write_evidence(
    findings: Sequence[Finding],
    file: Path,
    *,
    title: str,
    left_out: Sequence[str] = (),
    report: Report,
    verdicts: Sequence[str] = (),
    colors: Palette | None = None,
) -> None:
    """Write one self-contained page: the trades' tables first, then the fixed horizons.

    :param left_out: notes on what could not be studied.
    :param verdicts: the conclusions from the trades.
    :param colors: as :func:`perp_imbalance.plotting.html_page.write_page` takes them.
    """
    overall = [finding for finding in findings if finding.group == ALL]
    horizons: list[Part] = [verdict(findings), _EXPLAINED]
    if overall:
        horizons.append(net_figure(overall, colors or palette()))
    first, *more = [*verdicts, *([] if verdicts else [verdict(findings)])]
    sections = [
        *traded_sections(report),
        Section("Fixed horizons, pair by pair", horizons),
        Section("By year and by volatility", _groups_figure(findings)),
        Section("All figures over the whole time", [_table(_overall_rows(overall))]),
    ]
    write_page(file, title, first, sections, notes=[*more, *left_out], colors=colors)


def traded_sections(report: Report) -> list[Section]:
    """Return the sections about the trades: explanations and tables."""
    values = report.as_values()
    sections = [Section("As traded", [_table(_first_rows(values["traded"])), _TRADED])]
    for name, (head, explained) in _SECTIONS.items():
        if values[name]:
            sections.append(Section(head, [explained, _table(values[name])]))
    families = [
        {"part": part, **family, "better": ", ".join(family["better"]) or "none"}
        for part, family in values["families"].items()
    ]
    return [*sections, Section("Many results at once", [_MANY, _table(families)])]


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table with readable headings; numbers in bps have at most four digits."""
    return Table(
        [
            {
                _HEADS.get(key, key.replace("_", " ")): number(value, _PLACES.get(key, 1))
                if isinstance(value, float)
                else {True: "yes", False: "no"}[value]
                if isinstance(value, bool)
                else value
                for key, value in row.items()
            }
            for row in rows
        ]
    )


def _first_rows(traded: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of the first table, which has few columns."""
    names = ("part", "preset", "side", "trades", "net", "t", "interval", "net_doubled", "held")
    return [
        {name: _interval(row) if name == "interval" else row[name] for name in (*names, "p", "q")}
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


def _interval(row: Mapping[str, Any]) -> str:
    return TOO_FEW if row["low"] is None else f"[{row['low']:+.1f}, {row['high']:+.1f}]"


def _overall_rows(overall: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return the table's rows; flips are labelled so that they are not mistaken for trades."""
    kinds = {"flip": "flip (no trade)", "entry": "entry"}
    return [row | {"kind": kinds[row["kind"]]} for row in as_rows(overall)]


def net_figure(overall: Sequence[Finding], colors: Palette) -> Figure:
    """Return net returns by horizon: one row per pair, one column per kind of event.

    Each preset has one colour, each side one dash.

    :param overall: findings over the whole time.
    """
    pairs = sorted({finding.pair for finding in overall})
    figure = make_subplots(
        rows=len(pairs),
        cols=len(_KINDS),
        shared_yaxes=True,
        vertical_spacing=0.22 / max(1, len(pairs)),
        horizontal_spacing=0.03,
        subplot_titles=[f"{pair}: {kind}" for pair in pairs for kind in _KINDS.values()],
    )
    lines: dict[tuple[str, str, str, str], list[Finding]] = {}
    for finding in overall:
        key = (finding.preset, finding.side, finding.pair, finding.kind)
        lines.setdefault(key, []).append(finding)
    color = dict(zip(sorted({preset for preset, *_ in lines}), cycle(line_colors(colors))))
    in_legend: set[str] = set()
    for (preset, side, pair, kind), shown in sorted(lines.items()):
        look = {"color": color[preset], "dash": _DASHES[side]}
        line = _line(shown, f"{preset} {side}", look)
        line.showlegend = line.name not in in_legend
        in_legend.add(line.name)
        place = {"row": pairs.index(pair) + 1, "col": list(_KINDS).index(kind) + 1}
        figure.add_trace(line, **place)
    figure.update_xaxes(type="category")
    figure.update_xaxes(title_text="candles held", row=len(pairs))
    figure.update_yaxes(title_text="net, bps", zeroline=True, col=1)
    figure.update_annotations(font_size=12)
    figure.update_layout(
        height=100 + 260 * len(pairs),
        margin={"t": 90},
        legend={"yref": "container", "y": 1.0, "yanchor": "top"},
    )
    return Figure(figure, least_width=720)


def _line(shown: Sequence[Finding], name: str, look: Mapping[str, str]) -> go.Scatter:
    """Return the net returns of one preset and side by horizon, with their intervals."""
    return go.Scatter(
        x=[str(finding.horizon) for finding in shown],
        y=[finding.net for finding in shown],
        error_y={
            "array": [finding.net_high - finding.net for finding in shown],
            "arrayminus": [finding.net - finding.net_low for finding in shown],
        },
        customdata=[[finding.events, finding.excess] for finding in shown],
        hovertemplate="%{y:.4~r} bps net, excess %{customdata[1]:.4~r}, %{customdata[0]} events",
        mode="markers+lines",
        name=name,
        legendgroup=name,
        line=look,
    )


def _groups_figure(findings: Sequence[Finding]) -> list[Part]:
    """Return the net returns of entries by group, at the middle horizon."""
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
            hovertemplate="%{y}, %{x}: %{z:.4~r} bps net, %{text} events<extra></extra>",
            zmid=0,
            colorbar={"title": "bps"},
        )
    )
    figure.update_layout(
        height=110 + 26 * len(lines),
        xaxis={"type": "category"},
    )
    about = f"Net return of entries, {horizon} candles held. Empty: {TOO_FEW}."
    return [about, Figure(figure, least_width=720)]
