"""Command-line options that several subcommands share."""

import argparse
import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perp_imbalance.errors import CommandError, SettingsError
from perp_imbalance.freqtrade_bridge.config import ConfigFiles
from perp_imbalance.strategy.palette import PALETTES

DEFAULT_CONFIG = "config.json"
DEFAULT_USERDIR = "user_data"
#: Where freqtrade keeps candles, for help texts.
DEFAULT_FOLDER = "default: freqtrade's, such as user_data/data/binance"


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the option for config files, which may be repeated, and that for the user data folder."""
    parser.add_argument(
        "-c",
        "--config",
        action=_ConfigFile,
        metavar="FILE",
        help="freqtrade config; given more than once, later files win (default: "
        f"{DEFAULT_CONFIG} of --userdir, or else of this folder)",
    )
    parser.add_argument(
        "--userdir",
        "--user-data-dir",
        action=_ConfigSetting,
        const="user_data_dir",
        metavar="FOLDER",
        help=f"freqtrade's folder of user data (default: the config's, or {DEFAULT_USERDIR})",
    )


def add_strategy_path(parser: argparse.ArgumentParser) -> None:
    """Add the option for the folder that is searched first for strategies."""
    parser.add_argument(
        "--strategy-path",
        action=_ConfigSetting,
        const="strategy_path",
        metavar="FOLDER",
        help="folder of the strategy (default: the config's, that of --userdir, or the project's)",
    )


def add_strategy(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """Add the options for the strategy's class and its folder.

    :param default: the default class; if None, the config's.
    """
    parser.add_argument(
        "-s",
        "--strategy",
        metavar="NAME",
        default=default,
        help="class of the strategy (default: " + (default or "the config's") + ")",
    )
    add_strategy_path(parser)


class _ConfigSetting(argparse.Action):
    """Store an option as the config setting that ``const`` names, next to the config files."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        # Settings and config files share one attribute, which config_files returns.
        super().__init__(option_strings, "config", type=Path, **options)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if namespace.config is None:
            namespace.config = ConfigFiles()
        self.keep(namespace.config, values)

    def keep(self, config: ConfigFiles, value: Path) -> None:
        """Add the option's value to the stored settings."""
        config.settings[str(self.const)] = str(value)


class _ConfigFile(_ConfigSetting):
    """Append a config file to those given before."""

    def keep(self, config: ConfigFiles, value: Path) -> None:
        """Append the config file."""
        config.append(value)


def config_files(arguments: argparse.Namespace) -> ConfigFiles:
    """Return the named config files, or freqtrade's default, with the settings of other options."""
    named = arguments.config or ConfigFiles(settings=getattr(arguments.config, "settings", None))
    if named:
        return named
    own = Path(named.settings.get("user_data_dir", DEFAULT_USERDIR), DEFAULT_CONFIG)
    return ConfigFiles([own if own.is_file() else Path(DEFAULT_CONFIG)], named.settings)


def named_values(words: Sequence[str]) -> dict[str, str]:
    """Return ``NAME=VALUE`` words as a dict.

    :raises CommandError: naming the first word without ``=``, or a name that is given twice.

    >>> named_values(["enter_z=2.2", "use_sigma=yes"])
    {'enter_z': '2.2', 'use_sigma': 'yes'}
    """
    values: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise CommandError(f"{word!r} is not a value: write NAME=VALUE, such as enter_z=2.2")
        if name in values:
            raise CommandError(f"{name} is given twice: {values[name]} and {value}")
        values[name] = value
    return values


#: The largest seed that all libraries accept.
LARGEST_SEED = 2**31 - 1


def check_seed(seed: int, least: int = 0) -> None:
    """Raise if the seed is out of range.

    :raises SettingsError: if a library would not accept the seed.

    >>> check_seed(1)
    """
    if not least <= seed <= LARGEST_SEED:
        raise SettingsError(f"--seed is {seed}, it must be from {least} to {LARGEST_SEED}")


def add_candles(
    parser: argparse.ArgumentParser, *, several: bool = False, pairs: str = "all of the folder"
) -> None:
    """Add the options that select stored candles: folder, timeframe, time range and pairs.

    :param several: whether several folders may be named; the option is then a list.
    :param pairs: help text for the default of ``--pairs``.
    """
    more = DEFAULT_FOLDER + ("; more than once: all of them together" if several else "")
    add_datadir(parser, more, several=several)
    add_timeframe(parser)
    add_htf_timeframe(parser)
    add_timerange(parser)
    add_pairs(parser, pairs)


def add_datadir(
    parser: argparse.ArgumentParser,
    more: str = DEFAULT_FOLDER,
    *,
    several: bool = False,
    required: bool = False,
) -> None:
    """Add the option for the folder of candles.

    :param more: text to append to the help.
    :param several: see :func:`add_candles`.
    """
    parser.add_argument(
        *("-d", "--datadir", "--data-dir"),
        type=Path,
        action="append" if several else "store",
        required=required,
        metavar="FOLDER",
        help=f"folder of candles; {more}",
    )


def add_timeframe(parser: argparse.ArgumentParser) -> None:
    """Add the option for the timeframe of the candles."""
    parser.add_argument("-i", "--timeframe", metavar="TF", help="default: the config's")


def add_htf_timeframe(parser: argparse.ArgumentParser) -> None:
    """Add the option for the higher timeframe."""
    parser.add_argument(
        "--htf-timeframe",
        metavar="TF",
        help="of the HTF gate (default: the config's, made from shorter candles if missing)",
    )


def add_timerange(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add the option for the time range of the candles."""
    parser.add_argument(
        "--timerange",
        required=required,
        metavar="FROM-TO",
        help="as freqtrade's, such as 20250101-20251231, or 20250101- up to now"
        + ("" if required else " (default: all)"),
    )


def add_pairs(parser: argparse.ArgumentParser, default: str = "all of the folder") -> None:
    """Add the option for pairs; duplicates are dropped.

    :param default: help text for the default.
    """
    parser.add_argument(
        *("-p", "--pairs"),
        nargs="+",
        action=_Once,
        metavar="PAIR",
        help=f"perps, such as BTC/USDT:USDT (default: {default})",
    )


class _Once(argparse.Action):
    """Store each value once, in the order in which the values were given."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, list(dict.fromkeys(values)))


def add_palette(parser: argparse.ArgumentParser) -> None:
    """Add the options for the colours of charts."""
    parser.add_argument(
        "--palette",
        choices=PALETTES,
        default=PALETTES[0],
        help="safe: for colour-blind readers (default: %(default)s)",
    )
    parser.add_argument("--dark", action="store_true", help="on a dark background")


def refuse_existing(files: Sequence[Path | None], *, force: bool) -> None:
    """Raise if a file exists that must not be replaced.

    :raises CommandError: naming the file.
    """
    for file in files:
        if file is not None and file.exists() and not (force and file.is_file()):
            raise CommandError(f"{file} exists already: name another file, or add --force")


def check_writable(file: Path) -> None:
    """Raise if a file cannot be written, before its content is computed.

    :raises CommandError: naming the file and the reason.
    """
    # The part of the path that exists; missing folders are created when the file is written.
    there = next(folder for folder in file.absolute().parents if os.path.lexists(folder))
    reason = errno.ENOTDIR if not there.is_dir() else errno.EACCES
    if reason == errno.ENOTDIR or not os.access(there, os.W_OK | os.X_OK):
        raise CommandError(f"{file} cannot be written: {there}: {os.strerror(reason)}")
