"""``perp-imbalance scan --watch`` from candle to candle, on a clock that runs fast."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
from freqtrade.data.history import load_pair_history
from freqtrade.enums import CandleType
from support.freqtrade import CONFIG, ROOT, SAMPLE_PAIRS
from support.live_bot import ANSWER_SECONDS, FastClock, faketime_library

from perp_imbalance.indicators import PRESETS, imbalance_columns
from perp_imbalance.replay import replay_config, running_replay

START = datetime(2025, 8, 18, 2, 2, tzinfo=UTC)
SPEED = 600
LOOKS = 3
PATIENCE_SECONDS = 120
BTC = "BTC/USDT:USDT"


class Watched(NamedTuple):
    """What one watch wrote of BTC, look after look, what it said, and the candles it asked for."""

    rows: list[dict[str, str]]
    said: str
    requests: list[dict[str, str]]


@pytest.fixture(scope="module")
def watch(sample_datadir: Path, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    library = faketime_library()
    folder = tmp_path_factory.mktemp("watch")
    clock, table = FastClock(START, SPEED), folder / "ranking.csv"
    with running_replay(sample_datadir, clock=clock) as replay:
        overlay = replay_config(replay.url)
        overlay["exchange"]["ccxt_config"]["timeout"] = ANSWER_SECONDS * 1000 * SPEED
        (folder / "overlay.json").write_text(json.dumps(overlay), encoding="utf-8")
        code = "from perp_imbalance.cli.main import run; run()"
        with (folder / "said.txt").open("wb") as said:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-c", code, "scan", "--watch", "--csv", str(table)),
                    *("-c", str(CONFIG), "-c", str(folder / "overlay.json")),
                ],
                cwd=ROOT,
                env={
                    **os.environ,
                    **{"LD_PRELOAD": str(library), "FAKETIME": clock.faketime(), "TZ": "UTC"},
                },
                stdout=said,
                stderr=subprocess.STDOUT,
            )
        try:
            rows = rows_of(process, table)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)
        requests = [asked.params for asked in replay.requests if asked.path.endswith("/klines")]
    return Watched(rows, (folder / "said.txt").read_text("utf-8"), requests)


def rows_of(process: "subprocess.Popen[bytes]", table: Path) -> list[dict[str, str]]:
    """Return the row of BTC at each new candle; fewer rows where the watch ends by itself."""
    found: list[dict[str, str]] = []
    end = time.monotonic() + PATIENCE_SECONDS
    while len(found) < LOOKS and process.poll() is None and time.monotonic() < end:
        time.sleep(0.1)
        if table.exists():
            with table.open() as stream:
                (row,) = (row for row in csv.DictReader(stream) if row["perp"] == BTC)
            if row["candle"] not in [seen["candle"] for seen in found]:
                found.append(row)
    return found


def test_watch_goes_on_from_candle_to_candle(watch: Watched, sample_datadir: Path) -> None:
    """With the strategy's own values, although the past was fetched only once."""
    assert len(watch.rows) == LOOKS, watch.said
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
