"""A rehearsal: candles a second of processor time that a bot lives through on its stepped clock."""

import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from benchmarks.hyperopt import OURS, PAIRS, processor_time
from benchmarks.strategy import ROOT
from perp_imbalance.data.sample import ensure_sample_market
from perp_imbalance.freqtrade_bridge.config import merged_config
from perp_imbalance.rehearsal import Plan, even_looks, rehearse

#: Looks in each candle.
LOOKS = (1, 6)
START = datetime(2025, 9, 18, 0, 0, 1, tzinfo=UTC)
# Before the first candles that count: what freqtrade does as it starts and ends.
_FEW = 2


def measure(candles: int, rounds: int) -> dict[int, float]:
    """Return candles a second by looks in each, the median round.

    As in :mod:`benchmarks.hyperopt`, the time of a short life is subtracted from that of a longer.
    """
    rates: dict[int, list[float]] = {looks: [] for looks in LOOKS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        datadir = ensure_sample_market(folder / "binance")
        (folder / "user_data").mkdir()
        for _ in range(rounds):
            for looks in LOOKS:
                short, long = (
                    _seconds(folder, datadir, count, looks) for count in (_FEW, _FEW + candles)
                )
                rates[looks].append(candles / (long - short))
    return {looks: median(found) for looks, found in rates.items()}


def _seconds(folder: Path, datadir: Path, candles: int, looks: int) -> float:
    """Return the processor time of one life in seconds.

    :raises RehearsalError: if freqtrade fails.
    """
    own = {
        "strategy": OURS,
        "strategy_path": str(ROOT / "strategies"),
        "user_data_dir": str(folder / "user_data"),
        "exchange": {"pair_whitelist": PAIRS},
    }
    place = folder / "life"
    plan = Plan(
        merged_config([ROOT / "config.json"], own),
        *(datadir, place, START, START + timedelta(hours=candles)),
        looks=tuple(even_looks(looks, 3600)),
        walk=True,
    )
    begin = processor_time()
    rehearse(plan, folder)
    shutil.rmtree(place)
    return processor_time() - begin
