"""The stored candles that ``sweep`` and ``evidence`` read, gates and all."""

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perp_imbalance.cli.backtest import backtest_overlay
from perp_imbalance.errors import DataError, SettingsError
from perp_imbalance.indicators.thresholds import TIMEFRAME, Thresholds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perp_imbalance.research.pair_history import CandleFolder, PairHistory
    from perp_imbalance.strategy.settings import Settings


def candle_folder(
    arguments: argparse.Namespace,
    config: Mapping[str, Any],
    settings: "Settings",
    *,
    uses_htf: bool,
) -> "CandleFolder":
    """Return the folder that the options of ``add_candles`` name, else the config's.

    Its settings have the higher timeframe that a backtest of the folder would take.

    :param uses_htf: whether anything looks at the higher timeframe; if not, none has to be there.
    :raises PerpImbalanceError: if it has no perp on the timeframe, or not the higher timeframe that
        was named.
    """
    from perp_imbalance.research.pair_history import CandleFolder
    from perp_imbalance.strategy.settings import SECTION

    datadir = arguments.datadir or Path(config["datadir"])
    timeframe = arguments.timeframe or config.get("timeframe", TIMEFRAME)
    exchange = config["exchange"]["name"]
    folder = CandleFolder(
        datadir, timeframe, settings, exchange=exchange, timerange=arguments.timerange
    )
    if uses_htf or arguments.htf_timeframe:
        overlay = backtest_overlay(
            config, datadir, timeframe=timeframe, htf_timeframe=arguments.htf_timeframe
        )
        folder.settings = settings.model_copy(update=overlay[SECTION])
    return folder


def lacking(
    candles: "PairHistory", gated: Mapping[str, Thresholds], folder: "CandleFolder"
) -> dict[str, str]:
    """Return which thresholds have a gate on without its series, and which gate that is.

    :param gated: thresholds by what they are called.
    :raises DataError: if all of them have.
    """
    from perp_imbalance.research.series_checks import missing_series

    missing = {
        name: reason
        for name, thresholds in gated.items()
        if (reason := missing_series(candles, thresholds, folder.settings.htf_timeframe))
    }
    if len(missing) == len(gated):
        raise DataError(
            f"{candles.match.perp} in {folder.datadir}: {next(iter(missing.values()))}: download "
            "what is missing, or take the gate off"
        )
    return missing


def by_sentence(said: Iterable[tuple[str, str]]) -> list[str]:
    """Return each sentence once, behind all pairs of which it is said.

    :param said: pairs and sentences.

    >>> by_sentence([("BTC", "no rates"), ("ETH", "no rates")])
    ['BTC, ETH: no rates']
    """
    found: dict[str, list[str]] = {}
    for pair, sentence in said:
        found.setdefault(sentence, []).append(pair)
    return [f"{', '.join(pairs)}: {sentence}" for sentence, pairs in found.items()]


def check_costs(horizons: "Sequence[int]", fee: float, seed: int) -> None:
    """Refuse numbers that no research can be done with.

    :raises SettingsError: naming the first.
    """
    if min(horizons) < 1:
        raise SettingsError(f"a horizon is {min(horizons)}, it must be at least 1")
    # Not a number is neither.
    if not 0 <= fee < 1:
        raise SettingsError(f"--fee is {fee:g}, it must be at least 0 and below 1")
    if seed < 0:
        raise SettingsError(f"--seed is {seed}, it must be at least 0")
