"""Run freqtrade on the sample market with a replay of it."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from freqtrade.misc import deep_merge_dicts

from perp_imbalance.cli.main import run
from perp_imbalance.data.sample import ensure_sample_market
from perp_imbalance.freqtrade_bridge import process
from perp_imbalance.freqtrade_bridge.config import config_file, is_variable, merged_config
from perp_imbalance.freqtrade_bridge.process import capture_freqtrade
from perp_imbalance.replay import replay_config, running_replay
from support.in_process import run_here

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config.json"
SHARED = ROOT.parent / "shared" / "market_data"
SAMPLE_PAIRS = ["BTC/USDT:USDT", "ETH/USDT:USDT", "1000PEPE/USDT:USDT"]
PRESET_STRATEGIES = [
    "PerpImbalance",
    "PerpImbalanceConservative",
    "PerpImbalanceAggressive",
    "PerpImbalanceDeepDiscount",
]
#: Commands that leave no trace in a process. A bot sets signal handlers, hyperopt starts workers.
HERE = frozenset({"backtesting", "lookahead-analysis", "recursive-analysis"})
# After this time a process is considered stuck; a busy machine takes minutes.
TIMEOUT_SECONDS = 900

Freqtrade = Callable[..., "subprocess.CompletedProcess[str]"]


def shared_candles(name: str) -> Path:
    """Return a folder of real candles; the test is skipped if it does not exist."""
    datadir = SHARED / name / "binance"
    if not datadir.is_dir():
        pytest.skip(f"no real candles: ../shared/market_data/{name} is absent")
    return datadir


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the config and an empty ``user_data``, to run commands in."""
    shutil.copy(ROOT / "config.json", tmp_path)
    (tmp_path / "user_data").mkdir()
    return tmp_path


@pytest.fixture(scope="session")
def sample_datadir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pairs of the sample market that ``make backtest`` uses."""
    folder = tmp_path_factory.mktemp("sample")
    return ensure_sample_market(folder / "binance", pairs=SAMPLE_PAIRS)


def run_freqtrade(
    userdir: Path,
    command: str,
    *options: str,
    datadir: Path,
    pairs: Sequence[str] = SAMPLE_PAIRS,
    overlay: Mapping[str, Any] | None = None,
    exchange: dict[str, Any] | None = None,
    configs: Sequence[Path] = (CONFIG,),
    cwd: Path = ROOT,
) -> "subprocess.CompletedProcess[str]":
    """Run a freqtrade command at the repository's root with its own config.json.

    Commands in :data:`HERE` run in this process.
    """
    userdir.mkdir(exist_ok=True)
    with running_replay(datadir) as replay:
        settings = {**(overlay or {}), **replay_config(replay.url)}
        settings = deep_merge_dicts({"exchange": exchange or {}}, settings)
        settings["exchange"]["pair_whitelist"] = list(pairs)
        arguments = [command, "--userdir", str(userdir), "--datadir", str(datadir), *options]
        if command not in HERE:
            return capture_freqtrade(
                arguments, configs=configs, overlay=settings, cwd=cwd, timeout=TIMEOUT_SECONDS
            )
        with config_file(merged_config(configs, settings)) as file:
            return run_here(freqtrade_here, [*arguments, "-c", str(file)], cwd)


def freqtrade_here(arguments: Sequence[str]) -> None:
    """Run freqtrade and exit as the process of :func:`capture_freqtrade` does."""
    with pytest.MonkeyPatch.context() as patch:
        for name in filter(is_variable, list(os.environ)):
            patch.delenv(name)
        # It would end this process if its parent has ended.
        patch.setattr(process, "_end_with_parent", lambda: None)
        process.freqtrade_main(list(arguments))


@pytest.fixture
def freqtrade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Freqtrade:
    """Run freqtrade with results in the test's own ``user_data``; see :func:`run_freqtrade`."""
    # A terminal that is wide enough for freqtrade's tables.
    monkeypatch.setenv("COLUMNS", "220")
    return partial(run_freqtrade, tmp_path / "user_data")


def spot_to_index(datadir: Path, spot: str, perp: str, scale: float = 1.0) -> None:
    """Turn the spot candles of a perp into its index candles, as the exchange returns them.

    An index has the scale of the perp and no volume.
    """
    for file in datadir.glob(f"{spot}_USDT-*.feather"):
        timeframe = file.stem.rpartition("-")[2]
        index = pd.read_feather(file)
        index[["open", "high", "low", "close"]] *= scale
        # freqtrade's file has no candle where the exchange returned none.
        index = index[index["volume"] > 0].assign(volume=0.0).reset_index(drop=True)
        index.to_feather(datadir / "futures" / f"{perp}_USDT_USDT-{timeframe}-index.feather")
        file.unlink()


def add_open_interest(datadir: Path, perps: Sequence[str], seed: int = 7) -> None:
    """Add hourly open interest to perps of a folder, a random walk in freqtrade's layout."""
    rng = np.random.default_rng(seed)
    for perp in perps:
        stem = datadir / "futures" / perp.replace("/", "_").replace(":", "_")
        dates = pd.read_feather(f"{stem}-1h-futures.feather")["date"]
        amount = 1e4 * np.exp(np.cumsum(rng.normal(0, 0.01, len(dates))))
        columns = {"open_interest_amount": amount, "open_interest_value": amount}
        pd.DataFrame({"date": dates, **columns}).to_feather(f"{stem}-1h-open_interest.feather")


def perp_imbalance(*arguments: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """Run our own command line; see :func:`support.in_process.run_here`."""
    return run_here(run, arguments, cwd)


def perp_imbalance_process(*arguments: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """Run our own command line in a new process."""
    code = "from perp_imbalance.cli.main import run; run()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str], command: str = "evidence"
) -> str:
    """Run a command that must exit with code 2, and return its message."""
    with pytest.raises(SystemExit) as left:
        run([command, *arguments])
    assert left.value.code == 2
    return capsys.readouterr().err


def backtest_trades(userdir: Path) -> dict[str, pd.DataFrame]:
    """Return the trades of the newest backtest by strategy."""
    folder = userdir / "backtest_results"
    name = json.loads((folder / ".last_result.json").read_text("utf-8"))["latest_backtest"]
    with zipfile.ZipFile(folder / name) as archive:
        result = json.loads(archive.read(Path(name).with_suffix(".json").name))
    return {
        strategy: pd.DataFrame(outcome["trades"])
        for strategy, outcome in result["strategy"].items()
    }


def assert_fails_in_one_line(process: "subprocess.CompletedProcess[str]", message: str) -> None:
    """Check for a nonzero exit code and the message, without a traceback."""
    said = process.stdout + process.stderr
    assert process.returncode != 0
    assert "Traceback" not in said
    # freqtrade's log wraps long lines.
    assert message in " ".join(said.split())
