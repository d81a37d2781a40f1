"""``perp-imbalance report``: from freqtrade's result file to a page that a browser shows."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from support.chromium import Look, browser
from support.freqtrade import CONFIG, PRESET_STRATEGIES, ROOT, perp_imbalance
from support.pages import SECTIONS, page_text

from perp_imbalance.cli.main import run
from perp_imbalance.errors import PerpImbalanceError
from perp_imbalance.indicators import PRESETS
from perp_imbalance.indicators.performance import buy_and_hold
from perp_imbalance.reporting.backtest_result import Result, newest_result, read_result
from perp_imbalance.reporting.strategy_runs import ReportInput, closes, load_report_input
from perp_imbalance.reporting.tables import summary
from perp_imbalance.strategy.palette import palette

__all__ = ["browser"]

pytestmark = pytest.mark.freqtrade

STRATEGIES = ROOT / "strategies"
SPAN = "20250301-20250501"


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The repository's config with a ``user_data`` of the test's own."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "user_data").mkdir()
    overlay = folder / "overlay.json"
    overlay.write_text(json.dumps({"user_data_dir": str(folder / "user_data")}))
    return ["-c", str(CONFIG), "-c", str(overlay)]


@pytest.fixture(scope="module")
def backtest(configs: list[str], sample_datadir: Path) -> "subprocess.CompletedProcess[str]":
    """A backtest of the presets, as ``make backtest`` runs it."""
    process = perp_imbalance(
        "backtest", *configs, "--datadir", str(sample_datadir), "--timerange", SPAN
    )
    assert process.returncode == 0, process.stderr
    return process


@pytest.fixture(scope="module")
def file(backtest: "subprocess.CompletedProcess[str]", configs: list[str]) -> Path:
    return newest_result(Path(configs[-1]).with_name("user_data") / "backtest_results")


@pytest.fixture(scope="module")
def result(file: Path) -> Result:
    return read_result(file)


@pytest.fixture(scope="module")
def opened(result: Result, sample_datadir: Path) -> ReportInput:
    return load_report_input(result, sample_datadir, STRATEGIES)


Changed = Callable[..., Path]


@pytest.fixture
def changed(file: Path, tmp_path: Path) -> Changed:
    """Return a copy of the result whose content is another."""

    def change(content: Callable[[Any], Any], **more: str) -> Path:
        copy = tmp_path / "other.zip"
        with ZipFile(file) as before, ZipFile(copy, "w") as after:
            for name in before.namelist():
                data = before.read(name)
                if name == f"{file.stem}.json":
                    data = json.dumps(content(json.loads(data))).encode()
                after.writestr(name.replace(file.stem, copy.stem), data)
            for name, text in more.items():
                after.writestr(f"{copy.stem}_{name}.json", text)
        return copy

    return change


def test_backtest_ends_in_one_screen(
    backtest: "subprocess.CompletedProcess[str]", file: Path, result: Result
) -> None:
    lines = backtest.stdout.splitlines()
    assert len(lines) <= 24
    assert lines[1].startswith("Candles: ")
    assert lines[3].split() == [
        "strategy",
        "trades",
        "net",
        "%",
        "drawdown",
        "fees",
        "funding",
        "verdict",
    ]
    for line, outcome in zip(lines[4:8], result.outcomes, strict=True):
        name, trades, net, drawdown, *_ = line.split()
        stats = outcome.stats
        assert (name, int(trades)) == (outcome.strategy, len(outcome.trades))
        assert float(net) == pytest.approx(stats["profit_total"] * 100, abs=0.005)
        assert float(drawdown) == pytest.approx(stats["max_drawdown_account"] * 100, abs=0.005)
    results, report, step = lines[-3:]
    assert results == f"Results: {file}"
    assert report == f"Report: {file.with_suffix('.html')}"
    assert step.startswith("Next: perp-imbalance doctor")
    assert file.with_suffix(".html").is_file()
    # freqtrade's own log and tables are not shown.
    assert "freqtrade" not in backtest.stderr


@pytest.mark.parametrize("strategy", PRESET_STRATEGIES)
def test_what_the_strategy_saw_explains_its_trades(opened: ReportInput, strategy: str) -> None:
    """Entries are extreme on the signal's candle, and cooled exits come with the first cool z."""
    (found,) = (seen for seen in opened.seen if seen.outcome.strategy == strategy)
    trades, thresholds = found.trades, found.thresholds
    assert len(trades) >= 5
    sign = np.where(trades["is_short"], 1.0, -1.0)
    # Within a zone the entry may come while z is on its way back, above exit_z.
    assert (trades["z_entry"] * sign >= thresholds.exit_z).all()
    assert (trades["z_entry"] * sign >= thresholds.enter_z).mean() > 0.5
    cooled = trades[trades["exit_reason"] == "cooled"]
    assert (cooled["z_exit"].abs() < thresholds.exit_z).all()
    np.testing.assert_array_equal(cooled["held"], cooled["to_cool"])
    # freqtrade's own profit, from price, fees and funding.
    stake = trades["amount"] * trades["open_rate"]
    made = stake * trades["price_move"] / 100 - trades["fees"] + trades["funding_fees"]
    np.testing.assert_allclose(made, trades["profit_abs"], atol=1e-6)


