"""Plans of a bot on the sample market."""

import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

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

    :param settings: what is merged over the config
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
    """Rehearse a plan and return the file in which ``Recorder`` wrote down each candle."""
    records = plan.folder / "records.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECORD", str(records))
        # Where the stages of the tests are.
        patch.setenv("PYTHONPATH", str(ROOT / "tests"))
        # Under pytest, freqtrade writes no file of its log.
        patch.delenv("PYTEST_VERSION")
        rehearse(plan)
    return records
