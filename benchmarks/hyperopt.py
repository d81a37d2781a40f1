"""Compare hyperopt epochs of this project's strategy with those of freqtrade's own example.

Both use the same candles, pairs and settings; only the time of the epochs is measured.
"""

import json
import resource
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import freqtrade.templates

from benchmarks.strategy import ROOT
from perp_imbalance.data.sample import ensure_sample_market
from perp_imbalance.errors import PerpImbalanceError
from perp_imbalance.freqtrade_bridge.process import capture_freqtrade
from perp_imbalance.replay import Replay, replay_config, running_replay

OURS, EXAMPLE = "PerpImbalanceAggressive", "SampleStrategy"
PAIRS = ["BTC/USDT:USDT", "ETH/USDT:USDT", "1000PEPE/USDT:USDT"]
#: Settings of both runs: the example's exits, with which both trade about equally often.
SETTINGS: Mapping[str, Any] = {
    "timeframe": "1h",
    "minimal_roi": {"60": 0.01, "30": 0.02, "0": 0.04},
    "stoploss": -0.1,
    "enable_protections": False,
}
TIMERANGE = "20250201-20250801"
_SPACES = {OURS: ["buy", "sell", "lookback"], EXAMPLE: ["buy", "sell"]}


@dataclass(frozen=True)
class Epochs:
    """The measured epochs of one strategy.

    :ivar rates: epochs per second of processor time, one value per round.
    :ivar trades: mean number of trades per epoch.
    """

    rates: tuple[float, ...]
    trades: float

    @property
    def rate(self) -> float:
        """Return the median over the rounds."""
        return median(self.rates)

    def ratio(self, other: "Epochs") -> float:
        """Return the median over the rounds of this strategy's rate divided by another's."""
        return median(a / b for a, b in zip(self.rates, other.rates, strict=True))


def measure(epochs: int, rounds: int) -> dict[str, Epochs]:
    """Run hyperopt of both strategies in each round.

    Each round runs a strategy with few and with more epochs: the difference is the time of epochs
    alone, without freqtrade's start and end.
    """
    rates: dict[str, list[float]] = {name: [] for name in _SPACES}
    trades: dict[str, list[float]] = {name: [] for name in _SPACES}
    few = max(epochs // 5, 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        datadir = ensure_sample_market(folder / "binance")
        (folder / "user_data").mkdir()
        shutil.copytree(ROOT / "strategies", folder / "strategies")
        example = Path(freqtrade.templates.__path__[0]) / "sample_strategy.py"
        shutil.copy(example, folder / "strategies" / f"{EXAMPLE}.py")
        with running_replay(datadir) as replay:
            for seed in range(1, rounds + 1):
                for strategy in _SPACES:
                    base, _ = _hyperopt(folder, replay, strategy, few, seed)
                    whole, found = _hyperopt(folder, replay, strategy, few + epochs, seed)
                    rates[strategy].append(epochs / (whole - base))
                    trades[strategy].append(found)
    return {name: Epochs(tuple(rates[name]), mean(trades[name])) for name in _SPACES}


def _hyperopt(
    folder: Path, replay: Replay, strategy: str, epochs: int, seed: int
) -> tuple[float, float]:
    """Return the seconds of processor time of one run, and its mean number of trades.

    :raises PerpImbalanceError: if freqtrade fails.
    """
    results = folder / "user_data" / "hyperopt_results"
    shutil.rmtree(results, ignore_errors=True)
    overlay = {**SETTINGS, **replay_config(replay.url)}
    overlay["exchange"]["pair_whitelist"] = PAIRS
    begin = _processor_time()
    process = capture_freqtrade(
        [
            *("hyperopt", "--userdir", str(folder / "user_data"), "--disable-param-export"),
            *("--datadir", str(folder / "binance"), "--strategy", strategy),
            *("--strategy-path", str(folder / "strategies"), "--spaces", *_SPACES[strategy]),
            *("--epochs", str(epochs), "--random-state", str(seed), "-j", "1"),
            *("--hyperopt-loss", "SharpeHyperOptLossDaily"),
            *("--timerange", TIMERANGE),
        ],
        configs=[ROOT / "config.json"],
        overlay=overlay,
        cwd=folder,
    )
    seconds = _processor_time() - begin
    if process.returncode:
        raise PerpImbalanceError(f"hyperopt of {strategy} failed: {process.stderr[-500:]}")
    lines = next(results.glob("*.fthypt")).read_text("utf-8").splitlines()
    trades = [json.loads(line)["results_metrics"]["total_trades"] for line in lines]
    return seconds, mean(trades)


def _processor_time() -> float:
    """Return the processor time of all ended child processes in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
