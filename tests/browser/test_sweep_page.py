"""The page of a sweep in Chromium: the ranked lines, then the best map, on any width."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser
from support.chromium import Look, browser
from support.pages import LONG_PAIR, SECTIONS, write_kind

__all__ = ["browser"]

PHONE = 390


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_kind("sweep", tmp_path_factory.mktemp("sweep"))


def test_nothing_of_the_page_is_hidden_on_a_phone(browser: Browser, page: Path) -> None:
    look = Look(browser, page, width=PHONE)
    look.page.wait_for_selector(".heatmaplayer image, .heatmaplayer path")
    boxes = look.page.evaluate(
        "[...document.querySelectorAll('h1, h2, p, pre, .wide, .main-svg, .infolayer text')]"
        ".map(one => one.getBoundingClientRect()).map(box => [box.left, box.right])"
    )
    assert len(boxes) > 30
    assert all(left >= 0 and right <= PHONE + 1 for left, right in boxes)
    # The wide table scrolls in a box of its own.
    table = look.page.locator(".wide:has(table)").first
    assert table.evaluate("box => box.scrollWidth > box.clientWidth")
    assert table.evaluate("box => getComputedStyle(box).overflowX") == "auto"
    look.page.close()


def test_page_opens_on_the_lines_and_the_best_map(browser: Browser, page: Path) -> None:
    look = Look(browser, page)
    look.page.wait_for_selector(".heatmaplayer image, .heatmaplayer path")
    heads = look.page.locator("h2").all_text_contents()
    assert heads[:2] == SECTIONS["sweep"][:2]
    titles = look.page.locator(".xtitle, .ytitle").all_text_contents()
    assert titles == ["exit_z", "enter_z"] * 4
    cells = look.page.locator("table tbody tr").first.locator("td").all_text_contents()
    assert cells[:6] == ["1", LONG_PAIR, "123.4", "879", "2.25", "0.15"]
    assert "enter_z=1.7" in cells[-1]
    look.page.close()
