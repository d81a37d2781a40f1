"""Read the stored candles of ``sweep`` and ``evidence``, with the series of the gates."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perp_imbalance.cli.options import check_seed
from perp_imbalance.errors import DataError, SettingsError
from perp_imbalance.indicators.thresholds import TIMEFRAME, Thresholds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perp_imbalance.data.backtest_data import BacktestData
    from perp_imbalance.research.pair_history import PairHistories, PairHistory
    from perp_imbalance.strategy.settings import Settings


def pair_histories(
    arguments: argparse.Namespace,
    config: Mapping[str, Any],
    settings: "Settings",
    *,
    uses_htf: bool,
    costs: "Sequence[str]" = (),
    datadir: Path | None = None,
    pairs: "Sequence[str] | None" = None,
) -> "tuple[PairHistories, BacktestData]":
    """Return the candles of the folder that the ``add_candles`` options name, else of the config's.

    The settings of the result have the higher timeframe that a backtest of the folder would use.

    :param uses_htf: whether the higher timeframe is used; if not, its candles may be missing.
    :param costs: which costs to report as missing, by names of ``COSTS``; for funding fees.
    :param datadir: one folder, if the options name several; requires ``pairs``.
    :raises PerpImbalanceError: if the folder has no perp on the timeframe, or lacks the named
        higher timeframe, or one of its files is broken.
    """
    from perp_imbalance.data.backtest_data import open_backtest_data
    from perp_imbalance.research.pair_history import PairHistories

    data = open_backtest_data(
        datadir or arguments.datadir or Path(config["datadir"]),
        arguments.timeframe or config.get("timeframe", TIMEFRAME),
        settings,
        exchange=config["exchange"]["name"],
        data_format=config["dataformat_ohlcv"],
        pairs=pairs if datadir else arguments.pairs,
        htf_timeframe=arguments.htf_timeframe,
        uses_htf=uses_htf,
        timerange=arguments.timerange,
        # thin_series reports missing funding rates.
        costs=costs,
    )
    if data.htf_timeframe != data.timeframe:
        settings = settings.model_copy(update={"htf_timeframe": data.htf_timeframe})
    histories = PairHistories(
        data.folder,
        data.timeframe,
        settings,
        exchange=config["exchange"]["name"],
        timerange=arguments.timerange,
        data_format=config["dataformat_ohlcv"],
    )
    return histories, data


def lacking(
    candles: "PairHistory", gated: Mapping[str, Thresholds], folder: "PairHistories"
) -> dict[str, str]:
    """Return the thresholds that use a gate whose series is missing, with the name of that gate.

    :param gated: thresholds by name.
    :raises DataError: if all of them lack a series.
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


def check_costs(horizons: "Sequence[int]", fee: float, seed: int) -> None:
    """Raise if a horizon, the fee or the seed is out of range.

    :raises SettingsError: naming the first one.
    """
    if min(horizons) < 1:
        raise SettingsError(f"a horizon is {min(horizons)}, it must be at least 1")
    # This comparison also refuses NaN.
    if not 0 <= fee < 1:
        raise SettingsError(f"--fee is {fee:g}, it must be at least 0 and below 1")
    check_seed(seed)
