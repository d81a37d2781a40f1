"""A sweep takes no more memory however large its grid is."""

import itertools
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from perp_imbalance.cli.main import run
from perp_imbalance.indicators import PRESETS, Thresholds
from perp_imbalance.indicators.signals import SIDES
from perp_imbalance.research import cells
from perp_imbalance.research import grid_sweep as sweeping
from perp_imbalance.research.grid import Grid, parse_values
from perp_imbalance.research.grid_sweep import Plan, run_sweep
from perp_imbalance.research.pair_history import PairHistories
from perp_imbalance.research.plateau import plateaus
from perp_imbalance.research.screen import Row, Screen
from perp_imbalance.strategy.settings import Settings

BTC = "BTC/USDT:USDT"


class Quick(Screen):
    """A screen without signals: what is measured is all around it."""

    def rows_of(self, thresholds: Thresholds) -> list[Row]:
        value = thresholds.enter_z + thresholds.exit_z
        return [Row(side, 4, 50, 50, 50, value, value, 0.5, value) for side in SIDES]


@pytest.mark.parametrize("has_map", [True, False])
def test_memory_does_not_grow_with_the_grid(
    has_map: bool, sample_datadir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "_ROWS_A_GROUP", 500)
    monkeypatch.setattr(sweeping, "Screen", Quick)
    btc = next(PairHistories(sample_datadir, "1h", Settings()).pairs([BTC]))
    peaks, counts = [], set()
    # The first takes what is loaded once.
    for steps, combinations in ((20, 21), (45, 2_116), (200, 40_401), (45, 2_116)):
        z = {
            "enter_z": parse_values(f"1.2:3:{1.8 / steps}", float),
            "exit_z": parse_values(f"0.2:1.1:{0.9 / steps}", float),
        }
        grid = Grid(z if combinations > 21 else {**z, "exit_z": [0.2]}, PRESETS["balanced"])
        plan = Plan(grid, Settings(), (4,), 0.001, min_events=30, has_map=has_map)
        tracemalloc.start()
        found = run_sweep(plan, [btc], tmp_path / "sweep.parquet", lambda _: None)
        ranked = plateaus(found)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found.combinations == combinations
        assert len(found.cells) == (plan.cells if has_map else 0)
        assert bool(ranked) == has_map
        counts.add(len(found.cells))
    assert peaks[2] < 1.1 * max(peaks[1], peaks[3])
    assert len(counts) <= 2


def test_grid_and_its_sample_are_never_held() -> None:
    fine = parse_values("0.001:1:0.001", float)
    axes = {"enter_z": fine, "exit_z": fine, "bb_k": fine, "htf_z_min": fine, "use_htf": [True]}
    lengths = list(range(10, 1010))
    grid = Grid({**axes, "bb_len": lengths, "smooth_len": lengths}, PRESETS["balanced"])
    assert grid.size == 1000 * (1000 * 999 // 2) * 1000 * 1000 * 1000
    tracemalloc.start()
    found = list(itertools.islice(grid.combinations(10**9), 20))
    everything = list(itertools.islice(grid.combinations(), 20))
    assert tracemalloc.get_traced_memory()[1] < 2e6
    tracemalloc.stop()
    assert len(set(found)) == len(set(everything)) == 20


def test_cells_are_foretold() -> None:
    z = {"enter_z": parse_values("0.3:1.5:0.03", float), "exit_z": [0.2, 0.3, 0.45, 0.9]}
    grid = Grid({**z, "len_prem": [25, 50]}, PRESETS["balanced"])
    plan = Plan(grid, Settings(), (4, 12), 0.001)
    enters, exits = plan.axes
    cells_of_all = {
        (of.len_prem, enters.number_of(of.enter_z), exits.number_of(of.exit_z))
        for of in grid.combinations()
    }
    assert plan.cells == len(cells_of_all) * 2 * 2 < len(grid) * 2 * 2
    # Of a sample no more than are drawn.
    assert replace(plan, sample=10).cells == 10 * 2 * 2


def finish(arguments: list[str]) -> None:
    """Run a command that must end well."""
    with pytest.raises(SystemExit) as left:
        run(arguments)
    assert left.value.code == 0


def test_heat_map_of_too_many_cells_is_left_out_in_words(
    folder: Path,
    sample_datadir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(folder)
    arguments = ["sweep", "--datadir", str(sample_datadir), "--pairs", BTC, "--horizons", "4"]
    arguments += ["--enter-z", "1.3:1.54:0.04", "--exit-z", "0.5:0.8:0.1", "--min-events", "5"]
    finish(arguments)
    assert "enter_z 1.42 to 1.46, exit_z 0.6" in capsys.readouterr().out
    assert not caplog.messages
    (page,) = folder.glob("user_data/sweep/*.html")
    assert "1.42 to 1.46" in page.read_text("utf-8")
    page.unlink()
    # Three by four cells of each side.
    monkeypatch.setattr(cells, "MAX_CELLS", 23)
    finish([*arguments, "--json"])
    (said,) = caplog.messages
    assert said.startswith("no heat map and no plateaus: they would have 24 cells, above 23")
    found = json.loads(capsys.readouterr().out)
    assert (found["html"], found["cells"], found["plateaus"]) == (None, None, [])
    assert len(pd.read_parquet(found["parquet"])) == 7 * 4 * 2
    assert not list(folder.glob("user_data/sweep/*.html"))
