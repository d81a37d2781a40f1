"""``perp-imbalance plot``: the strategy's own columns as a page and a picture."""

import base64
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from freqtrade.data.history import load_pair_history
from freqtrade.enums import CandleType
from PIL import Image
from support.chromium import color
from support.freqtrade import CONFIG, ROOT

from perp_imbalance.cli.main import run
from perp_imbalance.cli.plot import check_trades
from perp_imbalance.errors import DataError
from perp_imbalance.freqtrade_bridge.config import merged_config
from perp_imbalance.indicators import PRESETS, entry_signals, imbalance_columns
from perp_imbalance.indicators.levels import LEVELS, levels
from perp_imbalance.plotting import picture
from perp_imbalance.plotting.chart import Chart
from perp_imbalance.reporting.analysis import open_strategy_analysis
from perp_imbalance.strategy.palette import PALETTES, palette

PAIR, RANGE = "BTC/USDT:USDT", "20250214-20250304"
Plot = Callable[..., tuple[int, str]]


@pytest.fixture
def plot(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], sample_datadir: Path
) -> Plot:
    """Run the command in the repository on the sample market; return its code and all it said."""
    monkeypatch.chdir(ROOT)

    def running(*arguments: str) -> tuple[int, str]:
        options = ["--datadir", str(sample_datadir), "--timerange", RANGE, *arguments]
        with pytest.raises(SystemExit) as left:
            run(["plot", "--pair", PAIR, *options])
        said = capfd.readouterr()
        return int(left.value.code or 0), " ".join((said.out + said.err).split())

    return running


def drawn(file: Path) -> dict[str, Any]:
    """Return what a page was given to draw."""
    found = re.search(r'<script type="application/json">(.*?)</script>', file.read_text("utf-8"))
    assert found
    content: dict[str, Any] = json.loads(found[1])
    kinds = {"dates": "<f8", "bias": "<i1", "no_entry": "<u2"}
    for name, kind in kinds.items():
        content[name] = np.frombuffer(base64.b64decode(content[name]), kind)
    for name, packed in content["columns"].items():
        content["columns"][name] = np.frombuffer(base64.b64decode(packed), "<f8")
    return content


def test_page_has_the_columns_of_the_strategy(
    plot: Plot, sample_datadir: Path, tmp_path: Path
) -> None:
    file = tmp_path / "new" / "chart.html"
    options = ("--strategy", "PerpImbalanceConservative", "--trades", "--funding", "--levels")
    code, said = plot("--output", str(file), *options)
    assert code == 0, said
    assert "432 candles, 2025-02-14 00:00 to 2025-03-0" in said or "433 candles" in said
    assert str(file) in said
    content = drawn(file)
    thresholds = PRESETS["conservative"]
    assert content["thresholds"] == asdict(thresholds)

    def candles(pair: str, timeframe: str, kind: CandleType) -> Any:
        return load_pair_history(pair, timeframe, sample_datadir, candle_type=kind)

    series = [("BTC/USDT:USDT", CandleType.FUTURES), ("BTC/USDT", CandleType.SPOT)]
    perp, spot = (candles(pair, "1h", kind) for pair, kind in series)
    higher = tuple(candles(pair, "4h", kind) for pair, kind in series)
    table = perp.join(
        imbalance_columns(perp, spot, thresholds=thresholds, timeframe="1h", htf=higher)
    )
    table = table.join(entry_signals(table, thresholds))
    times = table["date"].astype("datetime64[ms, UTC]").astype("int64")
    table = table[times.isin(content["dates"])]
    assert len(table) == len(content["dates"])
    for name in ("open", "high", "low", "close", "spot_close", "premium_pct"):
        np.testing.assert_array_equal(content["columns"][name], table[name], err_msg=name)
    # The strategy's own begin with what freqtrade loads before the time range.
    for name in ("bb_upper", "z", "htf_z"):
        np.testing.assert_allclose(content["columns"][name], table[name], atol=1e-6, err_msg=name)
    np.testing.assert_array_equal(content["bias"], table["bias"])
    entered = np.array(content["reasons"])[content["no_entry"]] == ""
    np.testing.assert_array_equal(entered, table["enter_tag"].notna())
    # The mode is zone, where a later candle may enter, too.
    assert not any("not the flip" in reason for reason in content["reasons"])
    assert np.isfinite(content["columns"]["htf_z"]).any()
    paid = content["columns"]["funding"]
    assert np.count_nonzero(paid) == pytest.approx(len(paid) / 8, abs=1)
    (rates,) = (sample_datadir / "futures").glob("BTC_USDT_USDT-*-funding_rate.feather")
    in_percent = pd.read_feather(rates)["funding_rate"] * 100.0
    assert {*paid[paid != 0].round(9)} <= {*in_percent.round(9)}
    wanted = levels(table.reset_index(drop=True))
    for name in LEVELS:
        np.testing.assert_array_equal(content["columns"][name], wanted[name], err_msg=name)
        assert np.isfinite(wanted[name]).any(), name

    # The candle after an entry opens its trade.
    assert entered.any()
    opened = [trade["opened"] for trade in content["trades"]]
    assert set(opened) <= {*(content["dates"][entered] + content["step"])}
    assert opened
    assert all(trade["tag"].endswith("_zone_z_sigma_htf") for trade in content["trades"])


