"""Run one window on a worker: the fit, then freqtrade's backtest of the winner."""

import json
import platform
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from perp_imbalance.errors import PerpImbalanceError
from perp_imbalance.freqtrade_bridge.parameter_file import ParameterFile
from perp_imbalance.research.account import (
    daily_sharpe,
    window_equity,
)
from perp_imbalance.research.freqtrade_runs import FreqtradeFolder, held
from perp_imbalance.research.strategy_sources import write_sources
from perp_imbalance.research.walk_forward.kernel_fit import kernel_fit
from perp_imbalance.research.walk_forward.task import Bundle, code_versions
from perp_imbalance.research.windows import Window

_METRICS = ("total_trades", "profit_total", "profit_total_abs", "max_drawdown_account")


# Runs that were ended while this worker lives.
_stopped: set[str] = set()


def hold(bundle: Bundle) -> Bundle:
    """Return the bundle, so that Dask stores it on workers and restores it if one dies."""
    return bundle


def run_window(bundle: Bundle, window: Window, run: str) -> dict[str, Any]:
    """Fit and test one window in a temporary folder; return plain data.

    :param run: name of the run; :func:`stop_windows` finds its processes by it.
    :return: the result, or ``refused`` with one line if freqtrade refuses, or if the code here
        differs from that of the machine that started the run.
    """
    other = _other_code(bundle)
    result = {} if other else _computed(bundle, window, run)
    # freqtrade loads the code anew for each step: it may have changed meanwhile.
    other = other or _other_code(bundle)
    return {"window": window.name, "refused": other} if other else result


def _computed(bundle: Bundle, window: Window, run: str) -> dict[str, Any]:
    """Compute the result of :func:`run_window`."""
    from perp_imbalance.replay import local_config, running_replay

    result: dict[str, Any] = {
        "window": window.name,
        "train": [window.train.isoformat(), window.test.isoformat()],
        "test": [window.test.isoformat(), window.end.isoformat()],
    }
    with tempfile.TemporaryDirectory(prefix=f"{run}-", dir=_scratch()) as name:
        folder = Path(name)
        write_sources(folder / "data", bundle.files)
        write_sources(folder / "strategies", bundle.strategies)
        write_sources(folder / "presets", bundle.strategies)
        write_sources(folder / "user_data" / "hyperopts", bundle.losses)
        try:
            with running_replay(folder / "data") as replay:
                config = local_config(bundle.config, replay.url)
                check = partial(_check_not_stopped, run)
                freqtrade = FreqtradeFolder(folder, folder / "data", config, check)
                if bundle.fit.engine == "kernel":
                    result |= kernel_fit(folder, bundle, window, check)
                else:
                    result |= _fit(freqtrade, bundle, window)
                if result["parameter_file"]:
                    tested = freqtrade.backtest(
                        "strategies", [bundle.fit.strategy], window.test_range
                    )
                    result["trades"] = tested[bundle.fit.strategy]
                result["presets"] = {}
                if bundle.fit.presets:
                    result["presets"] = freqtrade.backtest(
                        "presets", bundle.fit.presets, window.test_range
                    )
        except PerpImbalanceError as error:
            return {**result, "refused": str(error)}
        result["hold"] = held(folder / "data", bundle.pairs, bundle.config, window.test_range)
    return result


def _other_code(bundle: Bundle) -> str | None:
    """Return how this worker's code differs from that of the run's machine, if it does."""
    here = code_versions()
    other = [name for name, version in bundle.code.items() if here.get(name) != version]
    if not other:
        return None
    return (
        f"the worker on {platform.node()} has other code than the machine that began "
        f"({', '.join(other)}), or it was changed meanwhile: bring both to the same version"
    )


def _fit(freqtrade: FreqtradeFolder, bundle: Bundle, window: Window) -> dict[str, Any]:
    """Run hyperopt on the training part."""
    fit = bundle.fit
    options = ["--strategy-path", str(freqtrade.folder / "strategies"), "--strategy", fit.strategy]
    options += ["--timerange", window.train_range, "--spaces", *fit.spaces]
    options += ["--epochs", str(fit.epochs), "--hyperopt-loss", fit.loss]
    # A seed for each window: of the same draws, the same would win more often than it should.
    options += [
        "--min-trades",
        str(fit.min_trades),
        "--random-state",
        str(fit.seed + window.number),
    ]
    # One job: the windows themselves are what runs side by side.
    freqtrade.run("hyperopt", *options, "-j", "1", "--no-color")
    found: dict[str, Any] = {"epochs": 0, "epoch_sharpes": [], "params": {}, "in_sample": {}}
    for epoch in _epochs(freqtrade.folder / "user_data" / "hyperopt_results"):
        metrics = epoch["results_metrics"]
        equity = window_equity(
            pd.DataFrame(metrics["trades"]), bundle.wallet, window.train, window.test
        )
        sharpe = daily_sharpe(equity)
        found["epochs"] += 1
        found["epoch_sharpes"].append(sharpe)
        if epoch["is_best"]:
            found["params"] = epoch["params_dict"]
            found["in_sample"] = {name: metrics.get(name) for name in _METRICS}
            found["in_sample"] |= {"loss": epoch["loss"], "daily_sharpe": sharpe}
    written = sorted((freqtrade.folder / "strategies").rglob("*.json"))
    # Without an epoch that has enough trades, hyperopt writes none.
    found["parameter_file"] = ParameterFile.read(written[0]).as_dict() if written else None
    return found


def _epochs(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield hyperopt's epochs one by one, since with their trades they are large."""
    for file in sorted(folder.glob("*.fthypt")):
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


def _check_not_stopped(run: str) -> None:
    if run in _stopped:
        raise RuntimeError("the run was ended")


def _scratch() -> str | None:
    """Return the worker's own folder, which Dask removes if the worker is killed."""
    from distributed import get_worker

    with suppress(ValueError):
        return str(get_worker().local_directory)
    return None


def stop_windows(run: str) -> None:
    """End all processes of a run on this worker."""
    import psutil

    from perp_imbalance.freqtrade_bridge.process import kill_group

    _stopped.add(run)
    for child in psutil.Process().children():
        with suppress(psutil.Error, ProcessLookupError):
            if any(f"{run}-" in word for word in child.cmdline()):
                kill_group(child.pid)


@contextmanager
def stopped_at_exit(client: Any, run: str, futures: Sequence[Any]) -> Iterator[None]:
    """End all processes of a run on the workers when the block ends."""
    try:
        yield
    finally:
        with suppress(Exception):
            client.cancel(list(futures), force=True)
            client.run(stop_windows, run, on_error="ignore")
