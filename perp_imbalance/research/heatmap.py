"""A sweep as a page: enter_z × exit_z, where a plateau can be told from a lucky cell."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from perp_imbalance.files import write_whole
from perp_imbalance.research.sweep import Sweep, surface, worst_around

_BPS = 1e4
_ROW_HEIGHT = 340
_HOVER = "enter_z %{y}<br>exit_z %{x}<br>%{z:.1f} bps<extra></extra>"
_TITLES = ("mean of the cell", "worst of the cell and its neighbours")


def write_heatmap(sweep: Sweep, file: Path, *, title: str) -> None:
    """Write one self-contained HTML page with a menu of pair, side and horizon.

    Left, the mean net return in bps an event, averaged over all other thresholds; right, the worst
    of each cell and its neighbours. What is good on the right is a plateau; what is good on the
    left only is luck until shown otherwise.

    :param title: what was swept, for the head of the page.
    """
    selections = sorted({key[:3] for key in sweep.cells})
    lengths = sorted({key[3] for key in sweep.cells})
    figure = make_subplots(
        rows=len(lengths),
        cols=2,
        subplot_titles=[f"len_prem {length}: {name}" for length in lengths for name in _TITLES],
        vertical_spacing=min(0.12, 0.3 / len(lengths)),
    )
    for number, selection in enumerate(selections):
        for row, length in enumerate(lengths, start=1):
            exits, enters, means = surface(sweep.cells, *selection, length)
            for column, values in enumerate((means, worst_around(means)), start=1):
                figure.add_trace(
                    go.Heatmap(
                        x=[f"{value:g}" for value in exits],
                        y=[f"{value:g}" for value in enters],
                        z=np.round(values * _BPS, 2),
                        coloraxis="coloraxis",
                        hovertemplate=_HOVER,
                        visible=number == 0,
                    ),
                    row=row,
                    col=column,
                )
    figure.update_xaxes(title_text="exit_z", type="category")
    figure.update_yaxes(title_text="enter_z", type="category")
    figure.update_layout(
        title=title,
        height=_ROW_HEIGHT * len(lengths) + 200,
        updatemenus=[_menu(selections, 2 * len(lengths))],
        coloraxis={"colorscale": "RdBu", "cmid": 0, "colorbar": {"title": "bps"}},
    )
    write_whole(file, figure.to_html(include_plotlyjs=True))


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
