"""Draw the pictures of the README: the indicator's pane on the SYNTHETIC sample market.

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
PANES = {
    "pane.png": palette("classic", dark=True),
    "pane-light.png": palette("classic"),
    "pane-safe.png": palette("safe"),
}


def draw_panes() -> None:
    """Draw the pane in its palettes."""
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
            pane = found.pane(PERP).between(START, END)
        pane = replace(pane, note="SYNTHETIC sample market, no real prices")
        for file, colors in PANES.items():
            page = folder / "pane.html"
            write_chart(page, pane, colors, labels=True)
            take_picture(page, DOCS / file, width=WIDTH, height=HEIGHT)
            print(DOCS / file, file=sys.stderr)


if __name__ == "__main__":
    draw_panes()