def test_buy_and_hold_ends_where_freqtrade_says(
    opened: ReportInput, result: Result, sample_datadir: Path
) -> None:
    change = result.outcomes[0].stats["market_change"]
    assert opened.market.iloc[-1] == pytest.approx(1 + change, abs=1e-9)
    assert buy_and_hold(closes(result, sample_datadir)).equals(opened.market)
    assert opened.market.iloc[0] == 1.0


def test_wallet_with_open_positions_ends_where_freqtrades_does(opened: ReportInput) -> None:
    for found in opened.seen:
        assert found.marked is not None
        stats = found.outcome.stats
        assert found.marked.iloc[-1] == pytest.approx(stats["final_balance"], abs=1e-6)
        row = summary(found.outcome.strategy, found.trades, stats, found.marked)
        # It sees every close, and those between.
        assert row["marked_drawdown_pct"] >= row["drawdown_pct"] * 0.99
        between = found.marked.sub(found.outcome.equity.reindex(found.marked.index)).abs()
        assert between.max() > 1.0


def test_parameters_are_those_of_the_result(changed: Changed, sample_datadir: Path) -> None:
    """Not those that stand beside the strategy today."""
    params = {"strategy_name": "PerpImbalance", "params": {"sell": {"exit_z": 0.3}}}
    other = read_result(changed(lambda content: content, PerpImbalance=json.dumps(params)))
    seen = load_report_input(other, sample_datadir, STRATEGIES).seen
    assert [found.thresholds.exit_z for found in seen] == [
        *(0.3, PRESETS["conservative"].exit_z, PRESETS["aggressive"].exit_z),
        PRESETS["deep_discount"].exit_z,
    ]


