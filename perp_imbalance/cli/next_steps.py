"""The commands that lead from tuned thresholds to a bot; each one prints the next."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perp_imbalance.freqtrade_bridge.config import ConfigFiles
    from perp_imbalance.freqtrade_bridge.parameter_file import TunedOn


def apply_command(file: Path, strategy: str, configs: "ConfigFiles | None", *, force: bool) -> str:
    """Return the command that writes a parameter file for a strategy.

    :param configs: config files that were named; None for the default.
    :param force: whether an existing parameter file is replaced.
    """
    words = ["preset", "apply", str(file), "--strategy", strategy, *_configs(configs)]
    return _line(words + ["--force"] * force)


def backtest_command(
    strategy: str, configs: "ConfigFiles | None", tuned_on: "TunedOn | None"
) -> str:
    """Return the command that backtests a strategy, on the candles of the tuning if they are known.

    >>> backtest_command("PerpImbalance", None, None)
    'perp-imbalance backtest --strategy-list PerpImbalance'
    """
    words = ["backtest", "--strategy-list", strategy, *_configs(configs)]
    if tuned_on is not None:
        words += ["--datadir", tuned_on.datadir, "--timeframe", tuned_on.timeframe]
        words += ["--timerange", tuned_on.timerange, "--pairs", *tuned_on.pairs]
    return _line(words)


def doctor_command(strategy: str, configs: "ConfigFiles | None") -> str:
    """Return the command that checks whether a bot would trade the strategy correctly."""
    return _line(["doctor", "--strategy", strategy, *_configs(configs)])


def _configs(configs: "ConfigFiles | None") -> list[str]:
    return [] if configs is None else configs.words


def _line(words: Sequence[str]) -> str:
    return f"perp-imbalance {shlex.join(words)}"
