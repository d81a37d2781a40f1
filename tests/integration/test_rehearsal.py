"""A rehearsal is the same to the byte whatever the machine does, and fails in one line."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from freqtrade import worker
from freqtrade.exchange import common, exchange
from support.rehearsal import live, sample_plan

from perp_imbalance.errors import BridgeError, RehearsalError
from perp_imbalance.freqtrade_bridge.internals import running_bot
from perp_imbalance.rehearsal import read_table

pytestmark = pytest.mark.freqtrade

# In this time the sample market's spot pairs have an outage of six hours, and funding is charged.
START = datetime(2025, 3, 2, 19, 0, 1, tzinfo=UTC)
CANDLES = 18
# What of a log differs from process to process.
VOLATILE = r"PID=\d+|\S*/[\w./-]+|127\.0\.0\.1:\d+"


def lived(datadir: Path, folder: Path, **choices: Any) -> dict[str, Any]:
    """Return everything that a bot leaves behind."""
    folder.mkdir()
    end = START + timedelta(hours=CANDLES)
    plan = sample_plan(datadir, folder, START, end, looks=(1.0, 1801.0), walk=True, **choices)
    records = live(plan).read_text("utf-8")
    with closing(sqlite3.connect(plan.database)) as store:
        # SQLAlchemy makes indexes in the order of a set.
        dump = [line for line in store.iterdump() if line.startswith("INSERT")]
    log = re.sub(VOLATILE, "", plan.log.read_text("utf-8"))
    return {"records": records, "database": dump, "log": log, "trades": plan.database}


@pytest.fixture
def busy_machine() -> Iterator[None]:
    """Keep both cores and a third process busy."""
    workers = [
        subprocess.Popen([sys.executable, "-c", "while True: sum(range(10**6))"]) for _ in range(3)
    ]
    try:
        yield
    finally:
        for each in workers:
            each.kill()
            each.wait()


@pytest.fixture(scope="module")
def first(sample_datadir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return lived(sample_datadir, tmp_path_factory.mktemp("rehearsal") / "first")


def test_busy_machine_changes_no_byte_of_a_rehearsal(
    first: dict[str, Any], sample_datadir: Path, tmp_path: Path, busy_machine: None
) -> None:
    for name, least in (("trades", 2), ("orders", 3), ("pairlocks", 1)):
        assert len(read_table(first["trades"], name)) >= least
    again = lived(sample_datadir, tmp_path / "again")
    for name in ("records", "database", "log"):
        assert again[name] == first[name], name


def test_shortcuts_change_no_byte_of_what_a_bot_does(
    first: dict[str, Any], sample_datadir: Path, tmp_path: Path
) -> None:
    whole = lived(sample_datadir, tmp_path / "whole", shortcuts=False)
    for name in ("records", "database"):
        assert whole[name] == first[name], name


@pytest.mark.parametrize(
    ("part", "name"),
    [(worker.Worker, "_sleep"), (common, "asyncio"), (exchange, "uuid4")],
)
def test_freqtrade_without_an_inner_name_is_refused(
    part: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    running_bot()
    monkeypatch.delattr(part, name)
    with pytest.raises(BridgeError, match=rf"^freqtrade \S+ lacks \S+\.{name}, .*txt"):
        running_bot()


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        ("Nowhere", "^Impossible to load Strategy 'Nowhere'"),
        ("Quitter", "^the bot stopped itself: no pairs any more"),
    ],
)
def test_bot_that_cannot_go_on_is_told_in_one_line(
    strategy: str, said: str, sample_datadir: Path, tmp_path: Path
) -> None:
    plan = sample_plan(sample_datadir, tmp_path, START, START, strategy=strategy)
    with pytest.raises(RehearsalError, match=said) as refused:
        live(plan)
    assert "\n" not in str(refused.value)
    assert "Traceback" not in str(refused.value)


def test_folder_without_candles_is_told_in_one_line(tmp_path: Path) -> None:
    plan = sample_plan(tmp_path / "nothing", tmp_path, START, START)
    with pytest.raises(RehearsalError, match=f"there is no folder {tmp_path}/nothing") as refused:
        live(plan)
    assert "\n" not in str(refused.value)
