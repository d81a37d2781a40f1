"""The chart, looked at in Chromium: what stands where, in which colour, and what it answers to."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser
from support.chromium import Color, Look, apart, blend, browser, color

from perp_imbalance.indicators import Thresholds, entry_signals, imbalance_columns
from perp_imbalance.indicators.columns import source_column
from perp_imbalance.indicators.levels import levels
from perp_imbalance.indicators.signals import no_entry_reasons
from perp_imbalance.plotting.chart import Chart, chart_scripts, chart_section, write_chart
from perp_imbalance.plotting.picture import FRAGMENT
from perp_imbalance.strategy.palette import Palette, palette

__all__ = ["browser"]

THRESHOLDS = Thresholds(enter_z=1.6, exit_z=0.7, len_prem=40, bb_len=30, use_htf=True, hot_z=2.0)
ROWS, MANY = 400, 119_000
# Of work of the page's main thread: this machine has other things to do.
OPEN_SECONDS, FRAME_SECONDS = 3.0, 1 / 30
PRICE, Z, PREMIUM, FUNDING = range(4)
WIDTH, PHONE = 1400, 390
TAG = "short_zone_z </script><b>&"

Open = Callable[..., Look]


def candles(rows: int) -> pd.DataFrame:
    """Candles with columns: extremes of both sides, and spot candles that are missing."""
    rng = np.random.default_rng(11)
    date = pd.date_range("2024-03-01", periods=rows, freq="1h", tz="UTC")
    spot = 40_000 * np.exp(np.cumsum(rng.normal(0, 4e-3, rows)))
    fraction = rng.normal(0, 2e-4, rows)
    fraction[np.arange(rows) % 60 < 5] += 1.5e-3
    fraction[np.arange(rows) % 60 >= 55] -= 1.5e-3
    close = spot * (1 + fraction)
    opened = np.append(close[0], close[:-1])
    perp = pd.DataFrame({"date": date, "open": opened, "close": close, "volume": spot % 97 + 1})
    perp["high"] = perp[["open", "close"]].max(axis=1) * 1.002
    perp["low"] = perp[["open", "close"]].min(axis=1) * 0.998
    spots = pd.DataFrame({"date": date, "close": spot, "volume": 1.0}).drop(range(230, 236))
    frame = perp.join(imbalance_columns(perp, spots, thresholds=THRESHOLDS))
    frame["htf_z"] = frame["z"].rolling(4).mean()
    frame["no_entry"] = no_entry_reasons(frame, THRESHOLDS)
    return frame


def chart_of(frame: pd.DataFrame) -> Chart:
    return Chart("BTC/USDT:USDT", "1h", 3600, "PerpImbalance", "4h", THRESHOLDS, frame)


def trade_at(frame: pd.DataFrame, first: int, last: int) -> pd.DataFrame:
    """One losing short, as freqtrade's results have it."""
    return pd.DataFrame(
        {
            "pair": ["BTC/USDT:USDT", "ETH/USDT:USDT"],
            "is_short": True,
            "open_date": frame["date"][first],
            "close_date": frame["date"][last],
            "open_rate": frame["open"][first],
            "close_rate": frame["open"][last],
            "enter_tag": TAG,
            "exit_reason": "cooled",
            "profit_ratio": -0.0123,
            "profit_abs": -4.56,
        }
    )


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return candles(ROWS)


@pytest.fixture(scope="module")
def opened(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory, frame: pd.DataFrame
) -> Iterator[Open]:
    """Open a chart, once of each kind; no console may complain and no network be asked."""
    looks: dict[Any, Look] = {}

    def opening(
        kind: str = "plain", chart: Chart | None = None, *, width: int = WIDTH, **options: Any
    ) -> Look:
        if (kind, width) not in looks:
            file = tmp_path_factory.mktemp("page") / "chart.html"
            colors = options.pop("colors", palette())
            write_chart(file, chart or chart_of(frame), colors, **options)
            looks[kind, width] = Look(browser, file, width)
            looks[kind, width].page.wait_for_selector(".perp-chart[data-drawn]")
        return looks[kind, width]

    yield opening
    for look in looks.values():
        assert look.complaints == []
        assert [url for url in look.requests if not url.startswith(("file:", "data:"))] == []
        look.page.close()


