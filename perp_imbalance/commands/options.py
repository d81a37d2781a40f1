"""Options that several subcommands share."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perp_imbalance.indicators.thresholds import TIMEFRAME

if TYPE_CHECKING:
    from perp_imbalance.research.market import CandleFolder
    from perp_imbalance.settings import Settings

DEFAULT_CONFIG = Path("config.json")


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add ``-c``, repeatable as freqtrade's own."""
    parser.add_argument(
        "-c",
        "--config",
        action="append",
        type=Path,
        metavar="FILE",
        help=f"freqtrade config; given more than once, later files win (default: {DEFAULT_CONFIG})",
    )


def config_files(arguments: argparse.Namespace) -> list[Path]:
    """Return the config files that were named, or the default one."""
    return arguments.config or [DEFAULT_CONFIG]


def add_candles(parser: argparse.ArgumentParser) -> None:
    """Add which stored candles to look at: folder, timeframe, time range and pairs."""
    parser.add_argument("--datadir", type=Path, metavar="FOLDER", help="folder of candles")
    parser.add_argument("--timeframe", metavar="TF", help="default: the config's")
    parser.add_argument("--timerange", metavar="FROM-TO", help="as freqtrade's")
    parser.add_argument("--pairs", nargs="+", metavar="PAIR", help="default: all of the folder")


def candle_folder(
    arguments: argparse.Namespace, config: Mapping[str, Any], settings: "Settings"
) -> "CandleFolder":
    """Return the folder that the options of :func:`add_candles` name, else the config's.

    :raises DataError: if it has no perp on the timeframe.
    """
    from perp_imbalance.research.market import CandleFolder

    return CandleFolder(
        arguments.datadir or Path(config["datadir"]),
        arguments.timeframe or config.get("timeframe", TIMEFRAME),
        settings,
        exchange=config["exchange"]["name"],
        timerange=arguments.timerange,
    )
