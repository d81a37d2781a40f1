"""The freqtrade that this project was tested with."""

import logging
import re

import freqtrade
import pytest
from freqtrade.enums import RunMode
from support.freqtrade import ROOT

from perp_imbalance.strategy.feed import WatchedFeed
from perp_imbalance.strategy.versions import TESTED_FREQTRADE, newer_than_tested


def test_tested_version_is_the_pinned_one() -> None:
    pinned = re.search(
        r"^freqtrade(?:\[.*\])?==(\S+)", (ROOT / "requirements.txt").read_text(), re.M
    )
    assert pinned
    assert pinned[1] == TESTED_FREQTRADE


@pytest.mark.parametrize(
    ("running", "is_newer"),
    [
        (TESTED_FREQTRADE, False),
        ("2026.8", False),
        ("2026.9.1", True),
        ("2026.10", True),
        ("2026.10-dev", True),
        ("2027.1", True),
        ("develop-1a2b3c4", True),
    ],
)
def test_newer_version_is_logged(running: str, is_newer: bool) -> None:
    assert bool(newer_than_tested(running)) == is_newer


@pytest.mark.parametrize(("runmode", "times"), [(RunMode.DRY_RUN, 1), (RunMode.BACKTEST, 0)])
def test_bot_warns_once_of_a_newer_freqtrade(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    runmode: RunMode,
    times: int,
) -> None:
    monkeypatch.setattr(freqtrade, "__version__", "2031.1")
    feed = type("Feed", (WatchedFeed,), dict.fromkeys(WatchedFeed.__abstractmethods__))
    with caplog.at_level(logging.WARNING):
        feed({"runmode": runmode})
    assert caplog.text.count("freqtrade 2031.1 is newer than") == times
