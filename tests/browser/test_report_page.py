"""What a report draws and says of its trades, on a market made by hand."""

import html
import json
import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pandas as pd
import pytest
from support.reports import EQUITY, HOUR, PAIR, START, STATS, seen, trade

from perp_imbalance.reporting import figures as figures_module
from perp_imbalance.reporting.backtest_result import read_result
from perp_imbalance.reporting.build import tables_of
from perp_imbalance.reporting.figures import Figures
from perp_imbalance.reporting.report_page import AROUND, LONGEST, write_report
from perp_imbalance.reporting.strategy_runs import StrategyRun
from perp_imbalance.strategy.palette import palette


def drawn(*strategies: str) -> Figures:
    return Figures(strategies, palette())


def test_wallets_keep_the_depth_of_their_drawdown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more values than can be drawn, a stretch has its lowest, not its last."""
    monkeypatch.setattr(figures_module, "MOST_POINTS", 2)
    wallet, below = drawn("a").equity([seen(trade(2, 5))], pd.Series(dtype=float)).data
    assert wallet.y.tolist() == pytest.approx([-20.0, 10.0])
    assert below.y.tolist() == [-30.0, 0.0]


def test_buy_and_hold_is_in_percent_of_its_start() -> None:
    market = pd.Series([1.0, 1.2], index=EQUITY.index[:2])
    lines = drawn("a").equity([seen(trade(2, 5))], market).data
    assert [(line.name, line.showlegend) for line in lines] == [
        *(("a", True), ("a", False), ("buy and hold", True), ("buy and hold", False)),
    ]
    assert lines[2].y.tolist() == pytest.approx([0.0, 20.0])


def test_bars_tell_trades_won_and_mean_on_hover() -> None:
    run = seen(trade(2, 5, profit_abs=20.0), trade(6, 7, profit_abs=-5.0))
    table = tables_of([run])["side"].assign(profit_pct=1.5)
    (bar,) = drawn("a").profit(table, "side").data
    assert (list(bar.x), bar.y.tolist()) == (["short"], [1.5])
    assert bar.customdata.tolist() == [[2, 0.5, 1.0]]


def test_dots_show_cooled_trades_and_the_line_held_ones() -> None:
    trades = pd.DataFrame({"held": [1.0, 3.0], "to_cool": [2.0, 4.0]})
    held, cooled = drawn("a").cooling({"a": trades}).data
    assert (held.name, list(held.x), held.line.dash) == ("a: held", [1.0, 3.0], "solid")
    assert (cooled.name, list(cooled.x), cooled.line.dash) == ("a: cooled", [2.0, 4.0], "dot")


def test_marks_have_the_premium_across_and_the_price_upward() -> None:
    one = seen(trade(2, 5), trade(3, 5, pair="ETH/USDT:USDT")).trades
    (marks,) = drawn("a").premium({"a": one}).data
    # A short: the premium grew by 0.03, the price fell by 2 %.
    assert (marks.x.tolist(), marks.y.tolist()) == ([-0.03], [2.0])
    assert list(marks.text) == [f"{PAIR} 2024-01-31 22:00"]


def test_number_of_drawn_marks_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures_module, "MOST_MARKS", 2)
    one = seen(*(trade(at, 9) for at in range(2, 7))).trades
    (marks,) = drawn("a").premium({"a": one}).data
    assert [text[-5:] for text in marks.text] == ["22:00", "01:00"]


def test_strategy_has_the_same_style_in_all_figures() -> None:
    trades = {name: seen(trade(2, 5), name=name).trades for name in ("a", "b")}
    figures = drawn("a", "b")
    colors = palette()
    assert [mark.marker.color for mark in figures.premium(trades).data] == [
        *(colors.long, colors.htf),
    ]
    assert [line.line.color for line in figures.cooling(trades).data] == [
        *(colors.long, colors.long, colors.htf, colors.htf),
    ]


def page_of(folder: Path, *found: StrategyRun) -> str:
    file = folder / "page.html"
    write_report(file, "Title", [], found, tables_of(found), EQUITY / 1000.0, palette())
    return file.read_text("utf-8")


def section(page: str, title: str) -> str:
    return page.partition(f"<h2>{title}</h2>")[2].partition("<h2>")[0]


def rows(part: str) -> list[list[str]]:
    """Return the cells of every row with a head of names left out."""
    cells = (re.findall("<td.*?>(.*?)</td>", row) for row in re.findall("<tr>.*?</tr>", part, re.S))
    return [[html.unescape(re.sub("<.*?>", "", cell)) for cell in row] for row in cells if row]


def test_worst_trades_are_drawn_with_the_candles_around_them(tmp_path: Path) -> None:
    losses = (
        trade(100, 103, profit_ratio=-0.02, profit_abs=-4.0, exit_reason="<stop>"),
        trade(200, 650, profit_ratio=-0.05, profit_abs=-10.0, is_short=False),
        trade(300, 301, profit_ratio=0.05),
    )
    worst = section(page_of(tmp_path, seen(*losses)), "Worst trades")
    first, second = rows(worst)
    opened = f"{START + 200 * HOUR:%Y-%m-%d %H:%M}"
    assert first[1:5] == [PAIR, "long", opened, "450"]
    assert first[-2:] == ["-5.00", "-1.00"]
    assert second[2] == "short"
    assert second[-3:] == ["<stop>", "-2.00", "-0.40"]
    anchors = re.findall('href="#(.*?)"', worst)
    assert anchors == ["worst-1", "worst-2"] == re.findall('<div id="(.*?)"', worst)
    charts = [json.loads(found) for found in re.findall('"application/json">(.*?)</script>', worst)]
    assert [len(chart["trades"]) for chart in charts] == [1, 1]
    assert [chart["trades"][0]["profit"] for chart in charts] == [-0.05, -0.02]
    assert charts[0]["note"] == "-5.00 % long, cooled"
    # Both ends included; of the longest trades, the beginning.
    lengths = [len(chart["dates"]) * 3 / 4 // 8 for chart in charts]
    assert lengths == [LONGEST + 2 * AROUND + 1, 3 + 2 * AROUND + 1]


def test_worst_trade_without_candles_is_told_without_a_link(tmp_path: Path) -> None:
    blind = replace(seen(trade(2, 5, profit_ratio=-0.1)), charts={})
    worst = section(page_of(tmp_path, blind), "Worst trades")
    assert "<a href" not in worst
    assert rows(worst)[0][1] == PAIR
    page = page_of(tmp_path, seen(trade(2, 5)))
    assert "There is no trade that lost most." in section(page, "Worst trades")
    assert rows(section(page, "Best trades"))[0][-2:] == ["+1.00", "+0.20"]


def test_verdict_names_every_preset_and_buy_and_hold(tmp_path: Path) -> None:
    page = page_of(tmp_path, seen(trade(2, 5), name="One"), seen(trade(2, 5), name="Two"))
    verdict = re.sub("<.*?>", "", page.partition('<p class="verdict">')[2].partition("</p>")[0])
    assert verdict == (
        "One +0.20 % (too few trades (1)); Two +0.20 % (too few trades (1)); buy and hold +10.00 %"
    )


@pytest.mark.parametrize(("count", "sharpe"), [(29, "too few trades"), (30, "0.70")])
def test_few_trades_have_no_sharpe(tmp_path: Path, count: int, sharpe: str) -> None:
    page = page_of(tmp_path, seen(*(trade(at, at + 1) for at in range(2, count + 2))))
    (row,) = rows(section(page, "By preset"))
    assert row[-2] == sharpe


def test_reason_for_no_entry_is_counted_by_bias(tmp_path: Path) -> None:
    reasons = {(0, "no bias"): 90, (-1, ""): 2, (-1, "sigma gate"): 5, (-1, "sigma gate, x"): 3}
    page = page_of(tmp_path, replace(seen(trade(2, 5)), no_entry=reasons))
    signals, *found = rows(section(page, "Why there was no entry"))
    assert signals == ["a", "100", "10", "0", "2", "1"]
    assert found == [
        ["a", "SHORT", "sigma gate", "8", "80.0", "5"],
        ["a", "SHORT", "x", "3", "30.0", "0"],
    ]


def result_file(folder: Path, *trades: dict[str, Any], wallet: pd.DataFrame | None = None) -> Path:
    """Write a result; freqtrade's older ones are without a wallet."""
    file = folder / "result.zip"
    rows = [
        {**one, "amount": 2.0, "enter_tag": "short_zone_z"}
        | {name: str(one[name]) for name in ("open_date", "close_date")}
        for one in trades
    ]
    span = {"start": START, "end": START + 9 * HOUR}
    stamps = {f"backtest_{name}_ts": int(at.timestamp() * 1000) for name, at in span.items()}
    more = {"timeframe": "1h", "pairlist": [PAIR], "market_change": 0.0, **stamps}
    stats = {"strategy": {"a": {**STATS, **more, "trades": rows}}, "strategy_comparison": []}
    with ZipFile(file, "w") as archive:
        archive.writestr("result.json", json.dumps(stats))
        archive.writestr("result_config.json", json.dumps({"exchange": {"name": "binance"}}))
        if wallet is not None:
            content = BytesIO()
            wallet.to_feather(content)
            archive.writestr("result_a_wallet.feather", content.getvalue())
    return file


def test_wallet_of_a_result_without_one_is_what_its_trades_made(tmp_path: Path) -> None:
    """Trades that close together are one step."""
    made = (trade(1, 3, profit_abs=5.0), trade(2, 3, profit_abs=1.0), trade(2, 4, profit_abs=-3.0))
    (outcome,) = read_result(result_file(tmp_path, *made)).outcomes
    assert outcome.equity.tolist() == [1006.0, 1003.0]
    assert outcome.equity.index.tolist() == [START + 3 * HOUR, START + 4 * HOUR]


def test_wallet_is_the_worth_of_all_its_currencies(tmp_path: Path) -> None:
    dates = pd.DatetimeIndex([START, START, START + HOUR])
    wallet = pd.DataFrame(
        {"date": dates, "currency": ["USDT", "BTC", "USDT"], "total_quote": [900.0, 99.0, 990.0]}
    )
    (outcome,) = read_result(result_file(tmp_path, trade(1, 3), wallet=wallet)).outcomes
    assert outcome.equity.tolist() == [999.0, 990.0]
