"""Entry point of ``perp-imbalance``."""

import argparse
import errno
import logging
import os
import sys
from collections.abc import Sequence

from perp_imbalance import __version__
from perp_imbalance.cli import (
    backtest,
    doctor,
    download,
    evidence,
    pairs,
    plot,
    preset,
    reconcile,
    rehearse,
    replay,
    report,
    sample,
    scan,
    sweep,
    tune,
    walk_forward,
)
from perp_imbalance.errors import PerpImbalanceError
from perp_imbalance.freqtrade_bridge.process import ended_by_signals

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_PIPE = 141
#: What a folder or a disk says that does not take a file, whatever command writes it.
DISK_ERRORS = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    *(errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all subcommands.

    Each module of a subcommand has ``add_parser(subparsers)``, which sets ``run``: a function of
    the parsed arguments that returns the exit code.
    """
    parser = argparse.ArgumentParser(
        prog="perp-imbalance", description="Perp Imbalance Zones for freqtrade."
    )
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (
        *(backtest, doctor, download, evidence, pairs),
        *(plot, preset, reconcile, rehearse, replay, report, sample, scan),
        *(sweep, tune, walk_forward),
    ):
        command.add_parser(subparsers)
    return parser


def run(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code."""
    arguments = build_parser().parse_args(argv)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    # It tells every process how many cores there are.
    logging.getLogger("numexpr").setLevel(logging.WARNING)
    try:
        with ended_by_signals():
            code = arguments.run(arguments)
        sys.stdout.flush()
    except PerpImbalanceError as error:
        print(f"perp-imbalance: {error}", file=sys.stderr)
        code = EXIT_USAGE
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except BrokenPipeError:
        # Who reads has seen enough, as head has; what is left goes nowhere when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_PIPE
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        where = error.filename2 or error.filename or "a file"
        print(f"perp-imbalance: {where} cannot be written: {error.strerror}", file=sys.stderr)
        code = EXIT_USAGE
    sys.exit(code)