def test_no_entry_is_drawn_that_lies_before_the_time_range(sample_datadir: Path) -> None:
    """Of a zone that was entered before the first candle drawn, no later candle enters."""
    with open_strategy_analysis(
        merged_config([CONFIG]), strategy="PerpImbalance", datadir=sample_datadir
    ) as found:
        found.config["timerange"] = "20250301-20250601"
        whole = found.chart(PAIR).frame
        entries = whole["no_entry"] == ""
        opened = np.flatnonzero(entries & (whole["bias"] == whole["bias"].shift(-3)))
        assert opened.size > 3
        for row in opened[:4]:
            start = whole["date"].iloc[row + 1]
            found.config["timerange"] = f"{start.timestamp():.0f}-"
            frame = found.chart(PAIR).frame
            assert frame["date"].iloc[0] == start
            entered = frame[["enter_long", "enter_short"]].sum(axis=1) == 1
            np.testing.assert_array_equal(frame["no_entry"] == "", entered)


def test_reasons_are_those_of_the_configured_mode_and_sides(plot: Plot, tmp_path: Path) -> None:
    overlay, file = tmp_path / "overlay.json", tmp_path / "chart.html"
    settings = {"sides": ["long"], "entry_mode": "flip"}
    overlay.write_text(json.dumps({"perp_imbalance": settings}), encoding="utf-8")
    code, said = plot("-c", "config.json", "-c", str(overlay), "--output", str(file))
    assert code == 0, said
    content = drawn(file)
    reasons = np.array(content["reasons"])[content["no_entry"]]
    assert set(reasons[content["bias"] == -1]) == {"side is off"}
    first = np.diff(content["bias"], prepend=0) != 0
    later = reasons[(content["bias"] == 1) & ~first]
    assert later.size
    assert all("not the flip" in reason for reason in later)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--pair", "XRP/USDT:USDT"), "has no 1h candles of XRP/USDT:USDT; perps there on 1h:"),
        (("--timerange", "20300101-"), "the time range 20300101- has no candles: "),
        (("--timerange", "20250101-20250102"), "has no 1h candles of BTC/USDT:USDT in that time"),
        (("--timerange", "soon"), "(such as 20250101-20250301)"),
        (("--strategy", "Nobody"), "Impossible to load Strategy 'Nobody'"),
        (("--strategy", "RsiWithImbalance"), "is not based on PerpImbalance"),
        (("--output", "README.md"), "README.md exists already: name another file, or add"),
        (("--output", "/proc/chart.html"), "/proc/chart.html cannot be written: "),
        (("--trades", "nowhere.zip"), "there is no result file nowhere.zip"),
        (("--trades", "config.json"), "config.json is not a result of freqtrade's backtesting"),
        (("--datadir", "nowhere"), "there is no folder nowhere"),
        (("--png", "chart.jpg"), "chart.jpg would be a PNG: name it chart.png"),
        (("--output", "new.png", "--png", "./new.png"), "new.png is the page: name another file"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(
    plot: Plot, tmp_path: Path, arguments: tuple[str, str], message: str
) -> None:
    code, said = plot("--output", str(tmp_path / "chart.html"), *arguments)
    assert code == 2
    assert message in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pair": "ETH/USDT:USDT"}, "r.zip has no trades of BTC/USDT:USDT"),
        ({"days": 60}, "from 2025-03-02 to 2025-03-02, and 2025-01-01 to 2025-01-03 is drawn"),
        ({"rate": 112.0}, r"of BTC/USDT:USDT at 112 on 2025-01-01 05:00, .* from 90 to 110:"),
    ],
)
def test_trades_of_other_candles_are_refused(changes: dict[str, Any], message: str) -> None:
    dates = pd.date_range("2025-01-01", periods=50, freq="1h", tz="UTC")
    frame = pd.DataFrame({"date": dates, "open": 100.0, "high": 110.0, "low": 90.0})
    chart = Chart(PAIR, "1h", 3600, "PerpImbalance", "4h", PRESETS["balanced"], frame)
    shift = pd.Timedelta(days=changes.get("days", 0))
    trade = {
        **{"pair": changes.get("pair", PAIR), "open_rate": changes.get("rate", 110.0)},
        **{"open_date": dates[5] + shift, "close_date": dates[9] + shift},
    }
    chart = replace(chart, trades=pd.DataFrame([trade]))
    with pytest.raises(DataError, match=message):
        check_trades(chart, "r.zip")
    # Those of a backtest of this chart are what they are.
    check_trades(chart, "")
    known = {"pair": PAIR, "open_rate": 110.0, "open_date": dates[5], "close_date": dates[9]}
    check_trades(replace(chart, trades=pd.DataFrame([known])), "r.zip")


