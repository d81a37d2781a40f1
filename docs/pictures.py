"""Draw the pictures of the README: the indicator's chart on the SYNTHETIC sample market.

``make pictures`` runs it. Nothing here is a result; it shows what the columns look like.
"""

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from perp_imbalance.strategy.palette import palette

DOCS = Path(__file__).parent
ROOT = DOCS.parent
PERP, STRATEGY = "BTC/USDT:USDT", "PerpImbalance"
# The first extreme episode up to the outage of spot, two weeks later.
START, END = pd.Timestamp("2025-02-13", tz="UTC"), pd.Timestamp("2025-03-04", tz="UTC")
WIDTH, HEIGHT = 1400, 900
CHARTS = {
    "chart.png": palette("classic", dark=True),
    "chart-light.png": palette("classic"),
    "chart-safe.png": palette("safe"),
}


def draw_charts() -> None:
    """Draw the chart in its palettes."""
    from perp_imbalance.data.sample import write_sample_market
    from perp_imbalance.freqtrade_bridge.config import merged_config
    from perp_imbalance.plotting.chart import write_chart
    from perp_imbalance.plotting.picture import take_picture
    from perp_imbalance.reporting.analysis import open_strategy_analysis

    with TemporaryDirectory() as name:
        folder = Path(name)
        sample = write_sample_market(folder / "binance")
        overlay = {"exchange": {"pair_whitelist": [PERP]}}
        with open_strategy_analysis(
            merged_config([ROOT / "config.json"], overlay),
            strategy=STRATEGY,
            datadir=sample.datadir,
        ) as found:
            chart = found.chart(PERP).between(START, END)
        chart = replace(chart, note="SYNTHETIC sample market, no real prices")
        for file, colors in CHARTS.items():
            page = folder / "chart.html"
            write_chart(page, chart, colors, labels=True)
            take_picture(page, DOCS / file, width=WIDTH, height=HEIGHT)
            print(DOCS / file, file=sys.stderr)


if __name__ == "__main__":
    draw_charts()
