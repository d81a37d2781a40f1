"""``perp-imbalance backtest``: run freqtrade's backtesting of the presets on stored candles."""

import argparse
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perp_imbalance.cli.next_steps import doctor_command
from perp_imbalance.cli.options import (
    DEFAULT_FOLDER,
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
#: Explains the default of ``--datadir``; see :func:`candle_folder`.
OR_SAMPLE = f"{DEFAULT_FOLDER}; if that has no perps, the sample market, {SAMPLE_DATADIR}"

#: Notes that the final screen prints below its table, each once, in this order.
Notes = dict[str, None]
#: Matches the lines of freqtrade's log that name the strategy to run next, wrapped or not.
RUNNING = re.compile(r"Running\s+backtesting\s+for\s+Strategy\s+(\w+)")

EXAMPLE = """\
examples:
  perp-imbalance backtest
  perp-imbalance backtest --datadir user_data/data/binance \\
      --timerange 20250101-20251231
  perp-imbalance backtest -p BTC/USDT:USDT -- --fee 0.0002
  perp-imbalance backtest --verbose -- --breakdown month
  perp-imbalance backtest -s PerpImbalance --set enter_z=2.2 use_sigma=no
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand ``backtest``."""
    parser = subparsers.add_parser(
        "backtest",
        help="backtest the four presets on local candles, without an exchange",
        description="Run freqtrade's own backtesting of the four presets on the candles of a "
        "folder, or on the generated sample market. The list of markets, which freqtrade needs "
        "even so, comes from a replay of the folder on this machine.",
        epilog=EXAMPLE,
    )
    add_config(parser)
    add_datadir(parser, OR_SAMPLE)
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
        help="parameters that replace the strategies'; their parameter files are ignored, and none "
        "is written",
    )
    parser.add_argument("--no-report", action="store_true", help="write no page about the result")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "-v", "--verbose", action="count", help="show freqtrade's own log and tables"
    )
    shown.add_argument("--json", action="store_true", help="print the table as JSON")
    parser.add_argument(
        "freqtrade_options", nargs="*", metavar="-- OPTION", help="further options for freqtrade"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the backtest, then print one screen with the result of each strategy."""
    from perp_imbalance.cli.backtest_screen import Ending
    from perp_imbalance.data.sample import is_sample_market
    from perp_imbalance.freqtrade_bridge.config import check_timerange, load_config
    from perp_imbalance.freqtrade_bridge.parameter_file import ParameterFile
    from perp_imbalance.freqtrade_bridge.process import held_warnings
    from perp_imbalance.freqtrade_bridge.strategies import check_strategies
    from perp_imbalance.strategy.parameters import STARTUP_CANDLES

    refuse_configs(arguments.freqtrade_options)
    config = load_config(config_files(arguments))
    # freqtrade uses the config's value if the option is missing.
    arguments.timerange = arguments.timerange or config.get("timerange")
    check_timerange(arguments.timerange)
    parameters = ParameterFile.of_words(named_values(arguments.values or ()))
    words = " ".join(arguments.values or ())
    with (
        # Before the candles: a refused value is the only line.
        strategies_with(parameters, arguments.strategies, config, words) as strategies,
        held_warnings() as notes,
    ):
        if not arguments.values:
            warn_of_parameter_files(arguments.strategies, config)
        datadir = candle_folder(arguments, config)
        data = backtest_data(config, datadir, arguments, startup=STARTUP_CANDLES)
        check_strategies(arguments.strategies, config)
        result = traded(arguments, config, data, strategies, notes)
    folder, next_command = config["exportdirectory"], None
    report = None
    if result is None:
        notes[f"No result in {folder}, as the options for freqtrade ask; so no report either"] = (
            None
        )
    elif not arguments.no_report:
        report = reported(result, config, datadir, notes)
    if result and (arguments.datadir or not is_sample_market(datadir)):
        # The doctor checks the config's exchange, which has no pairs of an unasked sample market.
        next_command = doctor_command(arguments.strategies[0], arguments.config)
    Ending(result, report, list(notes), next_command, datadir).show(as_json=arguments.json)
    return 0


def candle_folder(arguments: argparse.Namespace, config: Mapping[str, Any]) -> Path:
    """Return the folder of ``--datadir``, else freqtrade's default, else of the sample market.

    The sample market is taken where freqtrade's folder has no perp, and written if absent.
    """
    from perp_imbalance.data.sample import ensure_sample_market

    folder = Path(arguments.datadir or os.path.relpath(config["datadir"]))
    if arguments.datadir or any(folder.glob("futures/*-futures.*")):
        return folder
    logger.warning(
        "no perps in %s: the SYNTHETIC sample market, %s, is used instead", folder, SAMPLE_DATADIR
    )
    return ensure_sample_market(SAMPLE_DATADIR)


def traded(
    arguments: argparse.Namespace,
    config: dict[str, Any],
    data: "BacktestData",
    strategies: Path,
    notes: Notes,
) -> Path | None:
    """Run freqtrade's backtest and return the stored result file; None if freqtrade wrote none.

    :param strategies: folder of the strategies, from :func:`strategies_with`.
    :param notes: receives the strategies' warnings.
    :raises SystemExit: with freqtrade's exit code if it is not 0; freqtrade's output is printed.
    """
    from perp_imbalance.freqtrade_bridge.config import merged_config
    from perp_imbalance.freqtrade_bridge.secrets import redact_result
    from perp_imbalance.replay import local_config, running_replay
    from perp_imbalance.reporting.backtest_result import keep_result, scratch_results

    datadir, folder = data.folder.for_freqtrade, Path(config["exportdirectory"])
    with running_replay(datadir) as replay, scratch_results(folder) as scratch:
        overlay = backtest_overlay(config, data) | {"strategy_path": str(strategies)}
        # freqtrade uses its option; a report finds the folder by this entry of the result.
        overlay["datadir"] = str(data.folder.datadir.resolve())
        options = ["backtesting", "--datadir", str(datadir), "--strategy-list"]
        options += [*arguments.strategies, "--cache", "none", "--backtest-directory", str(scratch)]
        if arguments.timerange:
            options += ["--timerange", arguments.timerange]
        options += arguments.freqtrade_options
        local = local_config(merged_config(config_files(arguments), overlay), replay.url)
        printed = run_backtesting(options, local, arguments, notes)
        # Redact before the file is stored, so that an interrupt leaves no secret behind.
        struck = [name for file in scratch.glob("*.zip") for name in redact_result(file)]
        result = keep_result(scratch, folder)
    if struck:
        notes[f"Struck out of the result, for secrets: {', '.join(struck)}"] = None
    if result is None and not arguments.json:
        print(printed, end="")
    return result


def run_backtesting(
    options: Sequence[str], config: dict[str, Any], arguments: argparse.Namespace, notes: Notes
) -> str:
    """Run freqtrade and return its output; an empty string if the output was printed as it came.

    :param options: command-line options for freqtrade.
    :param config: the complete freqtrade config.
    :param notes: receives the strategies' warnings.
    :raises SystemExit: with freqtrade's exit code if it is not 0.
    """
    from perp_imbalance.cli.progress import progress
    from perp_imbalance.freqtrade_bridge.process import WARNING, capture_freqtrade, run_freqtrade

    if arguments.verbose:
        if code := run_freqtrade(options, local_config=config):
            raise SystemExit(code)
        return ""
    names = arguments.strategies
    with progress() as tell:

        def watch(log: str) -> None:
            begun = RUNNING.findall(log)
            tell(begun[-1] if begun else "candles", max(len(begun) - 1, 0), len(names))

        process = capture_freqtrade(options, local_config=config, watch=watch)
    if process.returncode:
        print(process.stdout, end="")
        print(process.stderr, end="", file=sys.stderr)
        raise SystemExit(process.returncode)
    lines = process.stderr.splitlines()
    said = (line.removeprefix(WARNING) for line in lines if line.startswith(WARNING))
    notes.update(dict.fromkeys(said))
    return process.stdout


@contextmanager
def strategies_with(
    parameters: "ParameterFile", names: Sequence[str], config: dict[str, Any], words: str
) -> Iterator[Path]:
    """Yield the strategy folder, or a copy with parameter files if parameters are given.

    :param names: the strategies that get a parameter file.
    :param words: the parameters as typed, for messages.
    :raises CommandError: if a strategy is missing, or would reject the parameters.
    """
    from perp_imbalance.files import temporary_folder
    from perp_imbalance.freqtrade_bridge.strategies import check_strategies, strategy_folder
    from perp_imbalance.freqtrade_bridge.strategy_trial import copy_strategies, tried

    source = strategy_folder(config)
    if not parameters.params:
        yield source
        return
    check_strategies(names, config)
    for name in names:
        tried({**config, "strategy": name}, source / f"{name}.py", parameters, words)
    with temporary_folder() as folder:
        copy_strategies(source, folder, names)
        for name in names:
            parameters.write(folder / f"{name}.json", name)
        yield folder


def refuse_configs(options: Sequence[str]) -> None:
    """Raise if the options for freqtrade name a config, which would override all other settings.

    :raises CommandError: naming the option.
    """
    for option in options:
        if option.startswith("--conf") or (option.startswith("-c") and option[1] != "-"):
            raise CommandError(f"{option} after --: name config files before it, with -c")


def reported(result: Path, config: dict[str, Any], datadir: Path, notes: Notes) -> Path | None:
    """Write the report next to the result and return its path; if it fails, note why (None)."""
    from perp_imbalance.cli.report import write

    try:
        return write(result, config, datadir=datadir).file
    except PerpImbalanceError as error:
        notes[f"No report: {error}"] = None
        return None


def backtest_data(
    config: dict[str, Any],
    datadir: Path,
    arguments: argparse.Namespace,
    *,
    trades: bool = True,
    startup: int = 0,
) -> "BacktestData":
    """Return the candles that a backtest reads from a folder, and log what is left out.

    :param trades: whether the run trades; if so, missing costs are logged.
    :param startup: number of leading candles of each perp that only warm up the indicators.
    :raises DataError: if the folder lacks requested candles, or one of its files is broken.
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
            # freqtrade uses this funding rate where it has no data.
            if trades and not (name == "funding rates" and "futures_funding_rate" in config)
        ],
        startup=startup,
    )
    for note in data.notes:
        logger.warning("%s", note)
    return data


def backtest_overlay(config: Mapping[str, Any], data: "BacktestData") -> dict[str, Any]:
    """Return the settings that adapt a config to the contents of the folder."""
    from perp_imbalance.freqtrade_bridge.strategies import strategy_folder
    from perp_imbalance.strategy.settings import SECTION

    return {
        "timeframe": data.timeframe,
        "exchange": {"pair_whitelist": data.pairs},
        "strategy_path": str(strategy_folder(config)),
        SECTION: {"htf_timeframe": data.htf_timeframe},
    }


def warn_of_parameter_files(strategies: Sequence[str], config: Mapping[str, Any]) -> None:
    """Log which strategies have a parameter file next to them, such as hyperopt writes."""
    from perp_imbalance.freqtrade_bridge.parameter_file import ParameterFile
    from perp_imbalance.freqtrade_bridge.strategies import strategy_folder

    for name in strategies:
        file = strategy_folder(config, name) / f"{name}.json"
        if file.is_file():
            logger.warning("%s trades with %s, not with its preset's values", name, file)
            # freqtrade reports a broken file when it reads it.
            with suppress(PerpImbalanceError):
                if said := ParameterFile.read(file).warning:
                    logger.warning("the tuning of that file says: %s", said)
