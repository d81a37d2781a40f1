"""``perp-imbalance backtest``: freqtrade's backtesting of the presets, on candles in a folder."""

import argparse
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perp_imbalance.cli.next_steps import doctor_command
from perp_imbalance.cli.options import (
    add_config,
    add_datadir,
    add_htf_timeframe,
    add_pairs,
    add_strategy_path,
    add_timeframe,
    add_timerange,
    config_files,
    named_values,
)
from perp_imbalance.errors import CommandError, PerpImbalanceError
from perp_imbalance.indicators.thresholds import TIMEFRAME

if TYPE_CHECKING:
    from perp_imbalance.data.backtest_data import BacktestData
    from perp_imbalance.freqtrade_bridge.parameter_file import ParameterFile

logger = logging.getLogger(__name__)

STRATEGIES = (
    "PerpImbalance",
    "PerpImbalanceConservative",
    "PerpImbalanceAggressive",
    "PerpImbalanceDeepDiscount",
)
SAMPLE_DATADIR = Path("user_data/sample/binance")

EXAMPLE = """\
examples:
  perp-imbalance backtest
  perp-imbalance backtest --datadir user_data/data/binance \\
      --timerange 20250101-20251231
  perp-imbalance backtest -p BTC/USDT:USDT -- --fee 0.0002 --breakdown month
  perp-imbalance backtest -s PerpImbalance --set enter_z=2.2 use_sigma=no
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "backtest",
        help="backtest the four presets on local candles, without an exchange",
        description="Run freqtrade's own backtesting of the four presets on the candles of a "
        "folder, or on the generated sample market. The list of markets, which freqtrade needs "
        "even so, comes from a replay of the folder on this machine.",
        epilog=EXAMPLE,
    )
    add_config(parser)
    add_datadir(parser, f"without, the synthetic sample market, {SAMPLE_DATADIR}")
    add_timeframe(parser)
    add_htf_timeframe(parser)
    add_timerange(parser)
    add_pairs(parser)
    strategies = parser.add_mutually_exclusive_group()
    for names, nargs, many in (
        (("-s", "--strategy"), 1, "one strategy"),
        (("--strategy-list",), "+", "several (default: the four presets)"),
    ):
        strategies.add_argument(
            *names,
            nargs=nargs,
            dest="strategies",
            default=list(STRATEGIES),
            metavar="NAME",
            help=many,
        )
    add_strategy_path(parser)
    parser.add_argument(
        "--set",
        nargs="+",
        dest="values",
        metavar="NAME=VALUE",
        help="parameters that count in place of the strategies'; parameter files beside them are "
        "left out, and none is written",
    )
    parser.add_argument("--no-report", action="store_true", help="write no page about the result")
    parser.add_argument(
        "freqtrade_options", nargs="*", metavar="-- OPTION", help="more for freqtrade's command"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the backtest and say where its results are."""
    from perp_imbalance.data.sample import ensure_sample_market
    from perp_imbalance.freqtrade_bridge.config import check_timerange, load_config, merged_config
    from perp_imbalance.freqtrade_bridge.parameter_file import ParameterFile
    from perp_imbalance.freqtrade_bridge.process import run_freqtrade
    from perp_imbalance.freqtrade_bridge.secrets import redact_result
    from perp_imbalance.freqtrade_bridge.strategies import check_strategies
    from perp_imbalance.replay import local_config, running_replay
    from perp_imbalance.reporting.backtest_result import keep_result, scratch_results
    from perp_imbalance.strategy.parameters import STARTUP_CANDLES

    refuse_configs(arguments.freqtrade_options)
    files = config_files(arguments)
    config = load_config(files)
    # freqtrade takes the config's where the option is not given.
    arguments.timerange = arguments.timerange or config.get("timerange")
    check_timerange(arguments.timerange)
    values = ParameterFile.of_words(named_values(arguments.values or ()))
    words = " ".join(arguments.values or ())
    if not arguments.values:
        warn_of_parameter_files(arguments.strategies, config)
    datadir = arguments.datadir or ensure_sample_market(SAMPLE_DATADIR)
    folder = Path(config["exportdirectory"])
    data = backtest_data(config, datadir, arguments, startup=STARTUP_CANDLES)
    check_strategies(arguments.strategies, config)
    with (
        running_replay(datadir) as replay,
        scratch_results(folder) as scratch,
        strategies_with(values, arguments.strategies, config, words) as strategies,
    ):
        overlay = backtest_overlay(config, data) | {"strategy_path": str(strategies)}
        # freqtrade itself goes by its option; in the result it tells a report where to look.
        overlay["datadir"] = str(datadir.resolve())
        options = ["backtesting", "--datadir", str(datadir), "--strategy-list"]
        options += [*arguments.strategies, "--cache", "none", "--backtest-directory", str(scratch)]
        if arguments.timerange:
            options += ["--timerange", arguments.timerange]
        options += arguments.freqtrade_options
        local = local_config(merged_config(files, overlay), replay.url)
        code = run_freqtrade(options, local_config=local)
        if code:
            return code
        # Before it is kept: what ends this process then leaves no secret behind.
        struck = [name for file in scratch.glob("*.zip") for name in redact_result(file)]
        result = keep_result(scratch, folder)
    for note in data.notes:
        print(f"Note: {note}")
    if result is None:
        print(f"No result in {folder}, as the options for freqtrade ask; so no report either")
        return 0
    if struck:
        print(f"Struck out of the result, for secrets: {', '.join(struck)}")
    print(f"Results{'' if arguments.datadir else ' of a SYNTHETIC market'}: {result}")
    if not arguments.no_report:
        tell_report(result, config, datadir)
    if arguments.datadir:
        # A doctor looks at an exchange, which has no candles of the sample market.
        print(f"Next: {doctor_command(arguments.strategies[0], arguments.config)}")
    return 0


