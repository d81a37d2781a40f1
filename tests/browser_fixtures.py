"""Headless Chromium for pages that we write; tests are skipped, visibly, where there is none."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from perp_imbalance.errors import CommandError
from perp_imbalance.look.picture import find_browser

# Chromium's sandbox needs more than a container has; nothing but our own pages is opened.
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium without a window, by playwright."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: no browser")
    try:
        program = find_browser()
    except CommandError as error:
        pytest.skip(str(error))
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        yield chromium
        chromium.close()


@contextmanager
def opened_page(browser: Any, file: Path, width: int = 1200, height: int = 900) -> Iterator[Any]:
    """Open a page; at the end, nothing may have complained and nothing been fetched."""
    page = browser.new_page(viewport={"width": width, "height": height})
    complaints: list[str] = []
    page.on(
        "console",
        lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None,
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda asked: (
            complaints.append(asked.url) if not asked.url.startswith(("file:", "data:")) else None
        ),
    )
    try:
        page.goto(file.resolve().as_uri())
        yield page
        assert complaints == []
    finally:
        page.close()
