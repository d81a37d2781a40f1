"""A sweep as a page: the ranked lines, how to trade them, and the map around the best first."""

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.plotting.html_page import html_table, write_page
from perp_imbalance.research.grid import Grid, is_sound
from perp_imbalance.research.grid_names import AXES
from perp_imbalance.research.grid_sweep import ALL, Plan
from perp_imbalance.research.luck import EXPLAINED
from perp_imbalance.research.plateau import RULE, Line
from perp_imbalance.research.trade_figures import Calendar, figures_of

#: Values of an axis that a map shows at most, and maps of a page.
MOST_VALUES, MOST_MAPS = 25, 6

_STYLE = (
    "body{margin:1.2rem auto;padding:0 1rem;line-height:1.45}"
    "h1{font-size:1.4rem}h2{font-size:1.1rem;margin:2.2rem 0 .3rem}"
    "h1,h2,p{overflow-wrap:anywhere}p{max-width:46rem;margin:.3rem 0}"
    "td{white-space:nowrap}th{vertical-align:bottom}td:nth-child(2),th:nth-child(2){text-align:left}"
    ".wide{overflow-x:auto;margin:.5rem 0}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f4f4f4;padding:.4rem .6rem}"
)
_HEADS = {
    **{"pair": "pair", "horizon": "candles held", "net_bps": "net bps a trade"},
    **{"trades": "trades", "t": "t", "p": "p (luck)", "profit_pct": "profit %"},
    **{"sharpe": "Sharpe", "drawdown_pct": "drawdown %", "profit_factor": "profit factor"},
    **{"won": "won", "is_plateau": "plateau", "shared": "shared with neighbours"},
    **{"others": "neighbours' other trades", "others_bps": "their net bps"},
}
_HELD = ("profit_pct", "sharpe", "drawdown_pct")
_FIGURES = (
    "net bps a trade: mean after fees and funding, of the stake. t: that mean divided by its "
    "error; trades of one week go together, whatever their pair. Profit and drawdown: of the "
    "wallet, closed trades. Sharpe: of weekly returns, a year."
)


class Map(NamedTuple):
    """Two thresholds around a line, all others as the line has them.

    :ivar x: name of the threshold across; ``y`` of the one upward.
    :ivar figures: by name, a row for each value of ``y``; NaN where trades are too few.
    """

    line: Line
    x: str
    y: str
    xs: list[Any]
    ys: list[Any]
    figures: dict[str, NDArray[np.float64]]


def maps_of(plan: Plan, lines: Sequence[Line]) -> Iterator[Map]:
    """Yield the maps around lines, those that lie on one map once."""
    seen: set[tuple[Any, ...]] = set()
    for line in lines:
        here = line.thresholds
        names = map_axes(plan.grid, here)
        if not names or len(seen) == MOST_MAPS:
            return
        fixed = tuple(getattr(here, name) for name in AXES if name not in names)
        if (line.selection, names, fixed) in seen:
            continue
        seen.add((line.selection, names, fixed))
        y, x = names
        ys, xs = (_shown(plan.grid.values(name), getattr(here, name)) for name in names)
        yield Map(line, x, y, xs, ys, _figures(plan, line, names, ys, xs))


def map_axes(grid: Grid, thresholds: Thresholds) -> tuple[str, str] | None:
    """Return what a map has upward and across; None where no number varies.

    ``enter_z`` and ``exit_z`` if they vary, then the numbers that vary most.
    """
    names = grid.numbers(thresholds)
    if not names:
        return None
    z = ("enter_z", "exit_z")
    names.sort(key=lambda name: (name not in z, -len(grid.values(name))))
    first, second = list(dict.fromkeys([*names, *z]))[:2]
    return first, second


def _shown(values: Sequence[Any], here: Any) -> list[Any]:
    """Return at most so many values, evenly, the line's own among them."""
    step = math.ceil(len(values) / MOST_VALUES)
    return list(values[values.index(here) % step :: step])


