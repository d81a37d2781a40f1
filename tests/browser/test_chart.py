"""The chart, looked at in Chromium: what stands where, in which colour, and what it answers to."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser
from support.chromium import Look, apart, blend, browser, color

from perp_imbalance.indicators import Thresholds, entry_signals, imbalance_columns
from perp_imbalance.indicators.columns import source_column
from perp_imbalance.indicators.signals import no_entry_reasons
from perp_imbalance.plotting.chart import Chart, chart_scripts, chart_section, write_chart
from perp_imbalance.plotting.picture import FRAGMENT
from perp_imbalance.strategy.palette import Palette, palette

__all__ = ["browser"]

THRESHOLDS = Thresholds(enter_z=1.6, exit_z=0.7, len_prem=40, bb_len=30, use_htf=True, hot_z=2.0)
ROWS, MANY = 400, 35_000
LOAD_SECONDS, PAN_SECONDS, MOST_BYTES = 3.0, 0.5, 15_000_000
# One candle's lot, whatever it is called.
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
    perp = pd.DataFrame({"date": date, "open": opened, "close": close, "volume": 1.0})
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


@pytest.fixture
def opened(browser: Browser, tmp_path: Path, frame: pd.DataFrame) -> Iterator[Open]:
    """Open a chart; when the test ends, its console must have been silent and no network asked."""
    looks: list[Look] = []

    def opening(
        chart: Chart | None = None,
        colors: Palette | None = None,
        *,
        labels: bool = False,
        width: int = 1200,
    ) -> Look:
        file = tmp_path / "chart.html"
        write_chart(file, chart or chart_of(frame), colors or palette(), labels=labels)
        looks.append(Look(browser, file, width))
        return looks[-1]

    yield opening
    for look in looks:
        assert look.complaints == []
        assert [url for url in look.requests if not url.startswith(("file:", "data:"))] == []
        look.page.close()


def row_where(rows: "pd.Series[bool]", after: int = 100) -> int:
    """Return a row that meets a condition, with columns before it."""
    return int(np.flatnonzero(rows.to_numpy()[after:])[0]) + after


def test_chart_has_its_panels_on_one_axis_of_time(opened: Open, frame: pd.DataFrame) -> None:
    look = opened()
    panels = look.ask(
        "return ['yaxis', 'yaxis2', 'yaxis3', 'yaxis4'].map((y) => plot._fullLayout[y] &&"
        " [plot._fullLayout[y]._offset, plot._fullLayout[y]._length])"
    )
    assert panels[3] is None
    for above, below in pairwise(panels[:3]):
        assert above[0] + above[1] < below[0]
        assert below[1] > 50
    names = look.ask("return plot.data.map(({ name }) => name)")
    assert {"bb_upper", "bb_middle", "bb_lower", "candles up", "candles down", "z"} <= {*names}
    assert {"htf_z", "premium above 0", "premium below 0"} <= {*names}
    assert look.ask("return [...new Set(plot.data.map(({ xaxis }) => xaxis || 'x'))]") == ["x"]

    funded = opened(replace(chart_of(frame), funding=np.where(np.arange(ROWS) % 8, 0.0, 0.01)))
    assert "funding" in funded.ask("return plot.data.map(({ name }) => name)")
    funded.show(160, 200)
    assert "funding +0.0100 %" in funded.hover(168, 0.005, "y4")


def test_guides_stand_at_the_thresholds(opened: Open) -> None:
    look = opened()
    guides = look.ask(
        "return [...plot.querySelectorAll('.shapelayer path')].map((path) => {"
        " const box = path.getBoundingClientRect();"
        " return [box.top + box.height / 2, path.style.strokeDasharray]; })"
    )
    dotted = sorted(y for y, dash in guides if dash.startswith("3px"))
    levels = (THRESHOLDS.enter_z, THRESHOLDS.exit_z, -THRESHOLDS.exit_z, -THRESHOLDS.enter_z)
    wanted = [look.place(0, level, "y2")[1] for level in levels]
    assert dotted == pytest.approx(wanted, abs=1.5)
    for zero in (look.place(0, 0, "y2")[1], look.place(0, 0, "y3")[1]):
        assert min(abs(y - zero) for y, _ in guides) < 1.5
    ticks = look.page.locator(".y2tick").all_text_contents()
    assert [*filter(None, ticks)] == ["−1.6", "−0.7", "0", "+0.7", "+1.6"]


@pytest.mark.parametrize("colors", [palette(), palette("safe"), palette(dark=True)])
def test_tint_and_columns_have_the_colours_of_their_candle(
    opened: Open, frame: pd.DataFrame, colors: Palette
) -> None:
    look = opened(colors=colors)
    background = color(colors.background)
    hot = frame["z"].abs() >= THRESHOLDS.hot_z
    for wanted, tint in (
        ((frame["bias"] == -1) & hot, blend(background, color(colors.short), 0.62)),
        ((frame["bias"] == 1) & hot, blend(background, color(colors.long), 0.62)),
        (frame["bias"] == 0, background),
    ):
        row = row_where(wanted)
        look.show(row - 15, row + 15)
        x, _ = look.place(row, 0, "y2")
        top = look.ask("return plot._fullLayout.yaxis2.range[1]") * 0.97
        _, y = look.place(row, top, "y2")
        seen = look.picture().getpixel((int(x + look.candle_width() * 0.3), int(y)))
        assert apart(seen, tint) <= 6, (row, seen, tint)
    premium = frame["premium_pct"]
    for wanted, name in (
        (premium > 0.1, colors.premium_positive),
        (premium < -0.1, colors.premium_negative),
    ):
        row = row_where(wanted)
        look.show(row - 15, row + 15)
        x, y = look.place(row, premium[row] * 0.6, "y3")
        seen = look.picture().getpixel((int(x + look.candle_width() * 0.2), int(y)))
        assert apart(seen, color(name)) <= 2, (row, seen, name)
    look.show(225, 245)
    missing = blend(background, color(colors.missing), 0.75)
    for row, shade in ((230, missing), (235, missing), (229, background), (236, background)):
        x, y = look.place(row, look.ask("return plot._fullLayout.yaxis3.range[1]") * 0.9, "y3")
        seen = look.picture().getpixel((int(x + look.candle_width() * 0.3), int(y)))
        assert apart(seen, shade) <= 6, (row, seen, shade)


def test_tint_deepens_with_z(opened: Open, frame: pd.DataFrame) -> None:
    look = opened()
    background, red = color(palette().background), color(palette().short)
    short = frame[(frame["bias"] == -1) & (frame.index > 100) & frame["z"].gt(0)]
    for row in short["z"].sort_values().index[[0, len(short) // 2, -1]].to_list():
        look.show(row - 15, row + 15)
        x, _ = look.place(row, 0, "y2")
        _, y = look.place(row, look.ask("return plot._fullLayout.yaxis2.range[1]") * 0.97, "y2")
        seen = look.picture().getpixel((int(x + look.candle_width() * 0.3), int(y)))
        strength = 0.2 + 0.8 * min(frame["z"][row] / THRESHOLDS.hot_z, 1)
        assert apart(seen, blend(background, red, 0.62 * strength)) <= 6


def test_line_of_z_deepens_up_to_hot_z(opened: Open, frame: pd.DataFrame) -> None:
    look = opened()
    colors = palette()
    for row, hottest in (
        (int(frame["z"].argmax()), colors.z_hot_short),
        (int(frame["z"].argmin()), colors.z_hot_long),
    ):
        assert abs(frame["z"][row]) >= THRESHOLDS.hot_z
        look.show(row - 15, row + 15)
        x, y = look.place(row, frame["z"][row], "y2")
        picture = look.picture()
        near = [
            picture.getpixel((int(x) + right, int(y) + down))
            for right in range(-3, 4)
            for down in range(-3, 4)
        ]
        assert min(apart(seen, color(hottest)) for seen in near) <= 12
        ends = look.ask("return ['y1', 'y2'].map((y) => Number(chart.gradient.getAttribute(y)))")
        panel = look.place(row, look.ask("return plot._fullLayout.yaxis2.range[1]"), "y2")[1]
        for end, z in zip(ends, (THRESHOLDS.hot_z, -THRESHOLDS.hot_z), strict=True):
            assert panel + end == pytest.approx(look.place(row, z, "y2")[1], abs=1.5)


def test_hover_says_what_the_strategy_computed(opened: Open, frame: pd.DataFrame) -> None:
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
        close = float(f"{at['close']:.10g}")
        look.show(row - 20, row + 20)
        for value, axis in ((at["close"], "y"), (0.0, "y2"), (0.0, "y3")):
            said = look.hover(row, value, axis).replace("−", "-")
            assert f"{at['date']:%Y-%m-%d %H:%M} UTC" in said
            assert f"close {close:,}" in said
            assert {-1: "SHORT bias", 0: "no bias", 1: "LONG bias"}[at["bias"]] in said
            if np.isfinite(at["premium_pct"]):
                assert f"premium {at['premium_pct']:+.4f} % against spot" in said
                assert f"z {at['z']:+.3f}, z of 4h {at['htf_z']:+.3f}" in said
            else:
                assert "premium none, no fresh spot price" in said
            if at["bias"]:
                reason = at["no_entry"]
                assert said.endswith(f"no entry: {reason}" if reason else "bias\nentry")
    entries = entry_signals(frame, THRESHOLDS)
    assert entries.loc[chosen[0], ["enter_short", "enter_long"]].sum() == 1


def test_chart_names_the_index_as_premium_source(opened: Open, frame: pd.DataFrame) -> None:
    source = source_column(frame["premium"].to_numpy(), "index")
    look = opened(chart_of(frame.assign(premium_source=source)))
    look.show(180, 240)
    assert "% against index" in look.hover(200, 0.0, "y3")
    assert "premium none, no fresh index price" in look.hover(232, 0.0, "y3")
    assert "no fresh index price" in look.page.inner_text(".legend")


def test_trades_are_drawn_and_told(opened: Open, frame: pd.DataFrame) -> None:
    look = opened(replace(chart_of(frame), trades=trade_at(frame, 120, 131)))
    look.show(110, 140)
    points = look.ask(
        "return Object.fromEntries(plot.data.filter(({ name }) => /entry|exit|held/.test(name))"
        ".map(({ name, x, y }) => [name, [x.length, Math.max(...y.filter(Number.isFinite))]]))"
    )
    drawn = {name for name, (count, _) in points.items() if count}
    assert drawn == {"entry short", "exit, lost", "held, lost"}
    opening = look.hover(120, frame["open"][120], "y")
    assert f"opened short at {frame['open'][120]:,.0f}"[:18] in opening
    assert TAG in opening
    closing = look.hover(131, frame["open"][131], "y")
    assert "closed short at" in closing
    assert "cooled: −1.23 %, −4.56" in closing
    marks = look.page.locator(".legend b")
    colors = marks.evaluate_all("marks => marks.map((mark) => getComputedStyle(mark).color)")
    shown = [tuple(map(int, re.findall(r"\d+", text))) for text in colors]
    assert shown == [color(palette().up), color(palette().down)]
    assert "closed, won" in look.page.inner_text(".legend")


def test_flips_are_labelled_when_asked(opened: Open, frame: pd.DataFrame) -> None:
    look = opened(labels=True)
    look.show(100, 200)
    flips = frame["bias"].diff().ne(0) & frame.index.isin(range(101, 201))
    texts = look.page.locator(".textpoint").all_text_contents()
    assert {"SHORT", "LONG", "exit"} & {*texts}
    assert len(texts) <= flips.sum()
    assert opened().page.locator(".textpoint").count() == 0


def test_label_at_the_edge_is_not_cut(opened: Open, frame: pd.DataFrame) -> None:
    look = opened(labels=True)
    flip = row_where(frame["bias"].diff().ne(0))
    look.show(flip, flip + 60)
    left = look.page.locator(".plot").bounding_box()
    label = look.page.locator(".textpoint").first.bounding_box()
    assert left is not None
    assert label is not None
    assert label["x"] >= left["x"] + 2


def test_chart_says_where_flips_have_no_label_for_want_of_room(opened: Open) -> None:
    look = opened(labels=True, width=360)
    status = look.page.locator(".status")
    assert "some flips have no label" in status.inner_text()
    look.show(100, 140)
    assert look.page.locator(".textpoint").count() > 0
    assert status.inner_text() == ""
    assert "label" not in opened(width=360).page.locator(".status").inner_text()


def test_picture_has_nothing_to_press(opened: Open) -> None:
    page = opened().page
    pressed = page.locator("button, .help")
    assert pressed.count() > 1
    assert all(pressed.nth(at).is_visible() for at in range(pressed.count()))
    page.goto(f"{page.url}#{FRAGMENT}")
    page.reload()
    assert not any(pressed.nth(at).is_visible() for at in range(pressed.count()))


def test_keyboard_pans_and_zooms(opened: Open) -> None:
    look = opened()

    def view() -> tuple[float, float]:
        start, end = look.ask("return chart.view.map((at) => at / chart.content.step)")
        return start, end

    whole = view()
    look.page.keyboard.press("+")
    start, end = view()
    assert end - start == pytest.approx((whole[1] - whole[0]) / 1.5)
    look.page.keyboard.press("ArrowLeft")
    assert view()[0] < start
    look.page.keyboard.press("End")
    assert view()[1] == pytest.approx(whole[1])
    look.page.keyboard.press("Home")
    assert view()[0] == pytest.approx(whole[0])
    look.page.keyboard.press("-")
    look.page.keyboard.press("0")
    assert view() == pytest.approx(whole)
    for _ in range(12):
        look.page.keyboard.press("+")
    start, end = view()
    assert end - start == pytest.approx(10)
    for _ in range(6):
        look.page.keyboard.press("Tab")
    assert look.page.evaluate("document.activeElement.className").startswith("plot")
    for key in ("Escape", "Enter", "a", "Shift+Tab", "Shift+Tab", "Enter"):
        look.page.keyboard.press(key)
    assert view()[1] - view()[0] < 10.1 * 1.5


def test_mouse_pans_and_zooms(opened: Open) -> None:
    look = opened()
    look.show(150, 200)
    x, y = look.place(180, 0, "y2")
    look.page.mouse.move(x, y)
    look.page.mouse.down()
    look.page.mouse.move(x + 10 * look.candle_width(), y, steps=4)
    look.page.mouse.up()
    look.page.wait_for_function(
        "() => { const chart = document.querySelector('.perp-chart').perpChart;"
        " return Math.abs((chart.rows.dates[150] - chart.view[0]) / chart.content.step - 10) < 1; }"
    )
    width = look.ask("return chart.view[1] - chart.view[0]")
    look.page.mouse.wheel(0, -300)
    look.page.wait_for_function(
        "(width) => { const { view } = document.querySelector('.perp-chart').perpChart;"
        " return view[1] - view[0] < 0.99 * width; }",
        arg=width,
    )
    look.page.mouse.dblclick(x, y)
    look.page.wait_for_function(
        "() => { const { view, all } = document.querySelector('.perp-chart').perpChart;"
        " return view[0] === all[0] && view[1] === all[1]; }"
    )


def test_narrow_window_shows_all_of_it(opened: Open) -> None:
    look = opened(width=340)
    assert look.page.evaluate("document.documentElement.scrollWidth") <= 340
    assert look.ask("return plot._fullLayout.yaxis3._length") > 40
    assert "each candle = " in look.page.locator(".status").inner_text()
    before = look.ask("return chart.bucketSize")
    look.page.set_viewport_size({"width": 1300, "height": 800})
    look.page.wait_for_function("() => document.querySelector('.main-svg').clientWidth > 1200")
    assert look.ask("return chart.bucketSize") < before


def test_35000_candles_open_and_pan(browser: Browser, tmp_path: Path) -> None:
    frame = candles(MANY)
    many = pd.concat([trade_at(frame, row, row + 6) for row in range(200, MANY - 10, 10)])
    file = tmp_path / "many.html"
    chart = replace(chart_of(frame), trades=many, funding=np.full(MANY, 0.01))
    write_chart(file, chart, palette(), labels=True)
    assert file.stat().st_size < MOST_BYTES
    # In time that the page worked: this machine has other things to do.
    look = Look(browser, file, 1400)
    loading = look.work_seconds()
    look.ask("chart.show(chart.all[0], (chart.all[0] + chart.all[1]) / 4 + chart.all[0] / 2)")
    before = look.work_seconds()
    look.ask(
        "for (let i = 0; i < 20; i += 1) { chart.pan(i < 10 ? 0.2 : -0.2);"
        " await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0))); }"
    )
    pan = (look.work_seconds() - before) / 20
    drawn = look.page.locator(".perp-chart").get_attribute("data-drawn")
    print(f"drawn after {drawn} ms, {loading:.2f} s of work; {pan * 1000:.0f} ms a pan")
    assert look.complaints == []
    look.page.close()
    assert loading < LOAD_SECONDS
    assert pan < PAN_SECONDS


def test_candle_that_stands_for_several_keeps_their_extremes(
    browser: Browser, tmp_path: Path
) -> None:
    frame = candles(6000)
    file = tmp_path / "chart.html"
    write_chart(file, chart_of(frame), palette())
    look = Look(browser, file)
    size = look.ask("return chart.bucketSize")
    assert size > 4
    assert look.page.locator(".status").inner_text() == f"each candle = {size} candles of 1h"
    buckets = look.ask("return PerpBuckets.cut(chart.rows, ...chart.all, chart.bucketSize)")
    groups = frame.groupby(np.arange(len(frame)) // size)
    assert [found["first"] for found in buckets] == list(range(0, len(frame), size))
    for name, column, how in (
        *(("open", "open", "first"), ("close", "close", "last")),
        *(("high", "high", "max"), ("low", "low", "min")),
        *(("zMin", "z", "min"), ("zMax", "z", "max")),
        *(("premiumMin", "premium_pct", "min"), ("premiumMax", "premium_pct", "max")),
    ):
        wanted = groups[column].agg(how).to_numpy()
        drawn = np.array([found[name] for found in buckets], dtype=float)
        np.testing.assert_array_equal(drawn, wanted, err_msg=name)
    missing = frame["premium"].isna().groupby(np.arange(len(frame)) // size).sum()
    assert [found["missing"] for found in buckets] == missing.tolist()
    row = size * 60
    said = look.hover(row + size // 2, frame["close"][row], "y")
    assert f"{size} candles" in said
    assert re.search(r"SHORT bias on \d+, LONG bias on \d+, \d+ entries", said)
    look.page.close()


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
