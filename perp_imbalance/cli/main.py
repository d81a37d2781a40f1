"""Entry point of ``perp-imbalance``."""

import errno
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perp_imbalance.cli.parser import Parser

# Python starts with a handler that ends in a traceback. Until run has replaced it, as little as
# possible is imported.

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_PIPE = 141
COMMANDS = (
    *("backtest", "doctor", "download-data", "evidence", "init", "pairs", "plot", "preset"),
    *("reconcile", "rehearse", "replay", "report", "sample", "scan", "sweep", "tune"),
    "walk-forward",
)
#: What a folder or a disk says that does not take a file, whatever command writes it.
DISK_ERRORS = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    *(errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),
)


def build_parser(command: str | None = None) -> "Parser":
    """Return the parser of all subcommands, or of one.

    Each module of a subcommand has ``add_parser(subparsers)``, which sets ``run``: a function of
    the parsed arguments that returns the exit code. It imports no library before ``run`` is called.

    :param command: one of :data:`COMMANDS`; any other word stands for all.
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
    """Run the command line and leave the process with its exit code."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        # Nothing is to be cleaned up yet: an interrupt ends the process, with all that it imports.
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
    from perp_imbalance.freqtrade_bridge.process import ended_by_signals

    with ended_by_signals():
        try:
            arguments = build_parser(argv[0] if argv else None).parse_args(argv)
            logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
            # It tells every process how many cores there are.
            logging.getLogger("numexpr").setLevel(logging.WARNING)
            code: int = arguments.run(arguments)
        except PerpImbalanceError as error:
            print(f"perp-imbalance: {error}", file=sys.stderr)
            code = EXIT_USAGE
        finally:
            # Also what --help prints: a reader that closed the pipe is noticed here.
            sys.stdout.flush()
    return code
