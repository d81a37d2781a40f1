"""``perp-imbalance backtest``: freqtrade's backtesting of the presets, on candles in a folder."""

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from perp_imbalance.cli.options import add_config, add_pairs, config_files
from perp_imbalance.errors import CommandError, DataError, PerpImbalanceError

logger = logging.getLogger(__name__)

STRATEGIES = ("PerpImbalance", "PerpImbalanceConservative", "PerpImbalanceAggressive")
SAMPLE_DATADIR = Path("user_data/sample/binance")

EXAMPLE = """\
examples:
  perp-imbalance backtest
  perp-imbalance backtest --datadir user_data/data/binance --timerange 20250101-20251231
  perp-imbalance backtest --pairs BTC/USDT:USDT -- --fee 0.0002 --breakdown month
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "backtest",
        help="backtest the three presets on local candles, without an exchange",
        description="Run freqtrade's own backtesting of the three presets on the candles of a "
        "folder, or on the generated sample market. The list of markets, which freqtrade needs "
        "even so, comes from a replay of the folder on this machine.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config(parser)
    parser.add_argument(
        "--datadir",
        type=Path,
        metavar="DIR",
        help=f"folder of candles (default: the synthetic sample market, {SAMPLE_DATADIR})",
    )
    parser.add_argument("--timerange", metavar="RANGE", help="such as 20210101-20211231")
    add_pairs(parser)
    parser.add_argument("--timeframe", metavar="TF", help="candles (default: the config's)")
    parser.add_argument(
        "--htf-timeframe",
        metavar="TF",
        help="higher timeframe (default: the config's, or the shortest one that the folder has)",
    )
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES), metavar="NAME")
    parser.add_argument("--no-report", action="store_true", help="write no page about the result")
    parser.add_argument(
        "freqtrade_options", nargs="*", metavar="-- OPTION", help="more for freqtrade's command"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the backtest and say where its results are."""
    from perp_imbalance.data.sample import ensure_sample_market
    from perp_imbalance.freqtrade_bridge.config import check_timerange, load_config, merged_config
    from perp_imbalance.freqtrade_bridge.process import run_freqtrade
    from perp_imbalance.replay import local_config, running_replay
    from perp_imbalance.reporting.backtest_result import keep_result, scratch_results

    check_timerange(arguments.timerange)
    refuse_configs(arguments.freqtrade_options)
    files = config_files(arguments)
    config = load_config(files)
    warn_of_parameter_files(arguments.strategies, config)
    datadir = arguments.datadir or ensure_sample_market(SAMPLE_DATADIR)
    folder = Path(config["exportdirectory"])
    with running_replay(datadir) as replay, scratch_results(folder) as scratch:
        overlay = backtest_overlay(
            config,
            datadir,
            timeframe=arguments.timeframe,
            pairs=arguments.pairs,
            htf_timeframe=arguments.htf_timeframe,
        )
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
        result = keep_result(scratch, folder)
    if result is None:
        print(f"No result in {folder}, as the options for freqtrade ask; so no report either")
        return 0
    print(f"Results{'' if arguments.datadir else ' of a SYNTHETIC market'}: {result}")
    if not arguments.no_report:
        tell_report(result, config, datadir)
    return 0


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


def backtest_overlay(
    config: Mapping[str, Any],
    datadir: Path,
    *,
    timeframe: str | None = None,
    pairs: Sequence[str] | None = None,
    htf_timeframe: str | None = None,
) -> dict[str, Any]:
    """Return the settings that fit a config to what the folder holds.

    :param timeframe: in place of the config's.
    :param pairs: perps; without, all that the folder has.
    :param htf_timeframe: in place of the config's, or of the shortest that the folder has.
    :raises DataError: if the folder lacks what was asked for.
    """
    from perp_imbalance.freqtrade_bridge.strategies import strategy_folder
    from perp_imbalance.indicators.higher_timeframe import check_higher
    from perp_imbalance.indicators.thresholds import TIMEFRAME
    from perp_imbalance.strategy.settings import SECTION, Settings

    timeframe = timeframe or str(config.get("timeframe", TIMEFRAME))
    perps, timeframes = perps_of(datadir, timeframe)
    missing = [pair for pair in pairs or () if pair not in perps]
    if missing or not perps:
        there = f"perps there on {timeframe}: {', '.join(perps)}; " if perps else ""
        raise DataError(
            f"{datadir} has no {timeframe} candles of {', '.join(missing) or 'any perp'}; {there}"
            f"timeframes there: {', '.join(timeframes) or 'none'}"
        )
    if htf_timeframe:
        check_higher(timeframe, htf_timeframe)
        if htf_timeframe not in timeframes:
            raise DataError(
                f"{datadir} has no {htf_timeframe} candles for the HTF gate; timeframes there: "
                f"{', '.join(timeframes)}"
            )
    else:
        configured = Settings.from_config(config).htf_timeframe
        htf_timeframe = fitting_htf(configured, timeframe, timeframes)
    return {
        "timeframe": timeframe,
        "exchange": {"pair_whitelist": list(pairs or perps)},
        "strategy_path": str(strategy_folder(config)),
        SECTION: {"htf_timeframe": htf_timeframe},
    }


def warn_of_parameter_files(strategies: Sequence[str], config: Mapping[str, Any]) -> None:
    """Say which strategies have a parameter file, which hyperopt leaves beside them."""
    from perp_imbalance.freqtrade_bridge.strategies import strategy_folder

    for name in strategies:
        file = strategy_folder(config, name) / f"{name}.json"
        if file.is_file():
            logger.warning("%s trades with %s, not with its preset's values", name, file)


def perps_of(datadir: Path, timeframe: str) -> tuple[list[str], list[str]]:
    """Return the perps of a folder on a timeframe, and all timeframes it has perps on.

    :raises DataError: if there is no such folder.
    """
    from freqtrade.enums import CandleType
    from freqtrade.exchange import timeframe_to_minutes

    from perp_imbalance.replay.candle_store import available_candles, check_folder

    check_folder(datadir)
    perps = {
        (pair, length)
        for pair, length, candle_type in available_candles(datadir)
        if candle_type == CandleType.FUTURES
    }
    timeframes = sorted({length for _, length in perps}, key=timeframe_to_minutes)
    return sorted(pair for pair, length in perps if length == timeframe), timeframes


def fitting_htf(configured: str, timeframe: str, timeframes: Sequence[str]) -> str:
    """Return the configured higher timeframe, or the shortest one there is where it is missing."""
    from perp_imbalance.indicators.higher_timeframe import timeframe_ns

    length = timeframe_ns(timeframe)
    higher = [
        tf for tf in timeframes if timeframe_ns(tf) > length and not timeframe_ns(tf) % length
    ]
    if configured in higher:
        return configured
    if not higher:
        logger.warning("no higher timeframe than %s in the folder: no HTF gate passes", timeframe)
        return configured
    logger.warning("no %s candles in the folder: higher timeframe %s", configured, higher[0])
    return higher[0]