@pytest.fixture(scope="module")
def full(frame: pd.DataFrame) -> Chart:
    """Everything that a chart can draw."""
    return replace(
        chart_of(frame.join(levels(frame))),
        trades=trade_at(frame, 120, 131),
        funding=np.where(np.arange(ROWS) % 8, 0.0, 0.01),
        note="SYNTHETIC sample market, no real prices",
    )


def row_where(rows: "pd.Series[bool]", after: int = 100) -> int:
    """Return a row that meets a condition, with columns before it."""
    return int(np.flatnonzero(rows.to_numpy()[after:])[0]) + after


def pixel(look: Look, place: tuple[float, float], right: float = 0.0) -> Color:
    """Return the colour around a place, a share of a candle's width further right.

    The commonest one: a line of the grid may pass.
    """
    x, y = place
    near = look.colors_near((x + right * look.candle_width(), y), 2)
    return max(near, key=near.count)


@pytest.mark.parametrize("width", [WIDTH, PHONE])
def test_nothing_is_hidden_or_overlaps(
    opened: Open, frame: pd.DataFrame, full: Chart, width: int
) -> None:
    look = opened("full", full, labels=True, width=width)
    assert look.page.evaluate("document.documentElement.scrollWidth") <= width
    heights = look.ask("return library.panes().map((pane) => pane.getHeight())")
    assert len(heights) == 4
    assert min(heights) > 50
    longest = frame["no_entry"].str.len().argmax()
    look.show(int(longest) - 40, int(longest) + 40)
    for row, pane in ((int(longest), Z), (131, PRICE)):
        look.show(row - 20, row + 20)
        look.hover(row, frame["close"][row] if pane == PRICE else 0.0, pane)
        # Boxes of all text, but for what is told to a screen reader alone.
        boxes = look.page.evaluate(
            """() => [...document.querySelectorAll("h1, header > span:not(.controls), button, "
            + ".key > span, .legend > span, .help, .perp-attribution")].map((one) => {
            const {left, right, top, bottom} = one.getBoundingClientRect();
            return [left, right, top, bottom, one.textContent]; })"""
        )
        assert len(boxes) > 30
        for at, (left, right, top, bottom, text) in enumerate(boxes):
            assert left >= 0, text
            assert right <= width, text
            assert bottom > top, text
            for other in boxes[:at]:
                apart_by = max(other[0] - right, left - other[1], other[2] - bottom, top - other[3])
                assert apart_by >= -1, (text, other[4])
    # The legend of a pane stands on it; on a phone that of prices, the longest, below the plot.
    legends = look.page.locator(".legend").evaluate_all(
        "boxes => boxes.map((one) => one.getBoundingClientRect())"
        ".map((box) => [box.top, box.bottom])"
    )
    for pane in range(4):
        top = look.pane_top(pane)
        on_pane = top <= legends[pane][0] < legends[pane][1] < top + heights[pane]
        assert on_pane == (width == WIDTH or pane != PRICE), pane


def test_chart_has_a_pane_for_funding_only_where_drawn(opened: Open, full: Chart) -> None:
    assert opened().ask("return library.panes().length") == 3
    look = opened("full", full, labels=True)
    look.show(160, 200)
    assert look.hover(168, 0.005, FUNDING)[FUNDING] == "funding +0.01 %"
    assert pixel(look, look.place(168, 0.005, FUNDING), 0.2) == color(palette().funding)
    assert look.hover(169, 0.005, FUNDING)[FUNDING] == "funding none due"


def test_thresholds_are_price_lines_with_tags(opened: Open) -> None:
    lines = opened().ask(
        "return library.panes()[1].getSeries()[0].priceLines().map((line) => line.options())"
        ".filter(({ axisLabelVisible }) => axisLabelVisible).map(({ price }) => price)"
    )
    assert lines == [1.6, 0.7, 0, -0.7, -1.6]


def test_crosshair_has_tags_on_every_pane(opened: Open, full: Chart) -> None:
    look = opened("full", full, labels=True)
    look.show(150, 200)
    right = look.ask("return chart.plot.offsetLeft + library.timeScale().width()")
    guide = color(palette().guide)
    for pane in range(4):
        x, _ = look.place(170, 0.0, Z)
        y = look.pane_top(pane) + look.ask("return library.panes()[argument].getHeight()", pane) / 2
        look.page.mouse.move(x, y)
        look.ask("await frame(); await frame();")
        below = look.pane_top(3) + look.ask("return library.panes()[3].getHeight()") + 8
        # The price at the pane's edge, and the time below all panes.
        assert look.colors_near((right + 2, y - 6), 0) == [guide], pane
        assert look.colors_near((x, below - 5), 0) == [guide], pane


