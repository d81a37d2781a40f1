"""Measure the candles per second of processor time that a rehearsed bot processes."""

import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.hyperopt import OURS, PAIRS
from benchmarks.strategy import ROOT
from perp_imbalance.data.sample import ensure_sample_market
from perp_imbalance.freqtrade_bridge.config import merged_config
from perp_imbalance.rehearsal import Plan, even_looks, rehearse
from perp_imbalance.rehearsal.stage import Stage

#: Looks per candle.
LOOKS = (1, 6)
START = datetime(2025, 9, 18, 0, 0, 1, tzinfo=UTC)
_FILE = "seconds"


class Timed(Stage):
    """Records the processor time from the end of the first look to the end of the last."""

    seconds: tuple[float, ...] = ()

    def looked(self, worker: Any, now: float) -> None:
        """Record the time."""
        self.seconds = (*self.seconds[:1], time.process_time())

    def ended(self) -> None:
        """Write the measurement to a file."""
        first, last = self.seconds
        (self.plan.folder / _FILE).write_text(str(last - first), encoding="utf-8")


def measure(candles: int, rounds: int) -> dict[int, float]:
    """Return candles per second, by looks per candle; the median round."""
    rates: dict[int, list[float]] = {looks: [] for looks in LOOKS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        datadir = ensure_sample_market(folder / "binance")
        (folder / "user_data").mkdir()
        for number in range(rounds):
            for looks in LOOKS:
                life = folder / f"{looks}-{number}"
                rates[looks].append(candles / _seconds(folder, datadir, life, candles, looks))
    return {looks: median(found) for looks, found in rates.items()}


def _seconds(folder: Path, datadir: Path, life: Path, candles: int, looks: int) -> float:
    """Return the processor time of a number of candles in seconds.

    :param life: folder for the bot's files
    :raises RehearsalError: if freqtrade fails.
    """
    own = {
        "strategy": OURS,
        "strategy_path": str(ROOT / "strategies"),
        "user_data_dir": str(folder / "user_data"),
        "exchange": {"pair_whitelist": PAIRS},
    }
    plan = Plan(
        merged_config([ROOT / "config.json"], own),
        *(datadir, life, START, START + timedelta(hours=candles)),
        looks=tuple(even_looks(looks, 3600)),
        walk=True,
        stage=f"{__name__}:{Timed.__name__}",
    )
    # The folder from which the bot's process imports this module.
    rehearse(plan, ROOT)
    return float((life / _FILE).read_text("utf-8"))
