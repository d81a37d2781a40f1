"""A page in headless Chromium, as a user sees it: pixels, hover, keys, console."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from perp_imbalance.plotting.picture import BROWSERS

Color = tuple[int, int, int]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The installed Chromium; without it, tests that need it are skipped.

    Module-scoped: while it runs, playwright occupies the event loop of the process.
    """
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("nobody looked: Chromium is not installed (apt install chromium)")
    with sync_playwright() as driver:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        started = driver.chromium.launch(executable_path=found, args=options)
        yield started
        started.close()


class Look:
    """An open page.

    :ivar complaints: warnings and errors of its console, and exceptions.
    """

    def __init__(
        self,
        browser: Browser,
        file: Path,
        width: int = 1200,
        height: int = 900,
        *,
        fragment: str = "",
    ) -> None:
        self.complaints: list[str] = []
        # A timezone other than UTC, with a change to summer time on 2024-03-10.
        self.page: Page = browser.new_page(
            viewport={"width": width, "height": height}, timezone_id="America/New_York"
        )
        # A loaded machine is slow, not wrong.
        self.page.set_default_timeout(240_000)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console",
            lambda said: (
                self.complaints.append(said.text) if said.type in ("error", "warning") else None
            ),
        )
        self.page.on("request", lambda asked: self.requests.append(asked.url))
        self.requests: list[str] = []
        # Busy time of the page's main thread, independent of the machine's load.
        self._session = self.page.context.new_cdp_session(self.page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})
        self.page.goto(file.resolve().as_uri() + fragment)

    def work_seconds(self) -> float:
        """Return the busy time of the page's main thread since the page was opened."""
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))

    def ask(self, script: str, argument: Any = None) -> Any:
        """Return a script's result; it can use ``chart``, the first chart, and ``library``."""
        begin = "const chart = document.querySelector('.perp-chart').perpChart, "
        begin += "library = chart.chart, frame = () => new Promise(requestAnimationFrame);"
        return self.page.evaluate(f"async (argument) => {{ {begin} {script} }}", argument)

    def show(self, first: int, last: int) -> None:
        """Show candles by row; the last row is included."""
        # The library draws in the next frame, the legends in the one after.
        self.ask("chart.view(...argument); await frame(); await frame();", [first, last])

    def place(self, row: int, value: float, pane: int = 0) -> tuple[float, float]:
        """Return the position on the page of a value of a candle."""
        x, y = self.ask(
            "const [row, value, at] = argument, pane = library.panes()[at];"
            "const box = pane.getHTMLElement().getBoundingClientRect();"
            "return [box.left + library.timeScale().logicalToCoordinate(row),"
            " box.top + pane.getSeries()[0].priceToCoordinate(value)];",
            [row, value, pane],
        )
        return x, y

    def pane_top(self, pane: int) -> float:
        """Return the top of a pane on the page."""
        return float(
            self.ask(
                "return library.panes()[argument].getHTMLElement().getBoundingClientRect().top",
                pane,
            )
        )

    def candle_width(self) -> float:
        """Return the width of a candle in pixels."""
        return float(self.ask("return library.timeScale().options().barSpacing"))

    def colors_near(self, place: tuple[float, float], reach: int) -> list[Color]:
        """Return the colours of the pixels around a position, up to ``reach`` pixels away."""
        left, top = (int(at) - reach for at in place)
        size = 2 * reach + 1
        clip: Any = {"x": left, "y": top, "width": size, "height": size}
        picture = Image.open(io.BytesIO(self.page.screenshot(clip=clip))).convert("RGB")
        pixels: Any = [picture.getpixel((x, y)) for x in range(size) for y in range(size)]
        return list(pixels)

    def hover(self, row: int, value: float, pane: int) -> list[str]:
        """Return the text of the panes' legends while the pointer is on a candle."""
        self.page.mouse.move(0, 0)
        self.page.mouse.move(*self.place(row, value, pane))
        self.page.wait_for_function(
            "(row) => document.querySelector('.perp-chart').perpChart.legend.row === row", arg=row
        )
        return [" ".join(box.split()) for box in self.page.locator(".legend").all_inner_texts()]


def color(name: str) -> Color:
    """Return ``#rrggbb`` as numbers."""
    red, green, blue = (int(name[at : at + 2], 16) for at in (1, 3, 5))
    return red, green, blue


def blend(below: Color, above: Color, alpha: float) -> Color:
    """Return a colour seen through another one."""
    red, green, blue = (
        round(b * (1 - alpha) + a * alpha) for b, a in zip(below, above, strict=True)
    )
    return red, green, blue


def apart(one: Any, other: Any) -> int:
    """Return the largest difference of two colours in red, green or blue."""
    return max(abs(int(a) - int(b)) for a, b in zip(one, other, strict=True))
