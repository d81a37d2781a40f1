"""Every kind of page in Chromium, on a wide screen and on a phone."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from support.chromium import Look, browser
from support.pages import SCRIPT, SECTIONS, write_kind

__all__ = ["browser"]

WIDE, PHONE = 1400, 390

# Boxes of text that a reader sees, cut by the boxes that scroll. Small charts have their own tests.
_OVERLAPS = """() => {
  const boxes = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode()); ) {
    const parent = node.parentElement;
    const unseen = "script, style, .perp-chart, .hoverlayer, .modebar";
    if (!node.data.trim() || parent.closest(unseen)) continue;
    if (!parent.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const svg = parent.closest("text");
    for (const rect of svg ? [svg.getBoundingClientRect()] : range.getClientRects()) {
      let [left, top, right, bottom] = [rect.left, rect.top, rect.right, rect.bottom];
      for (let box = parent; box && box !== document.body; box = box.parentElement) {
        if (box instanceof SVGElement || getComputedStyle(box).overflowX === "visible") continue;
        const outer = box.getBoundingClientRect();
        [left, right] = [Math.max(left, outer.left), Math.min(right, outer.right)];
      }
      const text = `${parent.closest("[id]")?.id}: ${node.data.trim()}`;
      if (right - left > 1) boxes.push({ left, top, right, bottom, svg, text });
    }
  }
  const found = [];
  boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b) => {
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (wide > 2 && high > 3 && !(a.svg && a.svg === b.svg)) found.push(`${a.text} | ${b.text}`);
  }));
  return { count: boxes.length, found };
}"""


@pytest.fixture(scope="module", params=list(SECTIONS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def look(kind: str, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Look]:
    file: Path = write_kind(kind, tmp_path_factory.mktemp("page"), SCRIPT)
    opened = Look(browser, file, width=WIDE)
    yield opened
    opened.page.close()


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_no_text_lies_over_another(look: Look, width: int) -> None:
    page = look.page
    page.set_viewport_size({"width": width, "height": 900})
    # The figures have been drawn for this width.
    page.wait_for_function(
        "[...document.querySelectorAll('.figure .plotly-graph-div')].every(one => Math.abs("
        "one.querySelector('.main-svg')?.clientWidth - one.parentElement.clientWidth) < 2)"
    )
    seen = page.evaluate(_OVERLAPS)
    assert seen["count"] > 40
    assert seen["found"] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert look.complaints == []


def test_contents_list_every_section(look: Look, kind: str) -> None:
    sections = [*SECTIONS[kind], "Terms"]
    page = look.page
    assert page.locator("h2").all_inner_texts() == sections
    assert page.locator("nav a").all_inner_texts() == sections
    target = page.locator("nav a").last.get_attribute("href")
    assert page.locator(f"main {target}").count() == 1


def test_verdict_is_the_first_line(look: Look) -> None:
    verdict = look.page.locator("h1 + p")
    assert verdict.get_attribute("class") == "verdict"
    assert verdict.inner_text().strip()


def test_names_are_text_and_not_scripts(look: Look) -> None:
    assert look.page.evaluate("typeof isRun") == "undefined"
    assert SCRIPT in look.page.locator("main").inner_text()


def test_numbers_have_four_digits_and_no_prefix(look: Look) -> None:
    ticks = look.page.locator(".ytick text, .cbaxis text").all_text_contents()
    assert not any(letter in tick for tick in ticks for letter in "µmk")
    numbers = re.findall(r"\d+\.\d+", " ".join(look.page.locator("td").all_inner_texts()))
    assert numbers
    assert all(len(number.replace(".", "").lstrip("0")) <= 4 for number in numbers)


def test_term_is_explained_on_hover_and_at_the_end(look: Look) -> None:
    term = look.page.locator("main abbr").first
    meaning = term.get_attribute("title")
    assert meaning
    assert meaning in look.page.locator("#terms dd").all_inner_texts()


def test_page_asks_for_nothing_from_a_network(look: Look) -> None:
    assert all(address.startswith(("file:", "data:")) for address in look.requests)
