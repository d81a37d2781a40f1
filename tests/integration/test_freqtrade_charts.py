"""What FreqUI and plot-dataframe show: the columns of the strategy, its zones and its flips."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.freqtrade import CONFIG, ROOT, SAMPLE_PAIRS, TIMEOUT_SECONDS, Freqtrade
from support.rest_api import RestApi, api_settings, free_port

from perp_imbalance.indicators import PRESETS, Thresholds
from perp_imbalance.replay import replay_config, running_replay
from perp_imbalance.strategy.charts import PLOT_CONFIG, bias_annotations, chart_columns

PAIR = "BTC/USDT:USDT"
DRAWN = [
    *PLOT_CONFIG["main_plot"],
    *(name for panel in PLOT_CONFIG["subplots"].values() for name in panel),
]


def rows(bias: list[int], z: list[float]) -> pd.DataFrame:
    close = np.arange(len(bias), dtype=float) + 100
    return pd.DataFrame(
        {
            **{"date": pd.date_range("2024-01-01", periods=len(bias), freq="1h", tz="UTC")},
            **{"high": close + 1, "low": close - 1, "close": close, "z": z, "bias": bias},
        }
    )


def between(table: pd.DataFrame, first: int, last: int) -> list[dict[str, Any]]:
    dates = table["date"]
    return bias_annotations(table, 3.0, dates[first].to_pydatetime(), dates[last].to_pydatetime())


TABLE = rows([0, -1, -1, 1, 0, 0, 1], [0.0, 2.0, 9.0, -1.8, 0.1, np.nan, -3.0])
DATES = TABLE["date"]


def test_zones_are_areas_up_to_the_next_candle() -> None:
    areas = [found for found in between(TABLE, 0, 6) if found["type"] == "area"]
    assert [(area["start"].hour, area["end"].hour) for area in areas] == [(1, 3), (3, 4), (6, 7)]
    shares = [float(area["color"].rstrip(")").split(", ")[-1]) for area in areas]
    # 0.08 + 0.22 × |z| / hot_z, at most 1: of |z| 9, 1.8 and 3, with hot_z 3.
    assert shares == pytest.approx([0.30, 0.212, 0.30], abs=1e-3)
    assert [area["color"].split(",")[0] for area in areas] == ["rgba(242", "rgba(41", "rgba(41"]


def test_flips_are_labelled_with_side_and_z() -> None:
    points = [found for found in between(TABLE, 0, 6) if found["type"] == "point"]
    assert [(point["x"].hour, point["y"], point["label"]) for point in points] == [
        (1, 102.0, "SHORT +2.00"),
        (3, 102.0, "LONG -1.80"),
        (4, 104.0, "exit"),
        (6, 105.0, "LONG -3.00"),
    ]


def test_only_what_overlaps_the_asked_span_is_annotated() -> None:
    assert [
        (f["type"], f.get("start", f.get("x", DATES[0])).hour) for f in between(TABLE, 2, 3)
    ] == [
        ("area", 2),
        ("area", 3),
        ("point", 3),
    ]
    assert between(TABLE, 4, 5) == [between(TABLE, 0, 6)[5]]


def test_the_first_candle_is_not_a_flip() -> None:
    """A bot asks for its newest candles: the zone it is in began before them."""
    assert [found["type"] for found in between(rows([-1, -1], [2.0, 2.0]), 0, 1)] == ["area"]


def test_35_000_candles_are_annotated_quickly() -> None:
    rng = np.random.default_rng(3)
    bias = np.repeat(rng.choice([-1, 0, 1], 3500), 10)
    table = rows(bias.tolist(), rng.normal(0, 2, bias.size).tolist())
    begin = time.process_time()
    found = between(table, 0, len(table) - 1)
    assert time.process_time() - begin < 1.0
    assert len(found) > 3000


def test_premium_columns_and_guides_are_drawn() -> None:
    found = chart_columns(np.array([0.1, -0.2, np.nan, 0.0]), Thresholds(enter_z=2.5))
    np.testing.assert_array_equal(found["premium_positive"], [0.1, np.nan, np.nan, 0.0])
    np.testing.assert_array_equal(found["premium_negative"], [np.nan, -0.2, np.nan, np.nan])
    levels = {name: set(column) for name, column in found.items() if name.startswith("guide")}
    assert levels == {
        **{"guide_enter_short": {2.5}, "guide_exit_short": {0.9}, "guide_zero": {0.0}},
        **{"guide_enter_long": {-2.5}, "guide_exit_long": {-0.9}},
    }


@pytest.fixture(scope="module")
def webserver(sample_datadir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestApi]:
    """A ``freqtrade webserver`` on the sample market, as one starts it to look at backtests."""
    folder = tmp_path_factory.mktemp("webserver")
    data = folder / "user_data" / "data"
    data.mkdir(parents=True)
    (data / "binance").symlink_to(sample_datadir)
    port, log = free_port(), folder / "webserver.log"
    with running_replay(sample_datadir) as replay:
        overlay = replay_config(replay.url)
        overlay["exchange"]["pair_whitelist"] = SAMPLE_PAIRS
        overlay["api_server"] = api_settings(port)
        (folder / "overlay.json").write_text(json.dumps(overlay), encoding="utf-8")
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "freqtrade", "webserver"),
                *("--userdir", str(folder / "user_data")),
                *("-c", str(CONFIG), "-c", str(folder / "overlay.json")),
            ],
            cwd=ROOT,
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
            env={**os.environ, "COLUMNS": "220"},
        )
        try:
            api = RestApi(port)
            wait_for(api, process, log)
            yield api
        finally:
            # It holds nothing that an orderly end would save.
            process.kill()
            process.wait()


def wait_for(api: RestApi, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text("utf-8")
        try:
            api.ask("ping")
        except OSError:
            time.sleep(0.3)
        else:
            return
    raise AssertionError(f"no answer: {log.read_text('utf-8')}")


@pytest.mark.freqtrade
def test_webserver_gives_columns_and_annotations_of_a_span(webserver: RestApi) -> None:
    config = webserver.ask("plot_config", strategy="PerpImbalanceAggressive")
    assert set(config["subplots"]) == {"z", "premium %", "bias"}
    answer = webserver.ask_for(
        "pair_history",
        **{"pair": PAIR, "timeframe": "1h", "timerange": "20250401-20250501"},
        **{"strategy": "PerpImbalanceAggressive", "columns": DRAWN},
    )
    shown = pd.DataFrame(answer["data"], columns=answer["columns"])
    dates = pd.to_datetime(shown["date"], utc=True)
    assert set(DRAWN) <= set(shown)
    assert set(shown["guide_exit_long"]) == {-PRESETS["aggressive"].exit_z}
    assert (dates.min(), dates.max()) == (
        pd.Timestamp("2025-04-01", tz="UTC"),
        pd.Timestamp("2025-05-01", tz="UTC"),
    )
    flips = [found for found in answer["annotations"] if found["type"] == "point"]
    bias = shown["bias"]
    changed = dates[(bias != bias.shift()) & bias.shift().notna()]
    found = pd.to_datetime([flip["x"] for flip in flips], utc=True)
    # The candle before the first is not in the answer, but may make it a flip.
    assert set(changed) <= set(found) <= {*changed, dates.iloc[0]}
    assert {"SHORT", "LONG", "exit"} == {flip["label"].split()[0] for flip in flips}
    assert all(
        pd.to_datetime(area["end"]) > dates.min()
        for area in answer["annotations"]
        if area["type"] == "area"
    )


@pytest.mark.freqtrade
def test_plot_dataframe_draws_the_columns(
    freqtrade: Freqtrade, sample_datadir: Path, tmp_path: Path
) -> None:
    process = freqtrade(
        *("plot-dataframe", "--strategy", "PerpImbalance", "-p", PAIR, "--no-trades"),
        *("--timerange", "20250401-20250415"),
        datadir=sample_datadir,
    )
    assert process.returncode == 0, process.stderr
    assert "not found in your strategy" not in process.stderr
    page = (tmp_path / "user_data/plot/freqtrade-plot-BTC_USDT_USDT-1h.html").read_text("utf-8")
    for name in DRAWN:
        assert f'"name":"{name}"' in page, name
    for color in ("#52ff7d", "#f56464"):
        assert f'"marker":{{"color":"{color}"' in page
