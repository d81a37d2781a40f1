"""Terminal and page show the same tables: what is counted, what differs, what is still open."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.pages import page_text

from perp_imbalance.cli import reconcile, rehearse
from perp_imbalance.reconcile import Reconciliation
from perp_imbalance.rehearsal import Comparison, Difference, Plan, page
from perp_imbalance.rehearsal.comparison import CAUSES, OpenTrade

TIME = datetime(2025, 9, 18, 4, tzinfo=UTC)
DIFFERENCES = [
    Difference("late", "ETH/USDT:USDT", "short", TIME, "zone", "05:00", "<late> spot", -16.14),
    Difference("exit", "BTC/USDT:USDT", "long", TIME, "cooled", "open"),
]
OPEN = [OpenTrade("BTC/USDT:USDT", "long", TIME, held) for held in ("bot", "both")]


@pytest.fixture
def comparison() -> Comparison:
    profit = dict.fromkeys(CAUSES, 0.0) | {"spread": -0.034, "stop": -0.001}
    return Comparison(7, 8, 6, 5, DIFFERENCES, OPEN, profit)


def test_tables_count_what_both_did(comparison: Comparison) -> None:
    trades, profit, kinds, causes, differences, still_open = page.tables(comparison)
    counts = {row["trades"]: tuple(row.values())[1:] for row in trades}
    assert counts == {
        "entries": ("7", "8", "6"),
        "exits": ("6", "6", "5"),
        "open at the end": ("1", "2", "1"),
    }
    assert [row["mean bps"] for row in profit[:2]] == ["-0.03", "0.00"]
    assert [tuple(row.values()) for row in causes] == [("<late> spot", "1"), ("unexplained", "1")]
    numbers = {row["difference"]: (row["number"], row["unexplained"]) for row in kinds}
    assert (numbers["late"], numbers["exit"], numbers["extra"]) == (
        ("1", "0"),
        ("1", "1"),
        ("0", "0"),
    )
    assert [(row["bps"], row["cause"]) for row in differences] == [
        ("-16.1", "<late> spot"),
        ("", "unexplained"),
    ]
    assert [row["held by"] for row in still_open] == ["bot", "both"]


def test_empty_list_prints_no_table() -> None:
    assert [next(iter(rows[0])) for rows in page.tables(Comparison(0, 0))] == [
        "trades",
        "difference",
    ]


def test_page_has_every_cell_and_names_the_run(comparison: Comparison, tmp_path: Path) -> None:
    config = {"strategy": "Mine", "exchange": {"pair_whitelist": ["BTC/USDT:USDT"]}}
    plan = Plan(config, tmp_path, tmp_path, TIME, TIME, looks=(1.0, 1801.0))
    file = tmp_path / "page.html"
    page.write(plan, comparison, file)
    cells = re.findall("<td.*?>(.*?)</td>", file.read_text("utf-8"))
    rows = [row for table in page.tables(comparison) for row in table]
    assert len(cells) == sum(map(len, rows))
    assert "&lt;late&gt; spot" in cells
    for said in (page.heading(plan), page.verdict(comparison), "in each candle: 2.", "SYNTHETIC"):
        assert said in page_text(file)


def test_reconcile_prints_the_tables_and_verdict_of_rehearse(
    comparison: Comparison, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"strategy": "Mine", "exchange": {"pair_whitelist": ["X"]}}
    plan = Plan(config, Path(), Path(), TIME, TIME)
    rehearse.show(plan, comparison)
    rehearsed = capsys.readouterr().out
    reconcile.show(Reconciliation(TIME, TIME, comparison, {}, None, 0, None))
    reconciled = capsys.readouterr().out
    tables = "".join(rehearsed.splitlines(keepends=True)[1:])
    assert tables in reconciled
    assert "Times are UTC" in tables
    for said in (*rehearsed.splitlines()[:1], *reconciled.splitlines()[:1]):
        assert said.endswith(" UTC")


def test_verdict_without_trades_claims_nothing() -> None:
    assert "nothing was compared" in page.verdict(Comparison(0, 0, 0, 0, [], [], {}))
    assert "all explained" in page.verdict(Comparison(1, 1, 1, 1, [], [], {}))
