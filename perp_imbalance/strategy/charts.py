"""Columns and annotations for freqtrade's charts: FreqUI and ``freqtrade plot-dataframe``.

Both draw columns only, so constant lines (the guides of z) and a bar in two colours (the premium)
need additional columns. Only runs that draw have them.
"""

from abc import abstractmethod
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np
from freqtrade.enums import TRADE_MODES, RunMode
from freqtrade.strategy import IStrategy
from pandas import DataFrame, Timestamp

from perp_imbalance.indicators import Thresholds
from perp_imbalance.indicators.hysteresis import LONG, NONE, SHORT
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.strategy.palette import palette

#: An annotation as freqtrade takes it: a plain dictionary, which it checks.
Annotation = dict[str, Any]

#: The runs whose columns somebody looks at.
DRAWING_MODES = (*TRADE_MODES, RunMode.PLOT, RunMode.WEBSERVER)

# The colours that are told from a light background (plotly) and from a dark one (FreqUI).
_COLORS = palette("classic")
_SIDES = {SHORT: ("SHORT", _COLORS.short), LONG: ("LONG", _COLORS.long)}
# Share of its colour that the tint of a zone has: where |z| is small, and what hot_z adds.
_FAINT, _HOT = 0.08, 0.22
_GUIDES = {
    "guide_enter_short": "enter_z",
    "guide_exit_short": "exit_z",
    "guide_zero": None,
    "guide_exit_long": "exit_z",
    "guide_enter_long": "enter_z",
}


def tinted(color: str, share: float) -> str:
    """Return a colour with an opacity.

    >>> tinted("#ff0080", 0.25)
    'rgba(255, 0, 128, 0.25)'
    """
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return f"rgba({red}, {green}, {blue}, {share:g})"


def _guide(width: int = 1, dash: str = "dot") -> dict[str, Any]:
    # FreqUI takes the colour, plot-dataframe the rest, too.
    color = _COLORS.guide
    return {"color": color, "plotly": {"line": {"color": color, "dash": dash, "width": width}}}


def _bar(color: str) -> dict[str, Any]:
    # One offset for both: else each gets half of a candle's width.
    return {"type": "bar", "color": color, "plotly": {"offsetgroup": "premium"}}


#: What stands where; names of columns.
PLOT_CONFIG: dict[str, Any] = {
    "main_plot": {
        "bb_upper": {
            "color": _COLORS.band,
            "fill_to": "bb_lower",
            "fill_label": "Bollinger bands",
            "fill_color": tinted(_COLORS.band, 0.1),
        },
        "bb_middle": {"color": _COLORS.guide},
        "bb_lower": {"color": _COLORS.band},
    },
    "subplots": {
        "z": {
            **{
                name: _guide(dash="dot" if threshold else "solid")
                for name, threshold in _GUIDES.items()
            },
            "htf_z": {"color": _COLORS.htf, "plotly": {"line": {"color": _COLORS.htf, "width": 1}}},
            "z": {"color": _COLORS.band},
        },
        "premium %": {
            "premium_positive": _bar(_COLORS.premium_positive),
            "premium_negative": _bar(_COLORS.premium_negative),
        },
        "bias": {
            "bias": {
                "color": _COLORS.muted,
                "plotly": {"line": {"color": _COLORS.muted, "shape": "hv"}},
            }
        },
    },
}


def chart_columns(premium: Floats, thresholds: Thresholds) -> dict[str, np.ndarray[Any, Any]]:
    """Return the columns that only charts need: guides of z, and positive and negative premium.

    :param premium: the column ``premium_pct``.
    """
    found = {
        "premium_positive": np.where(premium >= 0, premium, np.nan),
        "premium_negative": np.where(premium < 0, premium, np.nan),
    }
    for name, threshold in _GUIDES.items():
        level = getattr(thresholds, threshold) if threshold else 0.0
        found[name] = np.full(premium.size, -level if name.endswith("long") else level)
    return found


def bias_annotations(
    columns: DataFrame, hot_z: float, start: datetime, end: datetime
) -> list[Annotation]:
    """Return the zones of the bias as tinted areas, and its flips as labelled points.

    A zone extends from the opening of its first candle to the opening of the first candle after it.
    Its tint grows with its most extreme z.

    :param columns: ``date``, ``high``, ``low``, ``close``, ``z`` and ``bias``.
    :param hot_z: ``|z|`` at which the tint is strongest.
    :param start: opening of the first candle to draw; zones that ended earlier are left out.
    :param end: opening of the last candle to draw.
    """
    asked = columns[columns["date"].between(Timestamp(start), Timestamp(end))]
    if asked.empty:
        return []
    bias = asked["bias"].to_numpy()
    changes = np.flatnonzero(bias[1:] != bias[:-1]) + 1
    begins = np.concatenate([[0], changes])
    heat = np.abs(asked["z"].fillna(0.0).to_numpy()) / hot_z
    peaks = np.minimum(np.maximum.reduceat(heat, begins), 1.0)
    dates = [date.to_pydatetime() for date in asked["date"].iloc[begins]]
    opens = columns["date"].iloc[[-1, -min(2, len(columns))]]
    dates.append((asked["date"].iloc[-1] + (opens.iloc[0] - opens.iloc[1])).to_pydatetime())
    found: list[Annotation] = []
    for zone, row in enumerate(begins):
        if bias[row] == NONE:
            continue
        found.append(
            {
                "type": "area",
                "start": dates[zone],
                "end": dates[zone + 1],
                "color": tinted(_SIDES[bias[row]][1], round(_FAINT + _HOT * peaks[zone], 3)),
            }
        )
    # Whether the first candle is a flip, only the one before it can tell.
    earlier = columns.loc[columns["date"] < asked["date"].iloc[0], "bias"]
    flipped = len(earlier) > 0 and earlier.iloc[-1] != bias[0]
    return found + list(_flips(asked.iloc[begins if flipped else changes]))


def _flips(flips: DataFrame) -> Iterator[Annotation]:
    """Yield an annotation for each candle on which the bias flipped."""
    wanted = ["date", "high", "low", "close", "z", "bias"]
    for date, high, low, close, z, bias in flips[wanted].itertuples(index=False):
        point = {"type": "point", "x": date.to_pydatetime(), "size": 8}
        if bias == NONE:
            yield point | {"y": close, "label": "exit", "shape": "circle", "color": _COLORS.muted}
            continue
        name, color = _SIDES[bias]
        short = {"y": high, "rotate": 180} if bias == SHORT else {"y": low}
        yield point | short | {"label": f"{name} {z:+.2f}", "shape": "triangle", "color": color}


class FreqtradeCharts(IStrategy):
    """The part of a strategy that defines freqtrade's charts."""

    plot_config = PLOT_CONFIG

    @abstractmethod
    def thresholds(self) -> Thresholds:
        """Return the thresholds with the current values of the parameters."""

    @property
    def is_drawn(self) -> bool:
        """Return whether the columns of this run are drawn."""
        return self.config["runmode"] in DRAWING_MODES

    def plot_annotations(
        self,
        pair: str,
        start_date: datetime,
        end_date: datetime,
        dataframe: DataFrame,
        **kwargs: Any,
    ) -> list[Annotation]:
        """Return the zones and flips of the bias between two dates."""
        if "bias" not in dataframe:
            return []
        return bias_annotations(dataframe, self.thresholds().hot_z, start_date, end_date)
