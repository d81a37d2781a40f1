"""``perp-imbalance init``: copy strategies and a config fragment into freqtrade's own folder."""

import argparse
import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perp_imbalance.cli.options import DEFAULT_CONFIG, DEFAULT_USERDIR
from perp_imbalance.shipped import shipped
from perp_imbalance.shipped.userdir import (
    FRAGMENT,
    parameter_files,
    plan_changes,
    write,
)

EXAMPLE = """\
examples:
  perp-imbalance init
  perp-imbalance init --userdir ~/freqtrade/user_data
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand ``init``."""
    parser = subparsers.add_parser(
        "init",
        help="copy the strategies and a config fragment into freqtrade's user_data",
        description="Copy the strategies into freqtrade's folder of user data, and a config "
        "fragment with what an existing config needs to trade them. A file that differs is not "
        "replaced: run again after an upgrade, it prints what would change.",
        epilog=EXAMPLE,
    )
    parser.add_argument(
        "--userdir",
        "--user-data-dir",
        type=Path,
        default=Path(DEFAULT_USERDIR),
        metavar="FOLDER",
        help="freqtrade's folder of user data (default: %(default)s)",
    )
    parser.add_argument("--force", action="store_true", help="replace files that differ")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Copy the files, then print which were written and which commands come next."""
    userdir = arguments.userdir
    changes = plan_changes(userdir)
    differing = [change for change in changes if change.differs]
    if differing and not arguments.force:
        diffs = {str(change.file): change.diff() for change in differing}
        print(_json({"diffs": diffs}) if arguments.json else "\n".join(diffs.values()), flush=True)
    written = write(changes, force=arguments.force)
    outcome = {
        "written": written,
        "replaced": [change.file for change in differing],
        "unchanged": [change.file for change in changes if change.file not in written],
        "parameter_files": parameter_files(userdir),
        "fragment": userdir / FRAGMENT,
        "config": _config(userdir),
        "fragments": shipped("config"),
        "next": next_commands(userdir),
    }
    print(_json(outcome) if arguments.json else _page(outcome))
    return 0


def next_commands(userdir: Path) -> list[str]:
    """Return the next commands: download candles, backtest, run the doctor.

    >>> next_commands(Path("user_data"))[2].partition(" -c ")[0]
    'perp-imbalance doctor --strategy PerpImbalance'
    """
    options = ["--userdir", str(userdir)] if userdir != Path(DEFAULT_USERDIR) else []
    options += ["-c", str(_config(userdir)), "-c", str(userdir / FRAGMENT)]
    strategy = ["--strategy", "PerpImbalance"]
    commands = (
        ["download-data", "--timerange", "20250101-"],
        ["backtest", *strategy, "--datadir", str(userdir / "data" / "binance")],
        ["doctor", *strategy],
    )
    return [shlex.join(["perp-imbalance", *words, *options]) for words in commands]


def _config(userdir: Path) -> Path:
    """Return the path of the config that freqtrade reads by default."""
    own = userdir / DEFAULT_CONFIG
    return own if own.is_file() else Path(DEFAULT_CONFIG)


def _page(outcome: dict[str, Any]) -> str:
    config, fragment = outcome["config"], outcome["fragment"]
    relative = os.path.relpath(fragment, config.parent)
    return "\n".join(
        [
            *_files("Written", [f for f in outcome["written"] if f not in outcome["replaced"]]),
            *_files("Replaced", outcome["replaced"]),
            *_files("Unchanged", outcome["unchanged"]),
            *_files("Parameters, used and left as they are", outcome["parameter_files"]),
            "Add the fragment to your config in one of two ways:",
            f"  name it last: {shlex.join(['-c', str(config), '-c', str(fragment)])}",
            f'  or write into {config}: "add_config_files": ["{relative}"]',
            f"  There, the values of {config} win: delete its price_side in entry_pricing and "
            "exit_pricing.",
            f"Fragments for other exchanges, alerts and replay: {outcome['fragments']}",
            "Next:",
            *(f"  {command}" for command in outcome["next"]),
        ]
    )


def _json(outcome: dict[str, Any]) -> str:
    return json.dumps(outcome, indent=1, default=str)


def _files(heading: str, files: Sequence[Path]) -> list[str]:
    return [f"{heading}:", *(f"  {file}" for file in files)] if files else []
