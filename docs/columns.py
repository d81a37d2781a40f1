"""Draw docs/columns.png: the columns of the signal on the SYNTHETIC sample market.

``make picture`` runs it. Nothing here is a result; it shows what the columns look like.
"""

from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from perp_imbalance.indicators import Thresholds, entry_signals, exit_signals, imbalance_columns
from perp_imbalance.indicators.zones import LONG, SHORT
from perp_imbalance.sample import write_sample_market

PICTURE = Path(__file__).with_suffix(".png")
PERP, SPOT, TIMEFRAME = "BTC/USDT:USDT", "BTC/USDT", "1h"
# From the first extreme episode to the outage of spot, two weeks later.
EPISODE, BEFORE, AFTER = 0, timedelta(days=5), timedelta(days=17)

WIDTH, HEIGHT, DPI = 1400, 1000, 100
GROUND, TEXT, GRID = "#131722", "#d1d4dc", "#2a2e39"
RED, BLUE = "#f23645", "#2962ff"
POSITIVE, NEGATIVE, MISSING = "#52ff7d", "#f56464", "#868993"
DAY = pd.Timedelta("1D")
CANDLE = pd.Timedelta(TIMEFRAME) / DAY

STYLE: Any = {
    **{"font.size": 11, "axes.facecolor": GROUND, "figure.facecolor": GROUND},
    **{"text.color": TEXT, "axes.labelcolor": TEXT, "xtick.color": TEXT, "ytick.color": TEXT},
    **{"axes.edgecolor": GRID, "grid.color": GRID, "axes.grid": True, "axes.axisbelow": True},
    **{"legend.facecolor": GROUND, "legend.edgecolor": GRID, "legend.framealpha": 0.85},
}

#: Places of the candles on the axis: days since 1970.
Days = npt.NDArray[np.floating[Any]]


def columns_of_sample(thresholds: Thresholds) -> pd.DataFrame:
    """Return candles, columns and signals of the days around an extreme episode."""
    # Here, because importing freqtrade takes seconds that an import of this file need not.
    from freqtrade.data.history import load_pair_history
    from freqtrade.enums import CandleType

    with TemporaryDirectory() as folder:
        sample = write_sample_market(Path(folder, "binance"))
        perp, spot = (
            load_pair_history(pair, TIMEFRAME, sample.datadir, candle_type=kind)
            for pair, kind in ((PERP, CandleType.FUTURES), (SPOT, CandleType.SPOT))
        )
    table: pd.DataFrame = perp.join(imbalance_columns(perp, spot, thresholds=thresholds))
    table = table.join(entry_signals(table, thresholds)).join(exit_signals(table))
    for side in ("short", "long"):
        table[f"exit_{side}"] &= ends_a_position(table[f"enter_{side}"], table[f"exit_{side}"])
    peak = pd.Timestamp(sample.extremes[EPISODE][0])
    return table[table["date"].between(peak - BEFORE, peak + AFTER)].reset_index(drop=True)


def ends_a_position(enters: "pd.Series[int]", exits: "pd.Series[int]") -> "pd.Series[bool]":
    """Tell of each exit whether something was entered since the one before."""
    zone = exits.shift(fill_value=0).cumsum()
    return enters.groupby(zone).transform("max") == 1


def draw(table: pd.DataFrame, thresholds: Thresholds) -> None:
    """Write the picture."""
    with mpl.rc_context(STYLE):
        figure, panels = plt.subplots(
            3,
            figsize=(WIDTH / DPI, HEIGHT / DPI),
            sharex=True,
            gridspec_kw={"height_ratios": [5, 4, 3]},
            layout="constrained",
        )
        figure.suptitle(
            f"{PERP} and {SPOT}, {TIMEFRAME}, preset balanced – SYNTHETIC sample market, "
            f"no real prices ({table['date'].iloc[0]:%Y}, UTC)",
            fontsize=14,
        )
        times = ((table["date"] - pd.Timestamp(0, tz="UTC")) / DAY).to_numpy(dtype=np.float64)
        draw_price(panels[0], times, table)
        draw_z(panels[1], times, table, thresholds)
        draw_premium(panels[2], times, table)
        panels[2].set_xlim(times[0], times[-1] + CANDLE)
        panels[2].set_xticks(np.arange(np.ceil(times[0]), times[-1], 2.0))
        panels[2].xaxis.set_major_formatter(lambda day, _: f"{pd.Timestamp(day, unit='D'):%d %b}")
        for panel in panels:
            panel.yaxis.tick_right()
        figure.savefig(PICTURE, dpi=DPI, metadata={"Software": None})
        plt.close(figure)


