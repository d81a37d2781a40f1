"""Options that several subcommands share."""

import argparse
from pathlib import Path

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
