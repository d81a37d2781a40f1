"""``perp-imbalance backtest``: freqtrade's backtesting of the presets, on candles in a folder."""

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

#: What the final screen says below its table: each line once, in this order.
Notes = dict[str, None]
#: How freqtrade's log, folded at the terminal's width, names the strategy that it goes on with.
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
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "-v", "--verbose", action="count", help="show freqtrade's own log and tables"
    )
    shown.add_argument("--json", action="store_true", help="the final table, for machines")
    parser.add_argument(
        "freqtrade_options", nargs="*", metavar="-- OPTION", help="more for freqtrade's command"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the backtest, then show in one screen what each strategy made."""
    from perp_imbalance.cli.backtest_screen import Ending
    from perp_imbalance.freqtrade_bridge.config import check_timerange, load_config
    from perp_imbalance.freqtrade_bridge.parameter_file import ParameterFile
    from perp_imbalance.freqtrade_bridge.process import held_warnings
    from perp_imbalance.freqtrade_bridge.strategies import check_strategies
    from perp_imbalance.strategy.parameters import STARTUP_CANDLES

    refuse_configs(arguments.freqtrade_options)
    config = load_config(config_files(arguments))
    # freqtrade takes the config's where the option is not given.
    arguments.timerange = arguments.timerange or config.get("timerange")
    check_timerange(arguments.timerange)
    parameters = ParameterFile.of_words(named_values(arguments.values or ()))
    datadir = arguments.datadir or sample_folder(config)
    with held_warnings() as notes:
        if not arguments.values:
            warn_of_parameter_files(arguments.strategies, config)
        data = backtest_data(config, datadir, arguments, startup=STARTUP_CANDLES)
        check_strategies(arguments.strategies, config)
        result = traded(arguments, config, data, parameters, notes)
    folder, next_command = config["exportdirectory"], None
    report = None
    if result is None:
        notes[f"No result in {folder}, as the options for freqtrade ask; so no report either"] = (
            None
        )
    elif not arguments.no_report:
        report = reported(result, config, datadir, notes)
    if result and arguments.datadir:
        # A doctor looks at an exchange, which has no candles of the sample market.
        next_command = doctor_command(arguments.strategies[0], arguments.config)
    Ending(result, report, list(notes), next_command, datadir).show(as_json=arguments.json)
    return 0


def sample_folder(config: Mapping[str, Any]) -> Path:
    """Return the folder of the sample market, written if it is absent.

    Warns if there are candles where freqtrade reads them by default: these are not used.
    """
    from perp_imbalance.data.sample import ensure_sample_market

    own = Path(os.path.relpath(config["datadir"]))
    if any(own.glob("futures/*-futures.*")):
        logger.warning(
            "This is the SYNTHETIC sample market; for your own candles, add --datadir %s", own
        )
    return ensure_sample_market(SAMPLE_DATADIR)


def traded(
    arguments: argparse.Namespace,
    config: dict[str, Any],
    data: "BacktestData",
    parameters: "ParameterFile",
    notes: Notes,
) -> Path | None:
    """Return the result of freqtrade's backtest, kept with the others; None where it wrote none.

    :param parameters: those that count in place of the strategies'.
    :param notes: gets the warnings of the strategies.
    :raises SystemExit: with freqtrade's code, where that is not 0, after all that freqtrade said.
    """
    from perp_imbalance.freqtrade_bridge.config import merged_config
    from perp_imbalance.freqtrade_bridge.secrets import redact_result
    from perp_imbalance.replay import local_config, running_replay
    from perp_imbalance.reporting.backtest_result import keep_result, scratch_results

    datadir, folder = data.folder.for_freqtrade, Path(config["exportdirectory"])
    with (
        running_replay(datadir) as replay,
        scratch_results(folder) as scratch,
        strategies_with(
            parameters, arguments.strategies, config, " ".join(arguments.values or ())
        ) as strategies,
    ):
        overlay = backtest_overlay(config, data) | {"strategy_path": str(strategies)}
        # freqtrade itself goes by its option; in the result it tells a report where to look.
        overlay["datadir"] = str(data.folder.datadir.resolve())
        options = ["backtesting", "--datadir", str(datadir), "--strategy-list"]
        options += [*arguments.strategies, "--cache", "none", "--backtest-directory", str(scratch)]
        if arguments.timerange:
            options += ["--timerange", arguments.timerange]
        options += arguments.freqtrade_options
        local = local_config(merged_config(config_files(arguments), overlay), replay.url)
        printed = run_backtesting(options, local, arguments, notes)
        # Before it is kept: what ends this process then leaves no secret behind.
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
    """Run freqtrade and return what it printed; nothing where that was shown meanwhile.

    :param options: of freqtrade's command.
    :param config: all of it.
    :param notes: gets the warnings of the strategies.
    :raises SystemExit: with freqtrade's code, where that is not 0.
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


def reported(result: Path, config: dict[str, Any], datadir: Path, notes: Notes) -> Path | None:
    """Write the report beside the result and return it; where there is none, note why."""
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
