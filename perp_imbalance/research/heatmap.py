"""A sweep as a page: enter_z × exit_z, where a plateau can be told from a lucky cell."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from perp_imbalance.plotting.html_page import write_page
from perp_imbalance.research.grid_sweep import Sweep
from perp_imbalance.research.plateau import RULE, Surface, surfaces

_BPS = 1e4
_ROW_HEIGHT = 340
_HOVER = (
    "enter_z %{y}<br>exit_z %{x}<br>%{z:.1f} bps<br>%{customdata[0]} of %{customdata[1]} "
    "neighbours with enough events<extra></extra>"
)
_TITLES = ("mean of the cell", "worst of the cell and its neighbours")


def write_heatmap(sweep: Sweep, file: Path, *, title: str, said: Sequence[str]) -> None:
    """Write one self-contained HTML page with a menu of pair, side and horizon.

    Left, the mean net return in bps an event, averaged over all other thresholds; right, the worst
    of each cell and its neighbours. What is good on the right is a plateau; what is good on the
    left only is luck until shown otherwise.

    :param title: what was swept, for the head of the page.
    :param said: sentences below it.
    """
    found = {
        selection: surface
        for selection, surface in surfaces(sweep)
        if np.isfinite(surface.means).any()
    }
    selections = sorted({key[:3] for key in found})
    lengths = sorted({key[3] for key in found})
    figure = make_subplots(
        rows=len(lengths),
        cols=2,
        subplot_titles=[f"len_prem {length}: {name}" for length in lengths for name in _TITLES],
        vertical_spacing=min(0.12, 0.3 / len(lengths)),
    )
    for number, selection in enumerate(selections):
        for row, length in enumerate(lengths, start=1):
            for column, trace in enumerate(_maps(found.get((*selection, length))), start=1):
                figure.add_trace(trace.update(visible=number == 0), row=row, col=column)
    figure.update_xaxes(title_text="exit_z", type="category")
    figure.update_yaxes(title_text="enter_z", type="category")
    figure.update_layout(
        height=_ROW_HEIGHT * len(lengths) + 200,
        updatemenus=[_menu(selections, 2 * len(lengths))],
        coloraxis={"colorscale": "RdBu", "cmid": 0, "colorbar": {"title": "bps"}},
    )
    rule = f"Empty on the left: no combination with {sweep.min_events} events. {RULE}"
    write_page(file, title, [*said, rule], [figure])


def _maps(surface: Surface | None) -> list[go.Heatmap]:
    """Return the maps of means and of the worst around, empty where nothing happened."""
    if surface is None:
        return [go.Heatmap(coloraxis="coloraxis") for _ in _TITLES]
    # Of a large grid only a few cells may have been drawn.
    rows, columns = (np.flatnonzero(np.isfinite(surface.means).any(axis=axis)) for axis in (1, 0))
    there = np.ix_(rows, columns)
    around = np.stack([surface.with_events[there], surface.neighbours[there]], axis=-1)
    return [
        go.Heatmap(
            x=[str(surface.exits[column]) for column in columns],
            y=[str(surface.enters[row]) for row in rows],
            z=np.round(values[there] * _BPS, 2),
            customdata=around,
            coloraxis="coloraxis",
            hovertemplate=_HOVER,
        )
        for values in (surface.means, surface.worst)
    ]


def _menu(selections: Sequence[tuple[str, str, int]], maps: int) -> dict[str, Any]:
    """Return a menu that shows the maps of one pair, side and horizon and hides all others.

    :param maps: how many there are of each.
    """
    owners = np.repeat(np.arange(len(selections)), maps)
    buttons = [
        {
            "label": f"{pair} {side}, {horizon} candles",
            "method": "update",
            "args": [{"visible": (owners == number).tolist()}],
        }
        for number, (pair, side, horizon) in enumerate(selections)
    ]
    return {"buttons": buttons, "x": 0, "xanchor": "left", "y": 1.08, "yanchor": "bottom"}
