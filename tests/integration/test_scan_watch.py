"""``perp-imbalance scan --watch`` from candle to candle, on a clock that moves while it waits."""

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
from freqtrade.data.history import load_pair_history
from freqtrade.enums import CandleType
from support.freqtrade import CONFIG, SAMPLE_PAIRS, perp_imbalance

from perp_imbalance.indicators import PRESETS, imbalance_columns
from perp_imbalance.rehearsal.clock import SteppedClock
from perp_imbalance.replay import replay_config, running_replay
from perp_imbalance.scan.watch import watch as go_on_watching

START = datetime(2025, 8, 18, 2, 2, tzinfo=UTC)
LOOKS = 3
BTC = "BTC/USDT:USDT"


class Watched(NamedTuple):
    """What one watch wrote of BTC, look after look, what it said, and the candles it asked for."""

    rows: list[dict[str, str]]
    said: str
    requests: list[dict[str, str]]


@pytest.fixture(scope="module")
def watch(sample_datadir: Path, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    folder = tmp_path_factory.mktemp("watch")
    table = folder / "ranking.csv"
    rows: list[dict[str, str]] = []
    with (
        SteppedClock(START) as clock,
        running_replay(sample_datadir) as replay,
        pytest.MonkeyPatch.context() as patch,
    ):

        def sleep(seconds: float) -> None:
            with table.open() as stream:
                rows.append(next(row for row in csv.DictReader(stream) if row["perp"] == BTC))
            if len(rows) == LOOKS:
                raise KeyboardInterrupt
            clock.sleep(seconds)

        patch.setattr(go_on_watching, "__kwdefaults__", {"sleep": sleep})
        (folder / "overlay.json").write_text(json.dumps(replay_config(replay.url)), "utf-8")
        configs = ("-c", str(CONFIG), "-c", str(folder / "overlay.json"))
        process = perp_imbalance("scan", "--watch", "--csv", str(table), *configs)
        requests = [asked.params for asked in replay.requests if asked.path.endswith("/klines")]
    return Watched(rows, process.stderr + process.stdout, requests)


def test_watch_goes_on_from_candle_to_candle(watch: Watched, sample_datadir: Path) -> None:
    """With the strategy's own values, although the past was fetched only once."""
    assert [pd.Timestamp(row["candle"]) for row in watch.rows] == list(
        pd.date_range("2025-08-18 01:00", periods=LOOKS, freq="1h", tz="UTC")
    ), watch.said
    assert "Traceback" not in watch.said
    assert sum("startTime" in asked for asked in watch.requests) == 2 * len(SAMPLE_PAIRS)
    assert len(watch.requests) >= LOOKS * 2 * len(SAMPLE_PAIRS)
    perp, spot = (
        load_pair_history(name, "1h", sample_datadir, candle_type=kind, data_format="feather")
        for name, kind in ((BTC, CandleType.FUTURES), ("BTC/USDT", CandleType.SPOT))
    )
    columns = imbalance_columns(perp, spot, thresholds=PRESETS["balanced"])
    candles = columns.set_index(pd.DatetimeIndex(perp["date"])).to_dict("index")
    for row in watch.rows:
        candle = candles[pd.Timestamp(row["candle"])]
        assert float(row["z"]) == pytest.approx(candle["z"], abs=1e-9)
        assert row["bias"] == {-1: "short", 0: "none", 1: "long"}[candle["bias"]]
