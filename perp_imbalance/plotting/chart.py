"""The indicator's chart as HTML: the columns as data, and the scripts that draw them.

The charting library is TradingView's lightweight-charts 5, in ``vendor/`` with its licence.
"""

import base64
import html
import json
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perp_imbalance.files import atomic_write_text
from perp_imbalance.indicators.levels import LEVELS
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.strategy.palette import Palette

#: Columns that the script draws or shows, named as in the strategy.
_FLOATS = (
    *("open", "high", "low", "close", "bb_upper", "bb_middle", "bb_lower"),
    *("spot_close", "premium_pct", "z", "htf_z"),
)
#: Columns that are drawn if the frame has them.
_OPTIONAL = ("volume", *LEVELS)
_LIBRARY = "vendor/lightweight-charts.standalone.production.js"
_SCRIPTS = ("data.js", "layers.js", "panes.js", "legend.js", "chart.js")
#: Required by the library's licence: its NOTICE, and a link to its maker.
_ATTRIBUTION = (
    '<p class="perp-attribution">Drawn with TradingView Lightweight Charts™, Copyright (c) 2023 '
    'TradingView, Inc. <a href="https://www.tradingview.com/">www.tradingview.com</a></p>'
)


@dataclass(frozen=True)
class Chart:
    """The chart data of one pair.

    :ivar seconds: length of a candle.
    :ivar frame: candles, columns of the signal and ``no_entry``: why a candle does not enter.
        Volume and the levels of :func:`perp_imbalance.indicators.levels.levels` are drawn if
        present.
    :ivar trades: freqtrade's trades, of this pair or of any; None to draw none.
    :ivar funding: what longs pay during each candle, in percent; None to leave it out.
    :ivar note: a note next to the title, such as that the candles are synthetic.
    """

    pair: str
    timeframe: str
    seconds: int
    strategy: str
    htf_timeframe: str
    thresholds: Thresholds
    frame: pd.DataFrame
    trades: pd.DataFrame | None = None
    funding: Floats | None = None
    note: str = ""

    @property
    def trades_drawn(self) -> pd.DataFrame:
        """The trades of the pair that are open during the chart's candles."""
        trades = pd.DataFrame() if self.trades is None else self.trades
        if trades.empty:
            return trades
        dates = self.frame["date"]
        drawn: pd.DataFrame = trades[
            (trades["pair"] == self.pair)
            & (trades["open_date"] <= dates.iloc[-1])
            & (trades["close_date"] >= dates.iloc[0])
        ]
        return drawn

    def between(self, start: pd.Timestamp, end: pd.Timestamp) -> "Chart":
        """Return the part of the chart whose candles open from ``start`` to ``end``, inclusive."""
        rows = self.frame["date"].between(start, end).to_numpy()
        return replace(
            self,
            frame=self.frame[rows].reset_index(drop=True),
            funding=None if self.funding is None else self.funding[rows],
        )


def chart_section(
    chart: Chart, palette: Palette, *, labels: bool = False, small: bool = False
) -> str:
    """Return a chart as HTML, for a page that includes :func:`chart_scripts` once.

    :param labels: whether flips of the bias are labelled.
    :param small: whether the page has several charts; each is then lower, without help text, and
        drawn when it scrolls into view.
    """
    content = json.dumps(_content(chart, palette, labels, small), separators=(",", ":"))
    kind = "perp-chart small" if small else "perp-chart"
    # In JSON, only this character could end the script element.
    content = content.replace("</", "<\\/")
    return f'<section class="{kind}"><script type="application/json">{content}</script></section>'


def chart_scripts() -> str:
    """Return the style, the scripts that draw all charts of a page, and the library's attribution.

    They belong at the page's end, once.
    """
    own = files("perp_imbalance.plotting")
    style = own.joinpath("chart.css").read_text("utf-8")
    scripts = [own.joinpath(name).read_text("utf-8") for name in (_LIBRARY, *_SCRIPTS)]
    tags = "".join(f"<script>{script}</script>" for script in (scripts[0], "".join(scripts[1:])))
    return f"{_ATTRIBUTION}<style>{style}</style>{tags}"


def chart_page(chart: Chart, palette: Palette, *, labels: bool = False) -> str:
    """Return a self-contained page with one chart."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{html.escape(f'{chart.pair} {chart.timeframe}, {chart.strategy}')}</title>"
        "<style>body{margin:0;display:flex;flex-direction:column;min-height:100vh;"
        f"min-height:100dvh;color:{palette.muted};background:{palette.background}}}</style></head>"
        f"<body>{chart_section(chart, palette, labels=labels)}{chart_scripts()}</body></html>"
    )


def write_chart(file: Path, chart: Chart, palette: Palette, *, labels: bool = False) -> None:
    """Write the chart page, atomically.

    :raises CommandError: if the file cannot be written.
    """
    atomic_write_text(file, chart_page(chart, palette, labels=labels))


def _content(chart: Chart, palette: Palette, labels: bool, small: bool) -> dict[str, Any]:
    """Return the script's input: plain data, with columns as the bytes of typed arrays."""
    frame = chart.frame
    dates = pd.DatetimeIndex(frame["date"]).as_unit("ms").asi8
    names = (*_FLOATS, *(name for name in _OPTIONAL if name in frame))
    columns = {name: frame[name].to_numpy() for name in names}
    if chart.funding is not None:
        columns["funding"] = chart.funding
    reasons, codes = np.unique(frame["no_entry"].to_numpy(dtype=str), return_inverse=True)
    return {
        "pair": chart.pair,
        "timeframe": chart.timeframe,
        "step": chart.seconds * 1000,
        "strategy": chart.strategy,
        "note": chart.note,
        "source": _source(frame),
        "htf": chart.htf_timeframe if chart.thresholds.use_htf else None,
        "thresholds": asdict(chart.thresholds),
        "palette": asdict(palette),
        "labels": labels,
        "small": small,
        "dates": _packed(dates, "<f8"),
        "columns": {name: _packed(values, "<f8") for name, values in columns.items()},
        "bias": _packed(frame["bias"].to_numpy(), "<i1"),
        "no_entry": _packed(codes, "<u2"),
        "reasons": reasons.tolist(),
        "trades": _trades(chart),
    }


def _source(frame: pd.DataFrame) -> str:
    """Return the name of the premium source; a pair has one source."""
    if "premium_source" not in frame:
        return "spot"
    known = frame["premium_source"].dropna().unique().tolist()
    if known == ["premium_index"]:
        # The premium index compares the order book with the index price.
        return "index (premium index)"
    return str(known[0]) if known else "spot"


def _packed(values: Any, kind: str) -> str:
    return base64.b64encode(np.asarray(values).astype(kind).tobytes()).decode("ascii")


def _trades(chart: Chart) -> list[dict[str, Any]] | None:
    """Return the drawn trades as plain data."""
    if chart.trades is None:
        return None
    drawn: Any = chart.trades_drawn.itertuples()
    return [
        {
            "side": "short" if trade.is_short else "long",
            "opened": trade.open_date.timestamp() * 1000,
            "closed": trade.close_date.timestamp() * 1000,
            "entry": float(trade.open_rate),
            "exit": float(trade.close_rate),
            "tag": str(trade.enter_tag),
            "reason": str(trade.exit_reason),
            "profit": float(trade.profit_ratio),
            "amount": float(trade.profit_abs),
        }
        for trade in drawn
    ]