@pytest.mark.parametrize("colors", [palette(), palette("safe"), palette(dark=True)])
def test_tint_and_columns_have_the_colours_of_their_candle(
    opened: Open, frame: pd.DataFrame, colors: Palette
) -> None:
    look = opened(colors.name + str(colors.dark), colors=colors)
    look.page.mouse.move(0, 0)
    background = color(colors.background)
    hot = frame["z"].abs() >= THRESHOLDS.hot_z
    reach = "return library.panes()[argument].priceScale('right').getVisibleRange()"
    for wanted, tint in (
        ((frame["bias"] == -1) & hot, blend(background, color(colors.short), 0.62)),
        ((frame["bias"] == 1) & hot, blend(background, color(colors.long), 0.62)),
        (frame["bias"] == 0, background),
    ):
        row = row_where(wanted)
        look.show(row - 15, row + 15)
        top = look.ask(reach, Z)["to"] * 0.85
        seen = pixel(look, look.place(row, top, Z), 0.3)
        assert apart(seen, tint) <= 6, (row, seen, tint)
    premium = frame["premium_pct"]
    for wanted, name in (
        (premium > 0.1, colors.premium_positive),
        (premium < -0.1, colors.premium_negative),
    ):
        row = row_where(wanted)
        look.show(row - 15, row + 15)
        seen = pixel(look, look.place(row, premium[row] * 0.6, PREMIUM), 0.2)
        assert apart(seen, color(name)) <= 2, (row, seen, name)
    look.show(220, 245)
    missing = blend(background, color(colors.missing), 0.75)
    high = look.ask(reach, PREMIUM)["to"] * 0.95
    for row, shade in ((231, missing), (235, missing), (229, background), (236, background)):
        seen = pixel(look, look.place(row, high, PREMIUM), 0.3)
        assert apart(seen, shade) <= 6, (row, seen, shade)


