"""Plans of bots on the sample market, and readers of their output."""

import json
import re
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from perp_imbalance.freqtrade_bridge.config import merged_config
from perp_imbalance.rehearsal import Plan, rehearse
from support.freqtrade import CONFIG, ROOT, SAMPLE_PAIRS

STRATEGIES = ROOT / "tests" / "support" / "live_strategies"


def sample_plan(
    datadir: Path,
    folder: Path,
    start: datetime,
    end: datetime,
    *,
    settings: Mapping[str, Any] | None = None,
    strategy: str = "Recorder",
    **choices: Any,
) -> Plan:
    """Return the plan of a bot with the shipped config and a strategy of the tests.

    :param settings: settings merged over the config
    :param choices: see :class:`perp_imbalance.rehearsal.Plan`
    """
    strategies, userdir = folder / "strategies", folder / "user_data"
    shutil.copytree(ROOT / "strategies", strategies, dirs_exist_ok=True)
    shutil.copytree(STRATEGIES, strategies, dirs_exist_ok=True)
    userdir.mkdir(exist_ok=True)
    own = {
        "strategy": strategy,
        "strategy_path": str(strategies),
        "user_data_dir": str(userdir),
        "exchange": {"pair_whitelist": SAMPLE_PAIRS},
    }
    config = merged_config([CONFIG], {**own, **(settings or {})})
    return Plan(config, datadir, folder, start, end, **choices)


def live(plan: Plan) -> Path:
    """Rehearse a plan and return the file in which ``Recorder`` recorded each candle."""
    records = plan.folder / "records.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECORD", str(records))
        # The folder of the tests' stages.
        patch.setenv("PYTHONPATH", str(ROOT / "tests"))
        # Under pytest, freqtrade writes no log file.
        patch.delenv("PYTEST_VERSION")
        rehearse(plan)
    return records


def read_records(records: str) -> pd.DataFrame:
    """Return every candle as ``Recorder`` had it when it decided, in the order of decisions."""
    frame = pd.DataFrame([json.loads(line) for line in records.splitlines()])
    return frame.assign(date=pd.to_datetime(frame["date"], utc=True))


def logged(log: str) -> pd.DataFrame:
    """Return the messages of a bot's log: time, logger, level and text."""
    # The lines after a traceback's first line belong to it.
    parts = [line.split(" - ", 3) for line in log.splitlines()]
    frame = pd.DataFrame(
        [part for part in parts if len(part) == 4], columns=["time", "logger", "level", "text"]
    )
    times = pd.to_datetime(frame["time"], format="%Y-%m-%d %H:%M:%S,%f", utc=True)
    return frame.assign(time=times)


def messages_in(log: str) -> list[str]:
    """Return the messages that the strategy sent to the trader."""
    return re.findall(r"Sending rpc strategy_msg: (.*)", log)
