"""A page in headless Chromium, as a trader sees it: pixels, hover, keys, console."""

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
    """The installed Chromium; tests that look are skipped where there is none.

    Of a module only: while it runs, playwright keeps the event loop of the process for itself.
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
    """One page that is open.

    :ivar complaints: warnings and errors of its console, and exceptions.
    """

    def __init__(self, browser: Browser, file: Path, width: int = 1200, height: int = 900) -> None:
        self.complaints: list[str] = []
        self.page: Page = browser.new_page(viewport={"width": width, "height": height})
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
        # Time that its main thread worked, whatever else the machine does meanwhile.
        self._session = self.page.context.new_cdp_session(self.page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})
        self.page.goto(file.resolve().as_uri())

    def work_seconds(self) -> float:
        """Return how long the page's main thread has worked since it was opened."""
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))

    def ask(self, script: str, argument: Any = None) -> Any:
        """Return what a script says; ``chart`` is the first chart, ``plot`` its plot."""
        begin = "const chart = document.querySelector('.perp-chart').perpChart, plot = chart.plot;"
        return self.page.evaluate(f"async (argument) => {{ {begin} {script} }}", argument)

    def show(self, first: int, last: int) -> None:
        """Show candles by their rows, the last one included."""
        self.ask(
            "const d = chart.rows.dates, h = chart.content.step / 2;"
            "chart.show(d[argument[0]] - h, d[argument[1]] + h);",
            [first, last],
        )

    def place(self, row: int, value: float, axis: str = "y") -> tuple[float, float]:
        """Return where on the page a value of a candle is drawn."""
        x, y = self.ask(
            "const box = plot.getBoundingClientRect(), all = plot._fullLayout;"
            "const x = all.xaxis, y = all[argument[2].replace('y', 'yaxis')];"
            "return [box.left + x._offset + x.l2p(chart.rows.dates[argument[0]]),"
            " box.top + y._offset + y.l2p(argument[1])];",
            [row, value, axis],
        )
        return x, y

    def candle_width(self) -> float:
        """Return the pixels of a candle."""
        return float(
            self.ask(
                "const x = plot._fullLayout.xaxis;"
                "return x._length * chart.content.step / (chart.view[1] - chart.view[0]);"
            )
        )

    def picture(self) -> Image.Image:
        """Return what is visible."""
        return Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")

    def hover(self, row: int, value: float, axis: str) -> str:
        """Return what is shown when the pointer is on a candle."""
        self.page.mouse.move(0, 0)
        self.page.wait_for_selector(".hoverlayer .hovertext", state="detached")
        self.page.mouse.move(*self.place(row, value, axis))
        self.page.wait_for_function(
            "(row) => { const chart = document.querySelector('.perp-chart').perpChart;"
            " const far = chart.bucketSize * chart.content.step;"
            " const [met] = chart.plot._hoverdata || [];"
            " return met && document.querySelector('.hoverlayer .hovertext')"
            " && Math.abs(met.data.x[met.pointNumber] - chart.rows.dates[row]) < far; }",
            arg=row,
        )
        return "\n".join(self.page.locator(".hoverlayer .nums .line").all_text_contents())


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