def test_tint_deepens_with_z(opened: Open, frame: pd.DataFrame) -> None:
    look = opened()
    look.page.mouse.move(0, 0)
    background, red = color(palette().background), color(palette().short)
    short = frame[(frame["bias"] == -1) & (frame.index > 100) & frame["z"].gt(0)]
    for row in short["z"].sort_values().index[[0, len(short) // 2, -1]].to_list():
        look.show(row - 15, row + 15)
        top = look.ask("return library.panes()[1].priceScale('right').getVisibleRange().to") * 0.85
        seen = pixel(look, look.place(row, top, Z), 0.3)
        strength = 0.2 + 0.8 * min(frame["z"][row] / THRESHOLDS.hot_z, 1)
        assert apart(seen, blend(background, red, 0.62 * strength)) <= 6


def test_line_of_z_deepens_up_to_hot_z(opened: Open, frame: pd.DataFrame) -> None:
    look = opened()
    look.page.mouse.move(0, 0)
    colors = palette()
    calm = frame["z"].abs().where(frame.index > 100).argmin()
    for row, shade in (
        (int(frame["z"].argmax()), colors.z_hot_short),
        (int(frame["z"].argmin()), colors.z_hot_long),
        (int(calm), colors.z_light),
    ):
        look.show(row - 15, row + 15)
        near = look.colors_near(look.place(row, frame["z"][row], Z), 3)
        assert min(apart(seen, color(shade)) for seen in near) <= 12, row


def test_legend_follows_the_crosshair(opened: Open, frame: pd.DataFrame) -> None:
    look = opened()
    reasons = frame["no_entry"]
    chosen = [
        row_where(frame["bias"].ne(0) & reasons.eq("")),
        row_where(reasons.str.contains("sigma gate")),
        row_where(reasons.str.contains("HTF gate")),
        row_where(reasons.str.contains("entered in this zone before")),
        row_where(frame["bias"].eq(0)),
        232,
    ]
    for row in chosen:
        at = frame.to_dict("records")[row]
        look.show(row - 20, row + 20)
        for value, pane in ((at["close"], PRICE), (0.0, Z), (0.0, PREMIUM)):
            price, z, premium = (text.replace("−", "-") for text in look.hover(row, value, pane))
            assert price.startswith(f"UTC {at['date']:%Y-%m-%d %H:%M} open")
            assert f"close {at['close']:.2f}" in price
            assert {-1: "SHORT bias", 0: "no bias", 1: "LONG bias"}[at["bias"]] in z
            if np.isfinite(at["premium_pct"]):
                assert premium.endswith("% against spot")
                shown = [premium.split()[1], *(z.split()[index] for index in (1, 5))]
                for text, column in zip(shown, ("premium_pct", "z", "htf_z"), strict=True):
                    assert float(text) == pytest.approx(at[column], rel=5e-4, abs=5e-5), column
            else:
                assert premium == "premium none no fresh spot price"
                assert z.startswith("z none")
            if at["bias"]:
                reason = at["no_entry"]
                assert z.endswith(f"no entry: {reason}" if reason else "bias entry")
    entries = entry_signals(frame, THRESHOLDS)
    assert entries.loc[chosen[0], ["enter_short", "enter_long"]].sum() == 1
    # Off the chart it is back on the last candle.
    look.page.mouse.move(0, 0)
    look.page.wait_for_function(
        "(row) => document.querySelector('.perp-chart').perpChart.legend.row === row",
        arg=ROWS - 1,
    )


def test_times_are_utc_whatever_the_clock_of_the_reader(opened: Open) -> None:
    ticks = opened().ask(
        "return [0, 1, 2, 3].map((kind) => PerpPanes.tick(Date.UTC(2024, 2, 10, 7) / 1000, kind))"
    )
    assert ticks == ["2024", "Mar", "10 Mar", "07:00"]
    assert "All times are UTC." in opened().page.inner_text(".help")


def test_chart_names_the_index_as_premium_source(opened: Open, frame: pd.DataFrame) -> None:
    source = source_column(frame["premium"].to_numpy(), "index")
    look = opened("index", chart_of(frame.assign(premium_source=source)))
    look.show(180, 240)
    assert look.hover(200, 0.0, PREMIUM)[PREMIUM].endswith("% against index")
    assert look.hover(232, 0.0, PREMIUM)[PREMIUM] == "premium none no fresh index price"
    assert "no fresh index price" in look.page.inner_text(".key")


def test_trades_are_drawn_and_told(opened: Open, frame: pd.DataFrame, full: Chart) -> None:
    look = opened("full", full, labels=True)
    look.show(110, 140)
    look.page.mouse.move(0, 0)
    # The arrow of the entry stands above its price, the dot of the exit on it.
    x, y = look.place(120, frame["open"][120])
    arrow = look.colors_near((x, y - 8), 3)
    assert min(apart(seen, color(palette().short)) for seen in arrow) <= 2
    assert pixel(look, look.place(131, frame["open"][131])) == color(palette().down)
    (opening, *_) = look.hover(120, frame["open"][120], PRICE)
    assert f"opened short at {frame['open'][120]:.2f}, {TAG}" in opening
    (closing, *_) = look.hover(131, frame["open"][131], PRICE)
    told = f"closed short at {frame['open'][131]:.2f}, cooled ({TAG}): −1.23 %, −4.56"
    assert told in closing
    assert "closed, won" in look.page.inner_text(".key")


def test_entries_are_marked_where_no_trades_are_drawn(opened: Open, frame: pd.DataFrame) -> None:
    look = opened()
    look.page.mouse.move(0, 0)
    row = row_where(frame["no_entry"].eq("") & frame["bias"].eq(-1))
    look.show(row - 15, row + 15)
    x, y = look.place(row, frame["high"][row])
    arrow = look.colors_near((x, y - 8), 3)
    assert min(apart(seen, color(palette().short)) for seen in arrow) <= 2
    assert "entry signal" in look.page.inner_text(".key")


def test_levels_are_drawn_and_described_as_no_gate(
    opened: Open, frame: pd.DataFrame, full: Chart
) -> None:
    look = opened("full", full, labels=True)
    key = look.page.inner_text(".key")
    assert "as gates they added nothing, and no entry depends on them." in key
    row = int(full.frame.index[full.frame["date"] == pd.Timestamp("2024-03-12 12:00", tz="UTC")][0])
    look.show(row - 30, row + 30)
    (told, *_) = look.hover(row, frame["close"][row], PRICE)
    at = full.frame.iloc[row]
    assert f"week's VWAP {at['vwap']:.2f}" in told
    assert f"Monday's high {at['monday_high']:.2f} Monday's low {at['monday_low']:.2f}" in told
    assert f"POC {at['poc']:.2f} VAH {at['vah']:.2f} VAL {at['val']:.2f}" in told
    look.page.mouse.move(0, 0)
    near = look.colors_near(look.place(row, at["vwap"]), 2)
    assert min(apart(seen, color(palette().htf)) for seen in near) <= 60
    assert "VWAP" not in opened().page.inner_text(".key")


def test_flips_are_labelled_when_asked(opened: Open, frame: pd.DataFrame, full: Chart) -> None:
    row = row_where(frame["bias"].eq(-1) & frame["bias"].shift().ne(-1))
    text = color(palette().text)

    def dark(look: Look) -> int:
        look.page.mouse.move(0, 0)
        look.show(row - 15, row + 15)
        x, _ = look.place(row, 0.0, Z)
        near = look.colors_near((x, look.pane_top(Z) + 41), 7)
        return sum(apart(seen, text) < 60 for seen in near)

    assert dark(opened("full", full, labels=True)) > 20
    assert dark(opened()) == 0


def test_chart_says_where_flips_have_no_label(opened: Open) -> None:
    look = opened("900", chart_of(candles(900)), labels=True, width=PHONE)
    look.show(0, 899)
    assert look.page.locator(".legend").nth(Z).inner_text().endswith("some flips have no label")
    look.show(100, 140)
    assert "label" not in look.page.locator(".legend").nth(Z).inner_text()


def test_buttons_and_keys_change_what_is_shown(opened: Open) -> None:
    look = opened()

    def view() -> tuple[float, float]:
        found = look.ask(
            "await frame(); const { from, to } = library.timeScale().getVisibleLogicalRange();"
            "return [from, to];"
        )
        return found[0], found[1]

    page = look.page
    page.get_by_label("show all candles").click()
    whole = view()
    assert whole[1] - whole[0] >= ROWS - 2
    page.keyboard.press("+")
    start, end = view()
    assert end - start == pytest.approx((whole[1] - whole[0]) / 1.5, abs=2)
    page.keyboard.press("ArrowLeft")
    assert view()[0] < start
    page.keyboard.press("End")
    assert view()[1] == pytest.approx(ROWS - 1, abs=1)
    page.keyboard.press("Home")
    assert view()[0] == pytest.approx(0, abs=1)
    page.get_by_label("zoom out").click()
    page.keyboard.press("0")
    assert view() == pytest.approx(whole, abs=1)
    for _ in range(12):
        page.get_by_label("zoom in").click()
    start, end = view()
    assert end - start == pytest.approx(9, abs=1)
    page.get_by_label("logarithmic prices").click()
    assert look.ask("return library.priceScale('right', 0).options().mode") == 1
    page.get_by_label("logarithmic prices").click()
    assert look.ask("return library.priceScale('right', 0).options().mode") == 0


def test_spot_price_is_a_line_on_demand(opened: Open, frame: pd.DataFrame) -> None:
    look = opened()
    row = row_where(frame["premium_pct"].gt(0.12))
    look.show(row - 8, row + 8)

    def dark() -> int:
        look.page.mouse.move(0, 0)
        look.ask("await frame(); await frame();")
        near = look.colors_near(look.place(row, frame["spot_close"][row]), 8)
        return sum(apart(seen, color(palette().text)) < 60 for seen in near)

    assert dark() == 0
    look.page.get_by_label("price of spot").click()
    assert dark() > 0
    look.page.get_by_label("price of spot").click()
    assert dark() == 0


def test_mouse_pans_and_zooms(opened: Open) -> None:
    look = opened()
    look.show(150, 200)
    x, y = look.place(180, 0, Z)
    look.page.mouse.move(x, y)
    look.page.mouse.down()
    look.page.mouse.move(x + 10 * look.candle_width(), y, steps=20)
    look.page.mouse.up()
    look.page.wait_for_function(
        "() => { const { from } = document.querySelector('.perp-chart').perpChart.chart"
        ".timeScale().getVisibleLogicalRange(); return Math.abs(from - 140) < 3; }"
    )
    width = look.candle_width()
    look.page.mouse.wheel(0, -300)
    look.page.wait_for_function(
        "(width) => document.querySelector('.perp-chart').perpChart.chart.timeScale().options()"
        ".barSpacing > 1.01 * width",
        arg=width,
    )


def test_picture_shows_all_and_has_nothing_to_press(
    browser: Browser, tmp_path: Path, opened: Open
) -> None:
    pressed = opened().page.locator("button, .help")
    assert pressed.count() > 1
    assert all(pressed.nth(at).is_visible() for at in range(pressed.count()))
    file = tmp_path / "chart.html"
    write_chart(file, chart_of(candles(900)), palette())
    views = []
    for fragment in ("", f"#{FRAGMENT}"):
        look = Look(browser, file, fragment=fragment)
        look.page.wait_for_selector(".perp-chart[data-drawn]")
        views.append(look.ask("return library.timeScale().getVisibleLogicalRange().from"))
        buttons = look.page.locator("button, .help")
        shown = [buttons.nth(at).is_visible() for at in range(buttons.count())]
        assert any(shown) == (not fragment)
        look.page.close()
    # The page opens on the last 300 candles.
    assert views == pytest.approx([600, 0], abs=1)


def test_several_candles_on_a_pixel_keep_their_extremes(browser: Browser, tmp_path: Path) -> None:
    frame = candles(9000)
    frame.loc[4321, "premium_pct"] = 1.0
    file = tmp_path / "chart.html"
    write_chart(file, chart_of(frame), palette())
    look = Look(browser, file)
    look.page.wait_for_selector(".perp-chart[data-drawn]")
    assert "several candles a pixel" not in look.page.inner_text(".span")
    look.show(0, len(frame) - 1)
    assert look.page.inner_text(".span").endswith(", several candles a pixel")
    near = look.colors_near(look.place(4321, 0.9, PREMIUM), 1)
    assert color(palette().premium_positive) in near
    look.page.close()


def test_chart_opens_and_pans_119000_candles(browser: Browser, tmp_path: Path) -> None:
    frame = candles(9000)
    frame = pd.concat([frame] * (MANY // len(frame) + 1), ignore_index=True)[:MANY]
    frame["date"] = pd.date_range("2010-01-01", periods=MANY, freq="1h", tz="UTC")
    many = trade_at(frame, 0, 6).iloc[:1]
    many = many.loc[many.index.repeat(MANY // 10 - 1)].reset_index(drop=True)
    at = many.index.to_numpy() * 10
    many["open_date"], many["close_date"] = frame["date"][at], frame["date"][at + 6].to_numpy()
    file = tmp_path / "many.html"
    chart = replace(chart_of(frame), trades=many, funding=np.full(MANY, 0.01))
    write_chart(file, chart, palette(), labels=True)
    look = Look(browser, file, WIDTH)
    look.page.wait_for_selector(".perp-chart[data-drawn]")
    opening, frames = look.work_seconds(), 20
    look.ask(
        "for (let i = 0; i < argument; i += 1) {"
        " chart.view(60000 + 3 * i, 60300 + 3 * i); await frame(); }",
        frames,
    )
    pan = (look.work_seconds() - opening) / frames
    print(f"{opening:.2f} s of work to open, {pan * 1000:.0f} ms a frame")
    assert look.complaints == []
    look.page.close()
    assert opening < OPEN_SECONDS
    assert pan < FRAME_SECONDS


def test_small_charts_of_one_page_draw_when_they_come_into_view(
    browser: Browser, tmp_path: Path, frame: pd.DataFrame
) -> None:
    chart = chart_of(frame).between(frame["date"][100], frame["date"][180])
    assert len(chart.frame) == 81
    parts = "".join(chart_section(chart, palette(), small=True) for _ in range(6))
    file = tmp_path / "report.html"
    page = f'<!doctype html><meta charset="utf-8"><body>{parts}{chart_scripts()}</body>'
    file.write_text(page, encoding="utf-8")
    look = Look(browser, file, 900, 500)
    drawn = ".perp-chart[data-drawn]"
    look.page.wait_for_selector(drawn)
    assert 0 < look.page.locator(drawn).count() < 6
    look.page.locator(".perp-chart").last.scroll_into_view_if_needed()
    look.page.wait_for_function("() => document.querySelectorAll('.perp-chart')[5].dataset.drawn")
    assert look.complaints == []
    look.page.close()
