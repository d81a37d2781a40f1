"""Tables on narrow terminals and in pipes: no figure of them is cut."""

import json
import re

import numpy as np
import pytest

from perp_imbalance.cli import doctor, pairs
from perp_imbalance.cli.console import json_text
from perp_imbalance.doctor import Check, Level, PairFigures, Report
from perp_imbalance.markets.spot_matching import SpotMatch

PEPE = "1000PEPE/USDT:USDT"
FIGURES = PairFigures(PEPE, "PEPE/USDT", 1000, "identical", 0.9987, 0, 2, 0.123, 0.01, 0.1, 0.45)
LONG = "as many candles as fit into one request and as many words as fit into no narrow line"
REPORT = Report({}, [Check("startup candles", Level.OK, LONG)], [FIGURES])
MATCHES = [
    SpotMatch(PEPE, "PEPE/USDT", 1000, "scale", None),
    SpotMatch("CAT/USDT:USDT", None, 1, None, "no spot pair of CAT against USDT"),
]


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines of both commands' tables, without colours."""
    doctor.print_page(REPORT)
    pairs.print_table(MATCHES)
    return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()


@pytest.mark.parametrize("columns", ["30", "80"])
def test_pipe_is_as_wide_as_needed(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", columns)
    lines = printed(capsys)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines]
    assert ["startup candles", "ok", LONG] in rows
    assert [
        *(PEPE, "PEPE/USDT", "1000", "identical", "0.9987", "0", "2", "12.3%", "0.45"),
    ] in rows
    assert ["CAT/USDT:USDT", "", "", "", "no spot pair of CAT against USDT"] in rows
    assert max(map(len, lines)) < 200


@pytest.mark.parametrize("columns", [40, 80])
def test_narrow_terminal_folds_and_cuts_nothing(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # What rich takes for a terminal.
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = printed(capsys)
    assert "…" not in "".join(lines)
    assert max(map(len, lines)) <= columns
    # Folded cells of one column, one below the other.
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines]
    texts = ["".join(column) for column in zip(*(c for c in cells if len(c) == 9), strict=True)]
    assert texts == [PEPE, "PEPE/USDT", "1000", "identical", "0.9987", "0", "2", "12.3%", "0.45"]


def test_json_has_null_for_non_finite_numbers() -> None:
    values = {
        "rest": float("nan"),
        "parts": [float("inf"), np.float64("-inf"), 1.5],
        "by": {"a": 1},
    }
    assert json.loads(json_text(values), parse_constant=pytest.fail) == {
        "rest": None,
        "parts": [None, None, 1.5],
        "by": {"a": 1},
    }