def _figures(
    plan: Plan, line: Line, names: tuple[str, str], ys: Sequence[Any], xs: Sequence[Any]
) -> dict[str, NDArray[np.float64]]:
    source = plan.source(line.selection)
    calendar, wallet = Calendar(source.times, *plan.span()), plan.wallet(line.selection)
    found = {name: np.full((len(ys), len(xs)), np.nan) for name in ("net_bps", "t", "trades")}
    cells = [
        (row, column, {names[0]: up, names[1]: across})
        for row, up in enumerate(ys)
        for column, across in enumerate(xs)
        if is_sound(line.thresholds, **{names[0]: up, names[1]: across})
    ]
    tried = (replace(line.thresholds, **values) for _, _, values in cells)
    for (row, column, _), trades in zip(cells, source.each(tried), strict=True):
        figures = figures_of(trades, calendar.weekly(trades), calendar, wallet)
        if figures.trades >= plan.min_trades:
            for name, array in found.items():
                array[row, column] = getattr(figures, name)
    return found


def write_sweep(
    file: Path,
    title: str,
    said: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    maps: Sequence[Map],
) -> None:
    """Write one self-contained page.

    :param said: paragraphs below the title.
    :param rows: the lines as :func:`as_row` gives them, with ``values`` and ``command`` in words.
    """
    told = [_told(number, row) for number, row in _numbered(rows)]
    parts: list[Any] = [f'<div class="wide">{html_table(told)}</div>']
    for number, found in enumerate(maps):
        first = " (the best)" if number == 0 else ""
        parts += [f"<h2>{html.escape(_name(found))}{first}</h2>", *_pictures(found)]
    if rows:
        parts.append("<h2>How to trade them</h2>")
    for number, row in _numbered(rows):
        parts.append(
            f"<p>{number}. {html.escape(row['values'])}</p><pre>{html.escape(row['command'])}</pre>"
        )
    parts.append("<h2>How to read this</h2>")
    parts += [f"<p>{html.escape(text)}</p>" for text in (_FIGURES, EXPLAINED, RULE)]
    write_page(file, title, said, parts, style=_STYLE)


def _numbered(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    return enumerate(rows, start=1)


def _told(number: int, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a reader sees of a line."""
    skipped = _HELD if row["horizon"] else ("horizon",)
    told = {head: row[name] for name, head in _HEADS.items() if name not in skipped}
    plateau = {True: "yes", False: "no", None: "cannot be told"}
    told["plateau"] = plateau[row["is_plateau"]]
    for name in ("won", "shared with neighbours"):
        told[name] = None if told[name] is None else f"{told[name]:.0%}"
    return {"": number, **told, "thresholds": row["values"]}


def _name(found: Map) -> str:
    pair = "all pairs together" if found.line.selection.pair == ALL else found.line.selection.pair
    held = found.line.selection.horizon
    return f"{pair}: {found.y} × {found.x}" + (f", held {held} candles" if held else "")


def _pictures(found: Map) -> list[go.Figure]:
    """Return one picture of net returns and one of t, the line marked in both."""
    trades = found.figures["trades"]
    pictures = []
    for name, title in (("net_bps", "net bps a trade"), ("t", "t")):
        figure = go.Figure(
            [
                go.Heatmap(
                    x=[f"{value:g}" for value in found.xs],
                    y=[f"{value:g}" for value in found.ys],
                    z=np.round(found.figures[name], 2),
                    customdata=trades,
                    colorscale="RdBu",
                    zmid=0,
                    colorbar={"thickness": 12, "title": {"text": "bps" if name != "t" else "t"}},
                    hovertemplate=f"{found.y} %{{y}}<br>{found.x} %{{x}}<br>{title} %{{z:.1f}}<br>"
                    "%{customdata} trades<extra></extra>",
                ),
                go.Scatter(
                    x=[f"{getattr(found.line.thresholds, found.x):g}"],
                    y=[f"{getattr(found.line.thresholds, found.y):g}"],
                    mode="markers",
                    marker={
                        "symbol": "circle-open",
                        "size": 16,
                        "color": "#ffb000",
                        "line_width": 3,
                    },
                    hoverinfo="skip",
                    showlegend=False,
                ),
            ]
        )
        axis = {"type": "category"}
        figure.update_layout(
            title={"text": title, "x": 0.02},
            xaxis={**axis, "title": {"text": found.x}},
            yaxis={**axis, "title": {"text": found.y}},
            height=120 + max(220, 26 * len(found.ys)),
            margin={"l": 60, "r": 20, "t": 50, "b": 60},
        )
        pictures.append(figure)
    return pictures
