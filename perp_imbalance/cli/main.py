"""The entry point of ``perp-imbalance``."""

import errno
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perp_imbalance.cli.parser import Parser

# Python's default signal handler prints a traceback. As little as possible is imported until
# run has replaced that handler.

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_PIPE = 141
COMMANDS = (
    *("backtest", "doctor", "download-data", "evidence", "init", "pairs", "plot", "preset"),
    *("reconcile", "rehearse", "replay", "report", "sample", "scan", "sweep", "tune"),
    "walk-forward",
)
#: Error numbers of a folder or disk that cannot take a file; every command reports them alike.
DISK_ERRORS = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    *(errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
)


def build_parser(command: str | None = None) -> "Parser":
    """Return the parser of all subcommands, or of one.

    Each subcommand's module has ``add_parser(subparsers)``, which sets ``run``: a function that
    takes the parsed arguments and returns the exit code. Libraries are imported in ``run`` only.

    :param command: one of :data:`COMMANDS`; any other word selects all of them.
    """
    from importlib import import_module

    from perp_imbalance import __version__
    from perp_imbalance.cli.completion import EXAMPLE, add_completion
    from perp_imbalance.cli.parser import Parser

    parser = Parser(
        prog="perp-imbalance", description="Perp Imbalance Zones for freqtrade.", epilog=EXAMPLE
    )
    parser.add_argument("-V", "--version", action="version", version=__version__)
    add_completion(parser)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in [command] if command in COMMANDS else COMMANDS:
        module = str(name).removesuffix("-data").replace("-", "_")
        import_module(f"perp_imbalance.cli.{module}").add_parser(subparsers)
    return parser


def run(argv: "Sequence[str] | None" = None) -> None:
    """Run the command line and end the process with its exit code."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        # Nothing needs cleaning up yet, so an interrupt may end the process even during imports.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        code = _run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader closed the pipe. What is still buffered is discarded when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_PIPE
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        where = error.filename2 or error.filename or "a file"
        print(f"perp-imbalance: {where} cannot be written: {error.strerror}", file=sys.stderr)
        code = EXIT_USAGE
    finally:
        signal.signal(signal.SIGINT, handler)
    sys.exit(code)


def _run(argv: "Sequence[str]") -> int:
    import logging

    from perp_imbalance.errors import PerpImbalanceError
    from perp_imbalance.freqtrade_bridge.process import collect_rarely, ended_by_signals

    with ended_by_signals():
        try:
            arguments = build_parser(argv[0] if argv else None).parse_args(argv)
            logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
            # numexpr logs the number of cores in every process.
            logging.getLogger("numexpr").setLevel(logging.WARNING)
            collect_rarely()
            code: int = arguments.run(arguments)
        except PerpImbalanceError as error:
            print(f"perp-imbalance: {error}", file=sys.stderr)
            code = EXIT_USAGE
        finally:
            # Flush here: a closed pipe is noticed now, after --help too.
            sys.stdout.flush()
    return code
