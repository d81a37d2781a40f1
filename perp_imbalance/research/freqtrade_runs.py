"""Run freqtrade's own backtests of the strategies in a folder, and compute buy and hold."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from perp_imbalance.errors import CommandError
from perp_imbalance.indicators.performance import buy_and_hold

_TRADE = (
    *("pair", "is_short", "open_date", "close_date", "open_rate", "close_rate"),
    *("stake_amount", "profit_abs", "profit_ratio", "exit_reason"),
)


class RefusedError(CommandError):
    """freqtrade refused a command; trying again would not help."""


class FreqtradeFolder:
    """Runs freqtrade's commands on the strategies of a folder.

    :param folder: folder that contains folders of strategies; freqtrade's ``user_data`` is created
        in it.
    :param datadir: folder of candles.
    :param config: the complete config.
    :param check: called before each command; an exception from it ends the work.
    """

    def __init__(
        self,
        folder: Path,
        datadir: Path,
        config: Mapping[str, Any],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.folder, self._datadir, self._config = folder, datadir, config
        self._check = check

    def run(self, command: str, *options: str) -> None:
        """Run a command on the folder's candles.

        :raises RefusedError: if freqtrade ends with an error.
        :raises RuntimeError: if the process was killed.
        """
        from perp_imbalance.freqtrade_bridge.process import (
            EXIT_SIGNAL,
            capture_freqtrade,
            error_line,
        )

        self._check()
        places = ["--userdir", str(self.folder / "user_data")]
        places += ["--datadir", str(self._datadir)]
        process = capture_freqtrade(
            [command, *places, *options], local_config=self._config, cwd=self.folder
        )
        if process.returncode > EXIT_SIGNAL:
            raise RuntimeError(f"freqtrade {command} was ended by a signal")
        if process.returncode:
            raise RefusedError(f"freqtrade {command}: {error_line(process)}")

    def backtest(
        self, place: str, names: Sequence[str], timerange: str
    ) -> dict[str, list[dict[str, Any]]]:
        """Backtest the strategies of a folder; return the trades of each.

        :param place: name of the folder.
        :param timerange: freqtrade's ``--timerange``.
        """
        from freqtrade.data.btanalysis import load_backtest_stats

        options = ["--strategy-path", str(self.folder / place), "--strategy-list", *names]
        self.run("backtesting", *options, "--timerange", timerange, "--cache", "none")
        # It names the file, which is gone soon.
        logging.getLogger(load_backtest_stats.__module__).setLevel(logging.WARNING)
        stats = load_backtest_stats(self.folder / "user_data" / "backtest_results")
        return {name: _plain(stats["strategy"][name]["trades"]) for name in names}


def _plain(trades: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            key: trade[key] if isinstance(trade[key], (bool, int, float)) else str(trade[key])
            for key in _TRADE
        }
        for trade in trades
    ]


def held(
    datadir: Path, pairs: Sequence[str], config: Mapping[str, Any], timerange: str
) -> dict[str, Any]:
    """Return the profit of buying and holding all pairs in equal parts, in total and by day.

    :param config: freqtrade's config, for the timeframe and the data format.
    """
    from freqtrade.configuration import TimeRange
    from freqtrade.data.history import load_pair_history
    from freqtrade.enums import CandleType

    span = TimeRange.parse_timerange(timerange)
    frames = {
        pair: load_pair_history(
            pair,
            config["timeframe"],
            datadir,
            timerange=span,
            data_format=config.get("dataformat_ohlcv"),
            candle_type=CandleType.FUTURES,
        ).set_index("date")
        for pair in pairs
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
