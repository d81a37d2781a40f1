"""Bots live through what their seeds draw; ``make chaos SEEDS=200`` lets many more live."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.chaos.schedule import ALL_KINDS, draw_schedule
from support.freqtrade import ROOT

pytestmark = pytest.mark.freqtrade

# Between them, bots of these seeds come across every kind of fault.
SEEDS = [5, 34, 41, 58, 84]
TIMEOUT_SECONDS = 600


def chaos(*options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "support.chaos", *options],
        cwd=ROOT / "tests",
        stdout=subprocess.PIPE,
        text=True,
        # A group of its own, to be interrupted as a terminal does.
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("chaos")
    found = folder / "lives.json"
    seeds = [str(seed) for seed in SEEDS]
    process = chaos("--seed", *seeds, "--folder", str(folder), "--json", str(found))
    try:
        process.communicate(timeout=TIMEOUT_SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    outcomes: list[dict[str, Any]] = json.loads(found.read_text("utf-8"))
    return outcomes


def test_invariants_hold_whatever_goes_wrong(lives: list[dict[str, Any]]) -> None:
    assert sorted(life["seed"] for life in lives) == SEEDS
    assert {life["seed"]: life["broken"] for life in lives if life["broken"]} == {}
    assert all(life["looks"] and life["entries"] for life in lives)


def test_every_kind_of_fault_occurs_in_the_lives(lives: list[dict[str, Any]]) -> None:
    met = {kind for life in lives for kind, times in life["happened"].items() if times}
    assert met == set(ALL_KINDS)


def test_schedule_is_that_of_its_seed() -> None:
    assert draw_schedule(7) == draw_schedule(7) != draw_schedule(8)
    for seed in range(1, 201):
        schedule = draw_schedule(seed)
        assert len(schedule.faults) + len(schedule.events) == len(set(schedule.kinds)) == 7
        assert all(fault.end is None or fault.end <= schedule.end for fault in schedule.faults)


def test_interrupt_leaves_nothing_running(tmp_path: Path) -> None:
    process = chaos("--seed", "1", "2", "--folder", str(tmp_path))
    assert process.stdout
    assert process.stdout.readline().startswith("seed 1")
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 130
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
