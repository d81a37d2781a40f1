"""What a running bot says of each candle, and what it stores with each trade."""

import json
import re
import sqlite3
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.freqtrade import SAMPLE_PAIRS
from support.rehearsal import live, sample_plan

from perp_imbalance import __version__
from perp_imbalance.indicators import PRESETS
from perp_imbalance.rehearsal import Plan, read_table
from perp_imbalance.strategy.stored_entry import SETTINGS_KEY, SIGNAL_KEY

pytestmark = pytest.mark.freqtrade

# In this time the sample market's spot pairs have an outage of six hours.
START = datetime(2025, 3, 2, 19, 0, 1, tzinfo=UTC)
CANDLES = 20
LINE = re.compile(
    r"INFO - (\S+) (\S+ \S+): z (\S+), premium .*, bias (\S+), (no entry|entry)\W+(.*)$"
)


@pytest.fixture(scope="module")
def lived(sample_datadir: Path, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    end = START + timedelta(hours=CANDLES - 1)
    folder = tmp_path_factory.mktemp("running")
    plan = sample_plan(sample_datadir, folder, START, end, looks=(1.0, 901.0, 1801.0))
    live(plan)
    return plan


@pytest.fixture(scope="module")
def lines(lived: Plan) -> pd.DataFrame:
    found = [LINE.search(line) for line in lived.log.read_text("utf-8").splitlines()]
    names = ["pair", "candle", "z", "bias", "decision", "why"]
    return pd.DataFrame([line.groups() for line in found if line], columns=names)


def stored(plan: Plan, key: str) -> dict[int, Any]:
    with closing(sqlite3.connect(plan.database)) as store:
        rows = store.execute(
            "select ft_trade_id, cd_value from trade_custom_data where cd_key = ?", [key]
        ).fetchall()

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON, which FreqUI could not read")

    return {trade: json.loads(value, parse_constant=refuse) for trade, value in rows}


def test_log_has_one_line_per_pair_and_closed_candle(lines: pd.DataFrame) -> None:
    assert len(lines) == len(SAMPLE_PAIRS) * CANDLES
    assert not lines.duplicated(["pair", "candle"]).any()
    assert set(lines["pair"]) == set(SAMPLE_PAIRS)
    assert lines["candle"].min() == "2025-03-02 18:00"


def test_lines_of_entries_are_the_trades(lines: pd.DataFrame, lived: Plan) -> None:
    trades = read_table(lived.database, "trades")
    assert len(trades) >= 2
    opened = trades["open_date"].dt.floor("h") - pd.Timedelta(hours=1)
    entered = lines[lines["decision"] == "entry"]
    assert set(zip(entered["pair"], entered["candle"], entered["why"], strict=True)) >= set(
        zip(trades["pair"], opened.dt.strftime("%Y-%m-%d %H:%M"), trades["enter_tag"], strict=True)
    )
    held = lines[(lines["bias"] != "none") & (lines["decision"] == "no entry")]
    assert {"entered in this zone before"} <= set(held["why"])


def test_outage_of_all_pairs_is_reported_once(lived: Plan) -> None:
    log = lived.log.read_text("utf-8").splitlines()
    for said_by in ("strategy.feed", "strategy_msg"):
        told = [line for line in log if re.search(rf"{said_by}.*(no signals|signals again)", line)]
        assert len(told) == 2, said_by
        assert f"{len(SAMPLE_PAIRS)} of {len(SAMPLE_PAIRS)} pairs give no signals: " in told[0]
        assert all(pair in told[0] for pair in SAMPLE_PAIRS)
        assert f"{len(SAMPLE_PAIRS)} pairs give signals again" in told[1]


def test_trades_have_what_was_seen_at_entry(lived: Plan, lines: pd.DataFrame) -> None:
    trades = read_table(lived.database, "trades").set_index("id")
    seen = stored(lived, SIGNAL_KEY)
    assert set(seen) == set(trades.index)
    said = lines.set_index(["pair", "candle"])
    for number, signal in seen.items():
        trade = trades.loc[number]
        candle = pd.Timestamp(signal["candle"])
        assert candle == trade["open_date"].floor("h") - pd.Timedelta(hours=1)
        assert signal["signal"] == trade["enter_tag"]
        assert signal["bias"] == (-1 if trade["is_short"] else 1)
        assert signal["gates"] == {"premium": True}
        line = said.loc[(trade["pair"], f"{candle:%Y-%m-%d %H:%M}")]
        assert f"{signal['z']:+.2f}" == line["z"]


def test_trades_have_the_settings_of_their_entry(lived: Plan) -> None:
    settings = stored(lived, SETTINGS_KEY)
    assert set(settings) == set(read_table(lived.database, "trades")["id"])
    for one in settings.values():
        assert one["version"] == __version__
        assert one["preset"] == "aggressive"
        assert one["thresholds"] == asdict(PRESETS["aggressive"])
        assert one["settings"]["max_entry_age_seconds"] == 120
        assert one["config"]["max_open_trades"] == 3
        assert one["started"] == START.isoformat()