def draw_price(panel: Axes, times: Days, table: pd.DataFrame) -> None:
    """Draw price, bands, entries and exits."""
    panel.fill_between(times, table["bb_lower"], table["bb_upper"], color=TEXT, alpha=0.10, lw=0)
    panel.plot(times, table["bb_middle"], color=MISSING, lw=1, ls="--", label="bb_middle")
    panel.plot(times, table["bb_upper"], color=MISSING, lw=1, label="bb_upper, bb_lower")
    panel.plot(times, table["bb_lower"], color=MISSING, lw=1)
    panel.plot(times, table["close"], color=TEXT, lw=1.4, label="close of the perp")
    marks = (
        ("enter_short", "v", RED, True),
        ("exit_short", "o", RED, False),
        ("enter_long", "^", BLUE, True),
        ("exit_long", "o", BLUE, False),
    )
    for column, marker, color, filled in marks:
        rows = (table[column] == 1).to_numpy()
        panel.scatter(
            times[rows],
            table["close"][rows],
            s=110 if filled else 60,
            marker=marker,
            edgecolors=color,
            facecolors=color if filled else "none",
            linewidths=1.6,
            label=column,
            zorder=4,
        )
    panel.yaxis.set_major_formatter("{x:,.0f}")
    panel.set_ylabel("price, USDT")
    panel.legend(loc="upper left", ncols=4)


def draw_z(panel: Axes, times: Days, table: pd.DataFrame, thresholds: Thresholds) -> None:
    """Draw z with its thresholds, the background tinted by the bias and how extreme z is."""
    heat = (table["z"].abs().ffill().fillna(0.0) / thresholds.hot_z).clip(upper=1.0)
    for side, color in ((SHORT, RED), (LONG, BLUE)):
        tint = np.zeros((1, len(table), 4))
        tint[..., :3] = mpl.colors.to_rgb(color)
        tint[..., 3] = np.where(table["bias"] == side, 0.10 + 0.55 * heat, 0.0)
        panel.imshow(
            tint,
            extent=(times[0], times[-1] + CANDLE, 0.0, 1.0),
            transform=panel.get_xaxis_transform(),
            aspect="auto",
            interpolation="nearest",
            zorder=0.5,
        )
    panel.axhline(0.0, color=TEXT, lw=0.8)
    levels = {0.0: "0"}
    for name in ("enter_z", "exit_z"):
        level = getattr(thresholds, name)
        levels |= {level: f"{name} {level:g}", -level: f"−{level:g}"}
        for sign in (1, -1):
            panel.axhline(sign * level, color=TEXT, lw=1, ls=":")
    panel.set_yticks(list(levels), levels.values())
    panel.grid(visible=False, axis="y")
    panel.plot(times, table["z"], color="white", lw=1.3)
    panel.set_ylim(table["z"].min() - 0.4, table["z"].max() + 0.4)
    panel.set_ylabel("z")
    patches = [
        Line2D([], [], color=color, lw=8, alpha=0.6, label=name)
        for color, name in ((RED, "SHORT bias"), (BLUE, "LONG bias"))
    ]
    panel.legend(
        handles=patches,
        loc="upper right",
        ncols=2,
        title=f"deepest from |z| = {thresholds.hot_z:g} (hot_z)",
        title_fontsize=9,
    )


def draw_premium(panel: Axes, times: Days, table: pd.DataFrame) -> None:
    """Draw the premium as columns, and gray where there is none."""
    premium = table["premium_pct"]
    for rows, color in ((premium >= 0, POSITIVE), (premium < 0, NEGATIVE)):
        panel.bar(times[rows], premium[rows], width=CANDLE, align="edge", color=color, lw=0)
    for begin in times[premium.isna()]:
        panel.axvspan(begin, begin + CANDLE, color=MISSING, lw=0)
    panel.axhline(0.0, color=TEXT, lw=0.8)
    panel.set_ylabel("premium, %")
    handles = [
        Line2D([], [], color=color, lw=8, label=name)
        for color, name in (
            (POSITIVE, "perp dearer than spot"),
            (NEGATIVE, "cheaper"),
            (MISSING, "no fresh spot price"),
        )
    ]
    panel.legend(handles=handles, loc="upper center", ncols=3)


if __name__ == "__main__":
    balanced = Thresholds()
    draw(columns_of_sample(balanced), balanced)