def test_report_without_candles_says_so(
    file: Path, configs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert report(str(file), *configs, "--datadir", "nowhere", "--output", str(page)) == 0
    note = "Without z, premium, charts and buy-and-hold: there is no folder nowhere"
    assert note in capsys.readouterr().out
    text = page_text(page)
    assert note in text
    assert "Worst trades" in text
    assert "time to cool" not in text


def report(*arguments: str) -> int:
    with pytest.raises(SystemExit) as leave:
        run(["report", *arguments])
    assert isinstance(leave.value.code, int)
    return leave.value.code


def test_newest_result_is_reported_from_the_candles_it_names(
    file: Path, configs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert report(*configs, "--output", str(page), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["html"] == str(page)
    assert found["notes"] == []
    tables = found["tables"]
    assert [row["strategy"] for row in tables["preset"]] == PRESET_STRATEGIES
    for name in ("exit tag", "side", "|z| at entry", "hour", "month"):
        for row in tables["preset"]:
            groups = [group for group in tables[name] if group["strategy"] == row["strategy"]]
            assert sum(group["trades"] for group in groups) == row["trades"]
            assert sum(group["profit"] for group in groups) == pytest.approx(
                row["profit_pct"] * 10, abs=1e-6
            )
    assert report(*configs, "--output", str(page)) == 2
    assert f"{page} exists already: name another file, or add --force" in capsys.readouterr().err
    assert report(*configs, "--output", str(page), "--force") == 0


def test_foreign_strategy_is_left_out_and_named(changed: Changed, sample_datadir: Path) -> None:
    def rename(content: Any) -> Any:
        content["strategy"]["Foreign"] = content["strategy"].pop("PerpImbalanceAggressive")
        return content

    found = load_report_input(read_result(changed(rename)), sample_datadir, STRATEGIES)
    assert [seen.outcome.strategy for seen in found.seen] == [
        name for name in PRESET_STRATEGIES if name != "PerpImbalanceAggressive"
    ]
    assert found.notes == [
        f"Left out: Foreign: no strategy in {STRATEGIES} that is based on PerpImbalance."
    ]


def foreign(content: Any) -> Any:
    one = content["strategy"]["PerpImbalance"]
    return {**content, "strategy": {"RsiWithImbalance": one}}


def elsewhere(content: Any) -> Any:
    """A name with which a parameter file would be written over one of the reader's own."""
    one = content["strategy"]["PerpImbalance"]
    return {**content, "strategy": {"/tmp/PerpImbalance": one}}


def untraded(content: Any) -> Any:
    for found in content["strategy"].values():
        found["trades"] = []
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (foreign, "is a result of RsiWithImbalance: no strategy in "),
        (elsewhere, "names a strategy '/tmp/PerpImbalance', which is not a valid class name"),
        (untraded, "has no trades: there is nothing to report"),
        (
            lambda _: {"strategy": {"PerpImbalance": {}}},
            "is not a result of freqtrade's backtesting",
        ),
        (lambda _: [], "is not a result of freqtrade's backtesting"),
    ],
)
def test_results_that_cannot_be_reported_say_why(
    changed: Changed, sample_datadir: Path, content: Callable[[Any], Any], message: str
) -> None:
    with pytest.raises(PerpImbalanceError, match=re.escape(message)) as error:
        load_report_input(read_result(changed(content)), sample_datadir, STRATEGIES)
    assert "\n" not in str(error.value)


def test_invalid_result_file_fails_in_one_line(
    configs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.zip").write_text("text")
    (tmp_path / "results").mkdir()
    with ZipFile(tmp_path / "empty.zip", "w"):
        pass
    for name, message in (
        ("nowhere.zip", "there is no result file"),
        ("text.zip", "is not a result of freqtrade's backtesting"),
        ("empty.zip", "is not a result of freqtrade's backtesting"),
        ("results", "there is no result of a backtest in"),
    ):
        assert report(str(tmp_path / name), *configs) == 2
        said = capsys.readouterr().err
        assert message in said
        assert len(said.splitlines()) == 1
    assert report(str(CONFIG), *configs) == 2
    assert "is not a result of freqtrade's backtesting, which is a .zip" in capsys.readouterr().err


@pytest.fixture(scope="module")
def dark_page(file: Path, configs: list[str]) -> Path:
    """Made before there is a browser: playwright keeps this process's event loop for itself."""
    target = file.with_name("dark.html")
    assert report(str(file), *configs, "--dark", "--palette", "safe", "--output", str(target)) == 0
    return target


def test_dark_page_is_drawn_in_the_colours_of_its_palette(dark_page: Path, browser: Any) -> None:
    colors = palette("safe", dark=True)
    with opened_page(browser, dark_page) as page:
        page.locator(".plotly-graph-div .main-svg").first.wait_for()
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == rgb(colors.background)
        line = page.locator(".scatterlayer .js-line").first
        assert line.evaluate("line => getComputedStyle(line).stroke") == rgb(colors.long)


@contextmanager
def opened_page(browser: Any, file: Path, width: int = 1200) -> Iterator[Any]:
    """Open a page; at the end, nothing may have complained and nothing been fetched."""
    look = Look(browser, file, width=width)
    try:
        yield look.page
        assert look.complaints == []
        assert all(address.startswith(("file:", "data:")) for address in look.requests)
    finally:
        look.page.close()


def rgb(color: str) -> str:
    return f"rgb({', '.join(map(str, bytes.fromhex(color[1:])))})"


@pytest.fixture(scope="module")
def page(backtest: Any, file: Path, browser: Any) -> Iterator[Any]:
    with opened_page(browser, file.with_suffix(".html")) as page:
        yield page


def test_browser_shows_every_section_and_figure(page: Any) -> None:
    assert page.locator("h1").first.inner_text() == (
        "Backtest of 2025-03-01 to 2025-05-01, 1h: SYNTHETIC sample market, no real prices"
    )
    assert page.locator("h2").all_inner_texts() == [*SECTIONS["report"], "Terms"]
    figures = page.locator(".plotly-graph-div:not(.perp-chart *)")
    assert figures.count() == 9
    equity = figures.first
    names = equity.locator(".legendtext").all_text_contents()
    assert names == [*PRESET_STRATEGIES, "buy and hold"]
    assert equity.locator(".scatterlayer .trace").count() == 2 * len(names)


def test_worst_trades_have_a_small_chart_that_the_table_links_to(page: Any) -> None:
    link = page.locator("table a").first
    name = str(link.get_attribute("href"))
    # With the keyboard alone.
    link.focus()
    page.keyboard.press("Enter")
    chart = page.locator(f"{name} .perp-chart")
    chart.locator("canvas").first.wait_for()
    assert chart.evaluate("chart => chart.getBoundingClientRect().top < innerHeight")
    row = link.evaluate("link => link.closest('tr').innerText").split("\t")
    assert row[1] in chart.inner_text()
    assert "LONG bias" in chart.inner_text()


def test_hovering_a_bar_tells_its_trades(page: Any) -> None:
    figure = page.locator(".plotly-graph-div").nth(2)
    figure.scroll_into_view_if_needed()
    figure.locator(".barlayer .point path").first.hover(force=True)
    said = figure.locator(".hoverlayer .hovertext")
    said.first.wait_for()
    assert re.search(r"% of the wallet.*\d+ trades, \d+% won", said.first.text_content(), re.S)


def test_numbers_unfold_by_keyboard(page: Any) -> None:
    folded = page.locator("details").first
    assert not folded.locator("table").is_visible()
    folded.locator("summary").focus()
    page.keyboard.press("Enter")
    assert folded.locator("table").is_visible()


def test_narrow_window_needs_no_scrolling_sideways(backtest: Any, file: Path, browser: Any) -> None:
    with opened_page(browser, file.with_suffix(".html"), width=380) as page:
        page.locator(".plotly-graph-div .main-svg").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 380
        assert page.locator(".plotly-graph-div").first.evaluate("f => f.offsetWidth") <= 380
