"""The page of a sweep: ranked lines, commands that trade them, and heat maps around the best."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.plotting.html_page import (
    Commands,
    Figure,
    Part,
    Section,
    Table,
    number,
    write_page,
)
from perp_imbalance.research.grid import Grid, is_sound
from perp_imbalance.research.grid_names import AXES
from perp_imbalance.research.grid_sweep import ALL, Plan
from perp_imbalance.research.luck import EXPLAINED
from perp_imbalance.research.plateau import RULE, Line
from perp_imbalance.research.trade_figures import Calendar, figures_of
from perp_imbalance.strategy.palette import Palette

#: Most values per axis of a map, and most maps of a page.
MOST_VALUES, MOST_MAPS = 25, 6

_HEADS = {
    **{"pair": "pair", "horizon": "candles held", "net_bps": "net, bps a trade"},
    **{"trades": "trades", "t": "t", "p": "p (luck)", "profit_pct": "profit, %"},
    **{"sharpe": "Sharpe", "drawdown_pct": "drawdown, %", "profit_factor": "profit factor"},
    **{"won": "won, %", "is_plateau": "plateau", "shared": "shared with neighbours, %"},
    **{"others": "neighbours' other trades", "others_bps": "their net, bps"},
}
_HELD = ("profit_pct", "sharpe", "drawdown_pct")
_PLATEAU = {True: "yes", False: "no", None: "unknown"}
_FIGURES = (
    "Net, bps a trade: mean after fees and funding, in bps of the stake. t: that mean divided by "
    "its standard error, which allows the trades of one week to depend on each other, whatever "
    "their pair. Profit and drawdown: in percent of the wallet, closed trades. Sharpe: of weekly "
    "returns, per year."
)


class Map(NamedTuple):
    """Results by two thresholds around a line; all other thresholds are the line's.

    :ivar x: threshold of the horizontal axis; ``y`` of the vertical one.
    :ivar figures: by name, one row per value of ``y``; NaN where there are too few trades.
    """

    line: Line
    x: str
    y: str
    xs: list[Any]
    ys: list[Any]
    figures: dict[str, NDArray[np.float64]]


def maps_of(plan: Plan, lines: Sequence[Line]) -> Iterator[Map]:
    """Yield the maps around lines; lines that share a map yield it once."""
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
    """Return the thresholds of a map's vertical and horizontal axis; None if no number varies.

    ``enter_z`` and ``exit_z`` are preferred, then the numbers with the most values.
    """
    names = grid.numbers(thresholds)
    if not names:
        return None
    z = ("enter_z", "exit_z")
    names.sort(key=lambda name: (name not in z, -len(grid.values(name))))
    first, second = list(dict.fromkeys([*names, *z]))[:2]
    return first, second


def _shown(values: Sequence[Any], here: Any) -> list[Any]:
    """Return at most ``MOST_VALUES`` evenly spaced values, including the line's own."""
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
    colors: Palette | None = None,
) -> None:
    """Write one self-contained page.

    :param said: the verdict, then paragraphs below it.
    :param rows: the lines as :func:`as_row` returns them, with ``values`` and ``command`` as text.
    :param colors: as :func:`perp_imbalance.plotting.html_page.write_page` takes them.
    """
    numbered = list(enumerate(rows, start=1))
    table: list[Part] = [Table([_shown_line(rank, row) for rank, row in numbered])]
    if not rows:
        table = ["No combination with enough trades earned more than its costs."]
    sections = [Section("Ranked combinations", table)]
    for place, found in enumerate(maps):
        first = " (the best)" if place == 0 else ""
        sections.append(Section(f"{_name(found)}{first}", _pictures(found)))
    if rows:
        commands = [(f"{rank}. {row['values']}", row["command"]) for rank, row in numbered]
        sections.append(Section("How to trade them", [Commands(commands)]))
    sections.append(Section("How to read this", [_FIGURES, EXPLAINED, RULE]))
    verdict, *notes = said
    write_page(file, title, verdict, sections, notes=notes, colors=colors)


def _shown_line(rank: int, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a line as shown in the page's table."""
    percent = {name: None if row[name] is None else row[name] * 100.0 for name in ("won", "shared")}
    values = {**row, **percent, "is_plateau": _PLATEAU[row["is_plateau"]]}
    skipped = _HELD if row["horizon"] else ("horizon",)
    shown = {
        head: number(values[name]) if isinstance(values[name], float) else values[name]
        for name, head in _HEADS.items()
        if name not in skipped
    }
    return {"rank": rank, **shown, "thresholds": row["values"]}


def _name(found: Map) -> str:
    pair = "all pairs together" if found.line.selection.pair == ALL else found.line.selection.pair
    held = found.line.selection.horizon
    return f"{pair}: {found.y} × {found.x}" + (f", held {held} candles" if held else "")


def _pictures(found: Map) -> list[Figure]:
    """Return one heat map of net returns and one of t; both mark the line."""
    trades = found.figures["trades"]
    pictures = []
    for name, title in (("net_bps", "net, bps a trade"), ("t", "t")):
        figure = go.Figure(
            [
                go.Heatmap(
                    x=[f"{value:g}" for value in found.xs],
                    y=[f"{value:g}" for value in found.ys],
                    z=np.round(found.figures[name], 2),
                    customdata=trades,
                    zmid=0,
                    colorbar={"title": {"text": "bps" if name != "t" else "t"}},
                    hovertemplate=f"{found.y} %{{y}}<br>{found.x} %{{x}}<br>{title} %{{z:.4~r}}<br>"
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
            margin={"t": 50},
        )
        pictures.append(Figure(figure))
    return pictures
