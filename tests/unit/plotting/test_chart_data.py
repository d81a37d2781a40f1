"""What the script of a chart is given to draw: trades, funding, source, text."""

import html
import json
import re
from dataclasses import replace
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.reports import HOUR, PAIR, START, seen, trade

from perp_imbalance.indicators.levels import LEVELS
from perp_imbalance.plotting.chart import Chart, chart_page, chart_scripts, chart_section
from perp_imbalance.strategy.palette import palette


def chart(*trades: dict[str, Any]) -> Chart:
    """Return a chart of the candles 10 to 20."""
    found = seen(*(trades or (trade(2, 5),)))
    whole = replace(found.charts[PAIR], trades=found.trades, funding=np.arange(700.0))
    return whole.between(START + 10 * HOUR, START + 20 * HOUR)


def given(drawn: Chart) -> dict[str, Any]:
    text = chart_section(drawn, palette()).partition('"application/json">')[2]
    content: dict[str, Any] = json.loads(text.removesuffix("</script></section>"))
    return content


@pytest.mark.parametrize(
    ("opened", "closed", "is_drawn"),
    [(5, 10, True), (20, 25, True), (5, 25, True), (5, 9, False), (21, 25, False)],
)
def test_trades_are_those_that_are_open_on_the_candles_drawn(
    opened: int, closed: int, is_drawn: bool
) -> None:
    other = trade(opened, closed, pair="ETH/USDT:USDT")
    assert len(chart(trade(opened, closed), other).trades_drawn) == is_drawn


def test_trade_is_reported_with_freqtrades_values() -> None:
    (told,) = given(chart(trade(12, 15, profit_ratio=0.01, profit_abs=2.0)))["trades"]
    opened = START.timestamp() * 1000 + 12 * 3_600_000
    assert told == {
        **{"side": "short", "opened": opened, "closed": opened + 3 * 3_600_000},
        **{"entry": 100.0, "exit": 98.0, "tag": "short_zone_z", "reason": "cooled"},
        **{"profit": 0.01, "amount": 2.0},
    }
    assert given(chart(trade(12, 15, is_short=False)))["trades"][0]["side"] == "long"


def test_part_of_a_chart_has_its_own_funding() -> None:
    part = chart()
    assert part.funding is not None
    assert part.funding.tolist() == list(range(10, 21))
    assert part.frame["date"].iloc[[0, -1]].tolist() == [START + 10 * HOUR, START + 20 * HOUR]


def test_script_gets_step_source_and_active_gate() -> None:
    part = chart()
    content = given(part)
    # Milliseconds, as the dates are.
    assert (content["step"], content["source"], content["htf"]) == (3_600_000, "spot", None)
    indexed = replace(
        part,
        frame=part.frame.assign(premium_source=pd.Series([np.nan, *["index"] * 10])),
        thresholds=replace(part.thresholds, use_htf=True),
    )
    content = given(indexed)
    assert (content["source"], content["htf"]) == ("index", "4h")
    published = replace(part, frame=part.frame.assign(premium_source="premium_index"))
    assert given(published)["source"] == "index (premium index)"
    unknown = replace(part, frame=part.frame.assign(premium_source=np.nan))
    assert given(unknown)["source"] == "spot"


def test_text_cannot_close_its_html_element() -> None:
    note = "</script><b>"
    part = chart_section(replace(chart(), note=note), palette())
    assert part.count("</script>") == 1
    assert given(replace(chart(), note=note))["note"] == note


def test_volume_and_levels_are_given_where_the_frame_has_them() -> None:
    assert not {"volume", *LEVELS} & {*given(chart())["columns"]}
    frame = chart().frame.assign(volume=1.0, **dict.fromkeys(LEVELS, 2.0))
    assert {"volume", *LEVELS} <= {*given(replace(chart(), frame=frame))["columns"]}


def test_page_has_the_notice_and_link_of_the_licence() -> None:
    vendor = files("perp_imbalance.plotting") / "vendor"
    assert "Apache License" in (vendor / "LICENSE").read_text("utf-8")
    shown = html.unescape(re.sub(r"\s+", " ", re.sub("<.*?>", " ", chart_scripts())))
    for part in re.split(r"\n|(?=https)", (vendor / "NOTICE").read_text("utf-8").strip()):
        assert part.strip(" /").removeprefix("https://") in shown
    assert 'href="https://www.tradingview.com/"' in chart_scripts()


def test_page_of_two_months_is_small_and_needs_no_plotly() -> None:
    rows = pd.RangeIndex(60 * 24)
    values = np.random.default_rng(1).normal(size=rows.size)
    base = chart().frame.iloc[:1]
    frame = base.loc[base.index.repeat(rows.size)].reset_index(drop=True)
    frame["date"] = pd.date_range(START, periods=rows.size, freq="1h")
    floats = frame.select_dtypes(float).columns
    frame[[*floats, "volume", *LEVELS]] = np.tile(values, (len(floats) + 9, 1)).T
    page = chart_page(replace(chart(), frame=frame, funding=values), palette(), labels=True)
    assert len(page.encode()) < 1_500_000
    assert "plotly" not in page.lower()
    assert len(re.findall("<script src|<link rel=.stylesheet", page)) == 0
