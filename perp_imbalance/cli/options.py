"""Options that several subcommands share."""

import argparse
import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perp_imbalance.errors import CommandError, SettingsError
from perp_imbalance.strategy.palette import PALETTES

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


def named_values(words: Sequence[str]) -> dict[str, str]:
    """Return ``NAME=VALUE`` words by name.

    :raises CommandError: naming the first that is not one, or a name that is there twice.

    >>> named_values(["enter_z=2.2", "use_sigma=yes"])
    {'enter_z': '2.2', 'use_sigma': 'yes'}
    """
    values: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise CommandError(f"{word!r} is no value: write NAME=VALUE, such as enter_z=2.2")
        if name in values:
            raise CommandError(f"{name} is given twice: {values[name]} and {value}")
        values[name] = value
    return values


#: The largest seed that every library takes.
LARGEST_SEED = 2**31 - 1


def check_seed(seed: int, least: int = 0) -> None:
    """Refuse a seed that no draw can begin with.

    :raises SettingsError: if it is outside of what libraries take.

    >>> check_seed(1)
    """
    if not least <= seed <= LARGEST_SEED:
        raise SettingsError(f"--seed is {seed}, it must be from {least} to {LARGEST_SEED}")


def add_candles(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Add which stored candles to look at: folder, timeframe, time range and pairs.

    :param several: whether more than one folder may be named; the option is a list then.
    """
    parser.add_argument(
        "--datadir",
        type=Path,
        action="append" if several else "store",
        metavar="FOLDER",
        help="folder of candles" + ("; more than once: all of them together" if several else ""),
    )
    parser.add_argument("--timeframe", metavar="TF", help="default: the config's")
    parser.add_argument(
        "--htf-timeframe",
        metavar="TF",
        help="of the HTF gate (default: the config's, or the shortest one that the folder has)",
    )
    parser.add_argument("--timerange", metavar="FROM-TO", help="as freqtrade's")
    add_pairs(parser)


def add_pairs(parser: argparse.ArgumentParser) -> None:
    """Add which pairs to look at; one that is named twice is one."""
    parser.add_argument(
        "--pairs", nargs="+", action=_Once, metavar="PAIR", help="default: all of the folder"
    )


class _Once(argparse.Action):
    """Keep each value once, in the order in which they were given."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, list(dict.fromkeys(values)))


def add_palette(parser: argparse.ArgumentParser) -> None:
    """Add the colours of what is drawn."""
    parser.add_argument(
        "--palette",
        choices=PALETTES,
        default=PALETTES[0],
        help="safe: for colour-blind readers (default: %(default)s)",
    )
    parser.add_argument("--dark", action="store_true", help="on a dark background")


def refuse_existing(files: Sequence[Path | None], *, force: bool) -> None:
    """Raise where a file is there that must not be replaced.

    :raises CommandError: naming it.
    """
    for file in files:
        if file is not None and file.exists() and not (force and file.is_file()):
            raise CommandError(f"{file} is there already: name another file, or add --force")


def check_writable(file: Path) -> None:
    """Raise where a file cannot come to lie, before what is to be in it is computed.

    :raises CommandError: naming the file and what is in its way.
    """
    # What exists of the path: the rest is made when there is something to write.
    there = next(folder for folder in file.absolute().parents if os.path.lexists(folder))
    reason = errno.ENOTDIR if not there.is_dir() else errno.EACCES
    if reason == errno.ENOTDIR or not os.access(there, os.W_OK | os.X_OK):
        raise CommandError(f"{file} cannot be written: {there}: {os.strerror(reason)}")
