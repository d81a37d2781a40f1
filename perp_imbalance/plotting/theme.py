"""The style of all plotly figures, in the colours of a palette."""

from itertools import product
from typing import Any

from perp_imbalance.strategy.palette import Palette

_DASHES = ("solid", "dash", "dot")


def theme(palette: Palette) -> Any:
    """Return the plotly template of a palette.

    Numbers are written in full: no exponent and no "µ".
    """
    import plotly.graph_objects as go

    axis = {
        "gridcolor": palette.grid,
        "zerolinecolor": palette.guide,
        "linecolor": palette.grid,
        "exponentformat": "none",
        "separatethousands": True,
        "automargin": True,
        # Keeps the lowest label of one axis away from the first label of the other.
        "ticks": "outside",
        "ticklen": 6,
        "tickcolor": palette.grid,
        "title": {"standoff": 8},
    }
    bar = {"thickness": 12, "outlinewidth": 0, "exponentformat": "none"}
    scale = [[0.0, palette.down], [0.5, palette.grid], [1.0, palette.up]]
    return go.layout.Template(
        layout={
            "paper_bgcolor": palette.background,
            "plot_bgcolor": palette.background,
            "font": {"color": palette.text, "family": "system-ui, sans-serif", "size": 12},
            "colorway": colors(palette),
            "margin": {"l": 56, "r": 16, "t": 24, "b": 48},
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            "hoverlabel": {"bgcolor": palette.background, "font": {"color": palette.text}},
            # A swipe on a figure scrolls the page; the figure's buttons zoom.
            "dragmode": False,
            "xaxis": axis,
            "yaxis": {**axis, "hoverformat": ".4~r"},
        },
        data={"heatmap": [go.Heatmap(colorscale=scale, colorbar=bar, xgap=1, ygap=1)]},
    )


def colors(palette: Palette) -> list[str]:
    """Return the line colours in order."""
    return [palette.long, palette.htf, palette.funding, palette.up, palette.down, palette.muted]


def looks(names: Any, palette: Palette) -> dict[str, dict[str, str]]:
    """Return a colour and a dash for each name, the same in all figures of a page."""
    pairs = product(_DASHES, colors(palette)[:-1])
    return {
        name: {"color": color, "dash": dash}
        for name, (dash, color) in zip(names, pairs, strict=False)
    }