def test_pair_without_spot_candles_is_refused_in_one_line(
    plot: Plot, sample_datadir: Path, tmp_path: Path
) -> None:
    shutil.copytree(sample_datadir, tmp_path / "perps")
    for file in (tmp_path / "perps").glob("BTC_USDT-*"):
        file.unlink()
    page = str(tmp_path / "chart.html")
    code, said = plot("--datadir", str(tmp_path / "perps"), "--output", page)
    assert code == 2
    assert "is left out: no spot pair of BTC against USDT; no perp can be" in " ".join(said.split())


def test_picture_needs_chromium(
    plot: Plot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, image = tmp_path / "chart.html", tmp_path / "chart.png"
    if any(map(shutil.which, picture.BROWSERS)):
        code, said = plot("--output", str(page), "--png", str(image), "--dark")
        assert code == 0, said
        with Image.open(image) as drawing:
            assert drawing.size == (1400, 900)
            colors = drawing.convert("RGB").getcolors(1 << 24) or []
        background = max(colors)[1]
        assert background == color(palette(dark=True).background)
        assert len(colors) > 100
    monkeypatch.setattr(picture, "BROWSERS", ("no-such-browser",))
    code, said = plot("--output", str(tmp_path / "other.html"), "--png", str(image), "--force")
    assert code == 2
    assert "a picture needs Chromium, which is not installed" in said


# How colours look without one kind of cones: Machado, Oliveira and Fernandes (2009), severity 1.
CONES = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
               [-0.011820, 0.042940, 0.968881]],
}  # fmt: skip


def difference(one: str, other: str, cones: str) -> float:
    """Return how far two colours are apart for someone without these cones: 0 to 441."""
    parts = [np.array([int(name[at : at + 2], 16) for at in (1, 3, 5)]) for name in (one, other)]
    return float(np.linalg.norm(np.array(CONES[cones]) @ (parts[0] - parts[1])))


@pytest.mark.parametrize("cones", CONES)
@pytest.mark.parametrize("dark", [False, True])
def test_safe_palette_is_distinct_for_colour_blind_readers(dark: bool, cones: str) -> None:
    assert PALETTES == ("classic", "safe")
    pairs = (
        ("premium_positive", "premium_negative"), ("short", "long"), ("up", "down"),
        ("z_hot_short", "z_hot_long"),
    )  # fmt: skip
    for one, other in pairs:
        safe = palette("safe", dark)
        assert difference(getattr(safe, one), getattr(safe, other), cones) > 100, (one, other)
