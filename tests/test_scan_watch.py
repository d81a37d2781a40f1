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

import pandas as pd
import pytest
from freqtrade.data.history import load_pair_history
from freqtrade.enums import CandleType
from freqtrade_fixtures import CONFIG, ROOT
from live import ANSWER_SECONDS, FastClock, faketime_library

from perp_imbalance.indicators import PRESETS, imbalance_columns
from perp_imbalance.replay import replay_config, running_replay

START = datetime(2025, 8, 18, 2, 2, tzinfo=UTC)
SPEED = 600
LOOKS = 3
PATIENCE_SECONDS = 120
BTC = "BTC/USDT:USDT"


@pytest.fixture(scope="module")
def looks(
    sample_datadir: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[dict[str, str]], str]:
    """What one watch wrote of BTC, look after look, and what it said."""
    library = faketime_library()
    folder = tmp_path_factory.mktemp("watch")
    clock, table = FastClock(START, SPEED), folder / "ranking.csv"
    with running_replay(sample_datadir, clock=clock) as replay:
        overlay = replay_config(replay.url)
        overlay["exchange"]["ccxt_config"]["timeout"] = ANSWER_SECONDS * 1000 * SPEED
        (folder / "overlay.json").write_text(json.dumps(overlay), encoding="utf-8")
        code = "from perp_imbalance.commands.main import run; run()"
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
            found = watched(process, table)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)
    return found, (folder / "said.txt").read_text("utf-8")


def watched(process: "subprocess.Popen[bytes]", table: Path) -> list[dict[str, str]]:
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


def test_watch_goes_on_from_candle_to_candle(
    looks: tuple[list[dict[str, str]], str], sample_datadir: Path
) -> None:
    """With the strategy's own values, although only what is new was fetched."""
    found, said = looks
    assert len(found) == LOOKS, said
    assert "Traceback" not in said
    perp, spot = (
        load_pair_history(name, "1h", sample_datadir, candle_type=kind, data_format="feather")
        for name, kind in ((BTC, CandleType.FUTURES), ("BTC/USDT", CandleType.SPOT))
    )
    columns = imbalance_columns(perp, spot, thresholds=PRESETS["balanced"])
    candles = columns.set_index(pd.DatetimeIndex(perp["date"])).to_dict("index")
    for row in found:
        candle = candles[pd.Timestamp(row["candle"])]
        assert float(row["z"]) == pytest.approx(candle["z"], abs=1e-9)
        assert row["bias"] == {-1: "short", 0: "none", 1: "long"}[candle["bias"]]
