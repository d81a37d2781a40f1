"""One window on a worker: freqtrade's hyperopt, then freqtrade's backtesting of its winner."""

import json
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd

from perp_imbalance.freqtrade_bridge.parameter_file import ParameterFile
from perp_imbalance.indicators.performance import buy_and_hold
from perp_imbalance.research.account import (
    daily_sharpe,
    window_equity,
)
from perp_imbalance.research.walk_forward.task import Bundle, code_versions, write_sources
from perp_imbalance.research.walk_forward.windows import Window

_TRADE = (
    *("pair", "is_short", "open_date", "close_date", "open_rate", "close_rate"),
    *("stake_amount", "profit_abs", "profit_ratio", "exit_reason"),
)
_METRICS = ("total_trades", "profit_total", "profit_total_abs", "max_drawdown_account")


# Runs that were ended while this worker lives.
_stopped: set[str] = set()


class _RefusedError(Exception):
    """freqtrade refuses what it was asked: a second try would end as the first."""


def hold(bundle: Bundle) -> Bundle:
    """Return the bundle: as a task's result it lies on workers, and is found again if one dies."""
    return bundle


def run_window(bundle: Bundle, window: Window, run: str) -> dict[str, Any]:
    """Fit and test one window in a temporary folder; return plain data.

    :param run: name of the run, by which :func:`stop_windows` finds its processes.
    :return: with ``refused``, one line, where freqtrade refuses to do it, or where the code here is
        other than where the run began.
    """
    other = _other_code(bundle)
    result = {} if other else _computed(bundle, window, run)
    # freqtrade loads the code anew for each step: it may have changed meanwhile.
    other = other or _other_code(bundle)
    return {"window": window.name, "refused": other} if other else result


def _computed(bundle: Bundle, window: Window, run: str) -> dict[str, Any]:
    """Return what :func:`run_window` does."""
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
                freqtrade = _Freqtrade(folder, config, run)
                result |= _fit(freqtrade, bundle, window)
                if result["parameter_file"]:
                    tested = freqtrade.backtest("strategies", [bundle.fit.strategy], window)
                    result["trades"] = tested[bundle.fit.strategy]
                result["presets"] = {}
                if bundle.fit.presets:
                    result["presets"] = freqtrade.backtest("presets", bundle.fit.presets, window)
        except _RefusedError as error:
            return {**result, "refused": str(error)}
        result["hold"] = held(folder / "data", bundle, window)
    return result


def _other_code(bundle: Bundle) -> str | None:
    """Say in what this worker's code differs from that of the machine that began, if it does."""
    here = code_versions()
    other = [name for name, version in bundle.code.items() if here.get(name) != version]
    if not other:
        return None
    return (
        f"the worker on {platform.node()} has other code than the machine that began "
        f"({', '.join(other)}), or it was changed meanwhile: bring both to the same version"
    )


class _Freqtrade:
    """freqtrade's commands in the folder of one window."""

    def __init__(self, folder: Path, config: Mapping[str, Any], run: str) -> None:
        self.folder, self._config, self._run = folder, config, run

    def run(self, command: str, *options: str) -> None:
        """Run a command on the folder's candles.

        :raises _RefusedError: if freqtrade ends with an error of its own.
        :raises RuntimeError: if something ended it.
        """
        from perp_imbalance.freqtrade_bridge.process import (
            EXIT_SIGNAL,
            capture_freqtrade,
            error_line,
        )

        if self._run in _stopped:
            raise RuntimeError("the run was ended")
        places = ["--userdir", str(self.folder / "user_data")]
        places += ["--datadir", str(self.folder / "data")]
        process = capture_freqtrade(
            [command, *places, *options], local_config=self._config, cwd=self.folder
        )
        if process.returncode > EXIT_SIGNAL:
            raise RuntimeError(f"freqtrade {command} was ended by a signal")
        if process.returncode:
            raise _RefusedError(f"freqtrade {command}: {error_line(process)}")

    def backtest(
        self, place: str, names: Sequence[str], window: Window
    ) -> dict[str, list[dict[str, Any]]]:
        """Backtest strategies on the test part; return the trades of each."""
        from freqtrade.data.btanalysis import load_backtest_stats

        options = ["--strategy-path", str(self.folder / place), "--strategy-list", *names]
        self.run("backtesting", *options, "--timerange", window.test_range, "--cache", "none")
        stats = load_backtest_stats(self.folder / "user_data" / "backtest_results")
        return {name: _plain(stats["strategy"][name]["trades"]) for name in names}


def _fit(freqtrade: _Freqtrade, bundle: Bundle, window: Window) -> dict[str, Any]:
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
    """Read hyperopt's epochs one by one: with their trades they are large."""
    for file in sorted(folder.glob("*.fthypt")):
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


def _plain(trades: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            key: trade[key] if isinstance(trade[key], (bool, int, float)) else str(trade[key])
            for key in _TRADE
        }
        for trade in trades
    ]


def held(datadir: Path, bundle: Bundle, window: Window) -> dict[str, Any]:
    """Return what holding all pairs in equal parts over the test part earned, and by day."""
    from freqtrade.configuration import TimeRange
    from freqtrade.data.history import load_pair_history
    from freqtrade.enums import CandleType

    timerange = TimeRange.parse_timerange(window.test_range)
    frames = {
        pair: load_pair_history(
            pair,
            bundle.config["timeframe"],
            datadir,
            timerange=timerange,
            data_format=bundle.config.get("dataformat_ohlcv"),
            candle_type=CandleType.FUTURES,
        ).set_index("date")
        for pair in bundle.pairs
    }
    frames = {pair: frame for pair, frame in frames.items() if len(frame)}
    closes = pd.DataFrame(
        {pair: frame["close"].resample("1D").last() for pair, frame in frames.items()}
    )
    first = pd.Series({pair: frame["open"].iloc[0] for pair, frame in frames.items()})
    growth = buy_and_hold(closes, first)
    last = closes.ffill().iloc[-1] if len(closes) else first
    return {
        "pairs": {pair: float(last[pair] / first[pair]) - 1 for pair in frames},
        "days": {f"{day:%Y-%m-%d}": float(value) for day, value in growth.items()},
    }


def _scratch() -> str | None:
    """Return the worker's own folder, which Dask clears if the worker is killed."""
    from distributed import get_worker

    with suppress(ValueError):
        return str(get_worker().local_directory)
    return None


def stop_windows(run: str) -> None:
    """End every process that a run has on this worker."""
    import psutil

    from perp_imbalance.freqtrade_bridge.process import kill_group

    _stopped.add(run)
    for child in psutil.Process().children():
        with suppress(psutil.Error, ProcessLookupError):
            if any(f"{run}-" in word for word in child.cmdline()):
                kill_group(child.pid)


@contextmanager
def stopped_at_exit(client: Any, run: str, futures: Sequence[Any]) -> Iterator[None]:
    """Leave nothing of a run behind on the workers, however the block is left."""
    try:
        yield
    finally:
        with suppress(Exception):
            client.cancel(list(futures), force=True)
            client.run(stop_windows, run, on_error="ignore")