@contextmanager
def strategies_with(
    parameters: "ParameterFile", names: Sequence[str], config: dict[str, Any], words: str
) -> Iterator[Path]:
    """Yield the folder of strategies; with parameters, a copy that has files of them.

    :param names: of the strategies that get them.
    :param words: the parameters as they were typed, for messages.
    :raises CommandError: if a strategy would not start with them.
    """
    from perp_imbalance.files import temporary_folder
    from perp_imbalance.freqtrade_bridge.strategies import strategy_folder
    from perp_imbalance.freqtrade_bridge.strategy_trial import copy_strategies, tried

    source = strategy_folder(config)
    if not parameters.params:
        yield source
        return
    for name in names:
        tried({**config, "strategy": name}, source / f"{name}.py", parameters, words)
    with temporary_folder() as folder:
        copy_strategies(source, folder, names)
        for name in names:
            parameters.write(folder / f"{name}.json", name)
        yield folder


def refuse_configs(options: Sequence[str]) -> None:
    """Raise where options for freqtrade name a config, which would win over all of ours.

    :raises CommandError: naming the option.
    """
    for option in options:
        if option.startswith("--conf") or (option.startswith("-c") and option[1] != "-"):
            raise CommandError(f"{option} behind --: name config files in front of it, with -c")


def tell_report(result: Path, config: dict[str, Any], datadir: Path) -> None:
    """Write the report beside the result; where there is nothing to report, say so."""
    from perp_imbalance.cli.report import write

    try:
        report = write(result, config, datadir=datadir)
    except PerpImbalanceError as error:
        print(f"No report: {error}")
        return
    print(report.fees)
    print(f"Report: {report.file}")


def backtest_data(
    config: dict[str, Any],
    datadir: Path,
    arguments: argparse.Namespace,
    *,
    trades: bool = True,
    startup: int = 0,
) -> "BacktestData":
    """Return what a backtest reads of a folder, and log what it leaves out.

    :param trades: whether anything is traded, so that missing costs matter.
    :param startup: candles at the beginning of a perp that are only looked back on.
    :raises DataError: if the folder lacks what was asked for, or a file of it is broken.
    """
    from perp_imbalance.data.backtest_data import COSTS, open_backtest_data
    from perp_imbalance.strategy.settings import Settings

    data = open_backtest_data(
        datadir,
        arguments.timeframe or config.get("timeframe", TIMEFRAME),
        Settings.from_config(config),
        exchange=config["exchange"]["name"],
        data_format=config["dataformat_ohlcv"],
        pairs=arguments.pairs,
        htf_timeframe=getattr(arguments, "htf_timeframe", None),
        timerange=arguments.timerange,
        costs=[
            name
            for name in COSTS
            # freqtrade takes this rate where it has no other.
            if trades and not (name == "funding rates" and "futures_funding_rate" in config)
        ],
        startup=startup,
    )
    for note in data.notes:
        logger.warning("%s", note)
    return data


def backtest_overlay(config: Mapping[str, Any], data: "BacktestData") -> dict[str, Any]:
    """Return the settings that fit a config to what the folder holds."""
    from perp_imbalance.freqtrade_bridge.strategies import strategy_folder
    from perp_imbalance.strategy.settings import SECTION

    return {
        "timeframe": data.timeframe,
        "exchange": {"pair_whitelist": data.pairs},
        "strategy_path": str(strategy_folder(config)),
        SECTION: {"htf_timeframe": data.htf_timeframe},
    }


def warn_of_parameter_files(strategies: Sequence[str], config: Mapping[str, Any]) -> None:
    """Say which strategies have a parameter file, which hyperopt leaves beside them."""
    from perp_imbalance.freqtrade_bridge.parameter_file import ParameterFile
    from perp_imbalance.freqtrade_bridge.strategies import strategy_folder

    for name in strategies:
        file = strategy_folder(config, name) / f"{name}.json"
        if file.is_file():
            logger.warning("%s trades with %s, not with its preset's values", name, file)
            # What is wrong with a file, freqtrade says when it reads it.
            with suppress(PerpImbalanceError):
                if said := ParameterFile.read(file).warning:
                    logger.warning("the tuning of that file says: %s", said)
