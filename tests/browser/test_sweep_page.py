"""The page of a sweep in Chromium: the ranked lines, then the best map, on any width."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser
from support.chromium import Look, browser

from perp_imbalance.indicators import PRESETS
from perp_imbalance.research.grid_sweep import Selection
from perp_imbalance.research.heatmap import Map, write_sweep
from perp_imbalance.research.plateau import Around, Line, as_row
from perp_imbalance.research.trade_figures import Figures
from perp_imbalance.strategy.named_values import words_of, written_values
from perp_imbalance.strategy.settings import Settings

__all__ = ["browser"]

PAIR = "1000PEPE/USDT:USDT"
PHONE = 390


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page of two lines and two maps, with words as long as they come."""
    thresholds = PRESETS["balanced"]
    figures = Figures(879, 150, 123.4, 2.25, 52.7, 1.41, 10.5, 1.27, 0.46)
    near = Around(4, 3, 0.94, 195, -7.9)
    lines = [Line(Selection(PAIR, held), thresholds, figures, 0.15, near) for held in (None, None)]
    values = " ".join(words_of(written_values(thresholds, Settings())))
    command = f"perp-imbalance backtest --datadir {'/a/long/folder' * 6} --set {values}"
    rows = [{**as_row(line), "values": values, "command": command} for line in lines]
    ys, xs = (
        [round(1.2 + 0.1 * n, 1) for n in range(19)],
        [round(0.2 + 0.1 * n, 1) for n in range(9)],
    )
    values_of = np.random.default_rng(1).normal(0, 20, (len(ys), len(xs)))
    table = {"net_bps": values_of, "t": values_of / 10, "trades": np.full(values_of.shape, 40.0)}
    maps = [Map(line, "exit_z", "enter_z", xs, ys, table) for line in lines]
    file = tmp_path / "sweep.html"
    title = f"Sweep: {'/a/long/folder' * 6}, 1h"
    write_sweep(file, title, ["1080 combinations tried", "x" * 300], rows, maps)
    return file


@pytest.mark.parametrize("width", [PHONE, 1200])
def test_nothing_of_the_page_is_hidden(browser: Browser, page: Path, width: int) -> None:
    look = Look(browser, page, width=width)
    look.page.wait_for_selector(".heatmaplayer image")
    assert look.complaints == []
    # The page itself has no sideways scrolling; the wide table has, in a box of its own.
    assert look.page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = look.page.evaluate(
        "[...document.querySelectorAll('h1, h2, p, pre, .wide, .main-svg, .infolayer text')]"
        ".map(one => one.getBoundingClientRect()).map(box => [box.left, box.right])"
    )
    assert len(boxes) > 30
    assert all(left >= 0 and right <= width + 1 for left, right in boxes)
    scrolls = "const box = document.querySelector('.wide');"
    assert look.page.evaluate(f"() => {{ {scrolls} return getComputedStyle(box).overflowX; }}") == (
        "auto"
    )
    look.page.close()


def test_page_opens_on_the_lines_and_the_best_map(browser: Browser, page: Path) -> None:
    look = Look(browser, page)
    look.page.wait_for_selector(".heatmaplayer image")
    heads = look.page.locator("h2").all_text_contents()
    assert heads[0] == f"{PAIR}: enter_z × exit_z (the best)"
    assert heads[2:] == ["How to trade them", "How to read this"]
    table, first = (look.page.locator(one).first.bounding_box() for one in ("table", ".main-svg"))
    assert table is not None
    assert first is not None
    assert table["y"] < first["y"]
    titles = look.page.locator(".xtitle, .ytitle").all_text_contents()
    assert titles == ["exit_z", "enter_z"] * 4
    cells = look.page.locator("table tr:nth-child(2) td").all_text_contents()
    assert cells[:6] == ["1", PAIR, "123.4", "879", "2.25", "0.15"]
    assert "enter_z=1.7" in cells[-1]
    look.page.close()
