"""A sweep takes no more memory however large its grid is."""

import itertools
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from perp_imbalance.indicators import PRESETS, Thresholds
from perp_imbalance.research import grid_sweep as sweeping
from perp_imbalance.research.grid import Grid, parse_values
from perp_imbalance.research.grid_sweep import Plan, run_sweep
from perp_imbalance.research.luck import Luck
from perp_imbalance.research.pair_history import PairHistories, PairHistory
from perp_imbalance.research.plateau import lines_of
from perp_imbalance.research.trade_figures import Weekly
from perp_imbalance.simulation import TRADE, Rules, Trades
from perp_imbalance.strategy.settings import Settings

BTC = "BTC/USDT:USDT"


class Quick:
    """Trades that cost nothing to find: what is measured is all around them."""

    def __init__(self, history: PairHistory) -> None:
        dates = history.perp["date"].iloc[history.begin :]
        self.times = [dates.dt.as_unit("ns").astype("int64").to_numpy()]
        self._made = np.zeros(60, TRADE)
        self._made["entry_row"] = np.arange(60) * 100
        self._made["exit_row"] = self._made["entry_row"] + 5
        self._noise = np.random.default_rng(1).normal(0, 0.01, 60)

    def trades(self, thresholds: Thresholds) -> Trades:
        made = self._made.copy()
        made["profit_ratio"] = self._noise + thresholds.enter_z * thresholds.exit_z / 100
        made["profit_abs"] = made["profit_ratio"] * 100
        return made

    def each(self, combinations: Iterable[Thresholds]) -> Iterator[Trades]:
        return map(self.trades, combinations)


def test_memory_does_not_grow_with_the_grid(
    sample_datadir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (btc,) = PairHistories(sample_datadir, "1h", Settings()).traded([BTC])
    quick: Any = Quick(btc)
    monkeypatch.setattr(sweeping, "PART", 400)
    monkeypatch.setattr(sweeping, "KEPT", 100)
    monkeypatch.setattr("perp_imbalance.research.luck._BATCH", 100)
    monkeypatch.setattr(Plan, "source", lambda *_: quick)
    peaks = []
    # The first takes what is loaded once.
    for steps, combinations in ((10, 121), (30, 961), (90, 8_281), (30, 961)):
        axes = {
            "enter_z": parse_values(f"1.2:3:{1.8 / steps}", float),
            "exit_z": parse_values(f"0.2:1.1:{0.9 / steps}", float),
        }
        plan = Plan(Grid(axes, PRESETS["balanced"]), [btc], Settings(), Rules())
        tracemalloc.start()
        found = run_sweep(plan, tmp_path / "sweep.parquet", lambda *_: None)
        lines = lines_of(found).lines
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found.tried == combinations == pq.read_metadata(found.file).num_rows
        # The very same trades, however well they earned.
        assert len(lines) == 1
    assert peaks[2] < 1.15 * max(peaks[1], peaks[3])


def test_luck_test_keeps_no_combination_in_memory() -> None:
    weekly = Weekly(np.ones(50), np.ones(50))
    luck, many = Luck(50, draws=99), Luck(50, draws=99)
    tracemalloc.start()
    peaks = []
    for one, count in ((luck, 2_000), (many, 20_000)):
        tracemalloc.reset_peak()
        for _ in range(count):
            one.add(weekly)
        peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_grid_and_its_sample_are_not_kept_in_memory() -> None:
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
