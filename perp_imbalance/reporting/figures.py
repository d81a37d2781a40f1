"""The plotly figures of a report."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from perp_imbalance.indicators.performance import drawdown
from perp_imbalance.plotting.theme import colors
from perp_imbalance.reporting.strategy_runs import StrategyRun
from perp_imbalance.reporting.tables import cumulative_share, thinned
from perp_imbalance.strategy.palette import Palette

#: Most points of a line; a screen cannot show more, so longer lines are thinned.
MOST_POINTS = 1500
#: Most trades per strategy that are drawn, one mark each.
MOST_MARKS = 400
HOLD = "buy and hold"
_DASHES = ("solid", "dash", "dot")
_SYMBOLS = ("circle", "diamond", "triangle-up")


def _percent(run: StrategyRun) -> "pd.Series[float]":
    """Return the wallet by candle, in percent of the starting wallet."""
    equity = run.outcome.equity if run.marked is None else run.marked
    return (equity / float(run.outcome.stats["starting_balance"]) - 1.0) * 100.0


class Figures:
    """The figures of one report: a strategy has the same colour, dash and symbol in all of them."""

    def __init__(self, strategies: Sequence[str], palette: Palette) -> None:
        self.palette = palette
        lines = cycle(colors(palette)[:-1])
        self.looks = {
            name: {"color": color, "dash": dash, "symbol": symbol}
            for name, color, dash, symbol in zip(
                strategies,
                lines,
                cycle(_DASHES),
                cycle(_SYMBOLS),
                strict=False,
            )
        }

    def equity(self, seen: Sequence[StrategyRun], market: "pd.Series[float]") -> go.Figure:
        """Return the figure of wallets and drawdowns, with buy-and-hold for comparison."""
        figure = make_subplots(
            rows=2, shared_xaxes=True, row_heights=[0.65, 0.35], vertical_spacing=0.06
        )
        lines = {
            found.outcome.strategy: (
                _percent(found),
                self._line(found.outcome.strategy),
            )
            for found in seen
        }
        if len(market):
            held = (market - 1.0) * 100.0
            lines[HOLD] = (held, {"color": self.palette.muted, "width": 1.5})
        for name, (percent, line) in lines.items():
            if not len(percent):
                continue
            shown = thinned(percent, MOST_POINTS)
            below = thinned(drawdown(percent + 100.0), MOST_POINTS, "min")
            for row, values in ((1, shown), (2, below)):
                trace = go.Scatter(
                    x=values.index,
                    y=values.round(3),
                    name=name,
                    legendgroup=name,
                    showlegend=row == 1,
                    mode="lines",
                    line=line,
                )
                figure.add_trace(trace, row=row, col=1)
        figure.update_yaxes(title_text="wallet, % of the start", row=1)
        figure.update_yaxes(title_text="drawdown, %", row=2)
        return figure.update_layout(height=560, hovermode="x unified")

    def _line(self, strategy: str) -> dict[str, Any]:
        look = self.looks[strategy]
        return {"color": look["color"], "dash": look["dash"], "width": 2}

    def profit(self, table: pd.DataFrame, title: str) -> go.Figure:
        """Return a bar chart of profit by group.

        :param table: as ``by_strategy`` returns it, with ``profit_pct`` in percent of the wallet.
        """
        figure = go.Figure()
        for strategy, rows in table.groupby("strategy", sort=False):
            figure.add_trace(
                go.Bar(
                    x=rows["group"],
                    y=rows["profit_pct"].round(4),
                    customdata=rows[["trades", "won", "mean_pct"]].round(4).to_numpy(),
                    name=str(strategy),
                    marker={"color": self.looks[str(strategy)]["color"]},
                    hovertemplate="%{x}: %{y:+.2f} % of the wallet<br>%{customdata[0]} trades, "
                    "%{customdata[1]:.0%} won, mean %{customdata[2]:+.2f} % of the stake",
                )
            )
        # Otherwise plotly puts groups that the first strategy lacks last.
        order = list(table["group"].cat.categories)
        figure.update_xaxes(type="category", categoryarray=order, title_text=title)
        figure.update_yaxes(title_text="profit, % of the wallet")
        return figure.update_layout(barmode="group", height=340, showlegend=True)

    def cooling(self, trades: Mapping[str, pd.DataFrame]) -> go.Figure:
        """Return the shares of trades that ended, and cooled, within each number of candles."""
        figure = go.Figure()
        for strategy, found in trades.items():
            color = self.looks[strategy]["color"]
            for name, said, dash in (("held", "held", "solid"), ("to_cool", "cooled", "dot")):
                candles, shares = cumulative_share(found[name])
                figure.add_trace(
                    go.Scatter(
                        x=candles,
                        y=shares,
                        name=f"{strategy}: {said}",
                        mode="lines",
                        line={"color": color, "dash": dash, "shape": "hv", "width": 2},
                    )
                )
        figure.update_xaxes(title_text="candles after the signal", rangemode="tozero")
        figure.update_yaxes(title_text="% of trades")
        return figure.update_layout(height=400, hovermode="x unified")

    def premium(self, trades: Mapping[str, pd.DataFrame]) -> go.Figure:
        """Return a scatter plot of the trades: captured premium against price move."""
        figure = go.Figure()
        for strategy, found in trades.items():
            known = found.dropna(subset=["premium_captured"])
            shown = known.iloc[:: max(1, -(-len(known) // MOST_MARKS))]
            look = self.looks[strategy]
            figure.add_trace(
                go.Scatter(
                    x=shown["premium_captured"].round(4),
                    y=shown["price_move"].round(4),
                    text=shown["pair"] + " " + shown["open_date"].dt.strftime("%Y-%m-%d %H:%M"),
                    name=strategy,
                    mode="markers",
                    marker={"color": look["color"], "symbol": look["symbol"], "size": 6}
                    | {"opacity": 0.65},
                    hovertemplate="%{text}<br>premium %{x:+.3f} pp, price %{y:+.2f} %",
                )
            )
        figure.update_xaxes(title_text="premium captured, percentage points", zeroline=True)
        figure.update_yaxes(title_text="price move for the side, %", zeroline=True)
        return figure.update_layout(height=460, showlegend=True)
