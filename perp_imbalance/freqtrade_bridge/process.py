"""Run freqtrade in a separate process, with a reliable exit code and without leftovers.

freqtrade exits with 0 on configuration errors and on unknown options. The child process therefore
calls freqtrade's ``main`` itself and exits with 2 in these cases.

It gets one complete config and no ``FREQTRADE__`` variables; :mod:`.config` merges them.
"""

import atexit
import gc
import io
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from perp_imbalance.freqtrade_bridge.config import config_file, is_variable, merged_config

EXIT_CONFIGURATION = 2
#: A download of which freqtrade logs an error and goes on.
EXIT_DOWNLOAD = 3
EXIT_SIGNAL = 128
GRACE_SECONDS = 20.0
PARENT_SECONDS = 1.0
#: How often a child is looked at, where that was asked for.
WATCH_SECONDS = 0.2
#: Warnings of ours that are said again at the end.
REPEATED = 10


def run_freqtrade(
    arguments: Sequence[str],
    *,
    configs: Sequence[Path] = (),
    overlay: Mapping[str, Any] | None = None,
    local_config: Mapping[str, Any] | None = None,
    cwd: Path | None = None,
) -> int:
    """Run freqtrade in this terminal and return its exit code.

    If this process is interrupted or terminated, freqtrade and all its workers end too.

    :param arguments: the subcommand and its options, without ``freqtrade`` in front
    :param configs: configuration files, merged in this order, and the environment's variables over
        them
    :param overlay: settings that are merged over all of it
    :param local_config: the complete config of a run without a network, in place of the three
        above; the process then gets no proxies either
    :param cwd: folder to run in, by default this process's
    :raises BridgeError: if a file is missing or unreadable
    """
    with _command(arguments, configs, overlay, local_config) as command:
        return run_child(command, cwd=cwd, proxies=local_config is None).returncode


def capture_freqtrade(
    arguments: Sequence[str],
    *,
    configs: Sequence[Path] = (),
    overlay: Mapping[str, Any] | None = None,
    local_config: Mapping[str, Any] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
    watch: Callable[[str], None] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run freqtrade as :func:`run_freqtrade` does and return what it printed and logged.

    :param watch: see :func:`run_child`
    :raises subprocess.TimeoutExpired: after ``timeout`` seconds, when freqtrade has been ended
    """
    with _command(arguments, configs, overlay, local_config) as command:
        proxies = local_config is None
        return run_child(
            command, cwd=cwd, proxies=proxies, capture=True, timeout=timeout, watch=watch
        )


def error_line(process: "subprocess.CompletedProcess[str]") -> str:
    r"""Return the last error of freqtrade's log, or the last line of the log.

    For an error without a message, the last line is that of the exception.

    >>> said = "t - freqtrade - ERROR - Fatal exception!\nTraceback\nValueError: no candles"
    >>> error_line(subprocess.CompletedProcess([], 1, "", said))
    'ValueError: no candles'
    """
    lines = [line for line in process.stderr.splitlines() if line.strip()]
    errors = [line.split(" - ERROR - ", 1)[1] for line in lines if " - ERROR - " in line]
    if errors and errors[-1].startswith("Fatal exception"):
        errors = []
    return (errors or lines or [f"code {process.returncode}"])[-1].strip()


@contextmanager
def _command(
    arguments: Sequence[str],
    configs: Sequence[Path],
    overlay: Mapping[str, Any] | None,
    local_config: Mapping[str, Any] | None,
) -> Iterator[list[str]]:
    """Yield the command line; its config file is removed when the block ends."""
    subcommand, *options = arguments
    command = [sys.executable, "-m", __name__, subcommand]
    if local_config is None and not configs and overlay is None:
        yield [*command, *options]
        return
    with config_file(local_config or merged_config(configs, overlay)) as file:
        yield [*command, "-c", str(file), *options]


def child_environment(*, proxies: bool = True) -> dict[str, str]:
    """Return this process's environment without variables that would outrank a config.

    :param proxies: whether the child may use the environment's proxies.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not is_variable(name) and (proxies or not name.lower().endswith("_proxy"))
    }


def run_child(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    proxies: bool = True,
    capture: bool = False,
    timeout: float | None = None,
    variables: Mapping[str, str] | None = None,
    watch: Callable[[str], None] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run a command so that no process remains, whether it or this process ends first.

    :param command: the program and its arguments
    :param cwd: folder to run in, by default this process's
    :param proxies: whether it may use the environment's proxies
    :param capture: whether what it prints is returned
    :param timeout: seconds after which it is ended
    :param variables: environment variables that are added or replaced
    :param watch: called at intervals with the standard error captured so far (empty on Windows);
        not together with ``timeout``
    :raises subprocess.TimeoutExpired: after ``timeout`` seconds, when it has been ended
    """
    pipe = subprocess.PIPE if capture else None
    with ended_by_signals():
        # A session of its own: an interrupt at the terminal reaches freqtrade once, through us,
        # and its workers can be ended together with it.
        child = subprocess.Popen(
            command,
            cwd=cwd,
            env={**child_environment(proxies=proxies), **(variables or {})},
            stdout=pipe,
            stderr=pipe,
            text=True,
            start_new_session=True,
        )
        try:
            output, errors = _watched(child, watch) if watch else child.communicate(timeout=timeout)
        except BaseException:
            _end(child)
            raise
    code = child.returncode
    return subprocess.CompletedProcess(
        command, EXIT_SIGNAL - code if code < 0 else code, output, errors
    )


def _watched(child: "subprocess.Popen[str]", watch: Callable[[str], None]) -> Any:
    """Return the output of a child after it has ended."""
    while True:
        try:
            return child.communicate(timeout=WATCH_SECONDS)
        except subprocess.TimeoutExpired as still:
            # Bytes, although the child's pipes are opened as text.
            watch((still.stderr or b"").decode("utf-8", "replace"))


def _end(child: "subprocess.Popen[str]") -> None:
    """End the child and its workers: first by SIGINT, then by SIGKILL."""
    with suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                child.communicate(timeout=GRACE_SECONDS)
        kill_group(child.pid)
    child.wait()


def kill_group(pid: int) -> None:
    """Kill a process group by its leader; without process groups, the process and its children.

    :raises ProcessLookupError: if there is no such group.
    """
    if hasattr(os, "killpg"):
        os.killpg(pid, signal.SIGKILL)
        return
    import psutil

    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for each in (*process.children(recursive=True), process):
            with suppress(psutil.NoSuchProcess):
                each.kill()


# Signals that came while a block of :func:`ended_by_signals` lasts, the first of them first.
_came: list[int] = []


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Turn signals that end a process into exceptions, so that cleanup code runs.

    A signal that this process was started to ignore, as by ``nohup``, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        _came.append(number)
        _raise_for(number)

    def unraisable(lost: "sys.UnraisableHookArgs") -> None:
        # Raised where C calls back: raise_lost_signal raises it again.
        if not (len(_came) > before and issubclass(lost.exc_type, KeyboardInterrupt | SystemExit)):
            report(lost)

    before = len(_came)
    report, sys.unraisablehook = sys.unraisablehook, unraisable
    # Windows has no SIGHUP.
    numbers = {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}
    heard = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, leave) for number in heard}
    try:
        yield
    finally:
        sys.unraisablehook = report
        for number, handler in previous.items():
            signal.signal(number, handler)
        del _came[before:]


def raise_lost_signal() -> None:
    """Raise the exception of a signal again if it was lost.

    Python drops an exception that is raised in a callback from C, such as while numba loads code.
    """
    if _came:
        _raise_for(_came[0])


def _raise_for(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(EXIT_SIGNAL + number)


class _ConfigurationErrorSeen(logging.Filter):
    """Notes whether freqtrade has logged that it ends because of its configuration."""

    seen = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        if record.levelno >= logging.ERROR and record.getMessage().startswith(
            "Configuration error:"
        ):
            self.seen = True
        return True


class _FailedDownloads(logging.Handler):
    """Counts the series that freqtrade failed to download; freqtrade only logs them."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count an error."""
        self.count += 1


#: How a line begins that repeats a warning of ours at the end of freqtrade's work.
WARNING = "Warning: "


class Remembered(logging.Handler):
    """Collects this project's warnings, to repeat them below freqtrade's tables."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.messages[record.getMessage()] = None

    def repeat(self) -> None:
        """Log the first messages again, and the number of the others."""
        messages = list(self.messages)
        for message in messages[:REPEATED]:
            print(f"{WARNING}{message}", file=sys.stderr)
        if (more := len(messages) - REPEATED) > 0:
            print(f"{WARNING}{more} more like these in freqtrade's log", file=sys.stderr)


@contextmanager
def held_warnings() -> Iterator[dict[str, None]]:
    """Keep our own warnings off the log and yield them, each once, in their order.

    Where the block ends with an exception, they are logged.
    """
    logger, held = logging.getLogger("perp_imbalance"), Remembered()
    propagates, logger.propagate = logger.propagate, False
    logger.addHandler(held)
    try:
        yield held.messages
    except BaseException:
        logger.removeHandler(held)
        logger.propagate = propagates
        for message in held.messages:
            logger.warning("%s", message)
        raise
    finally:
        logger.removeHandler(held)
        logger.propagate = propagates


def _end_with_parent() -> None:
    """End this process and its workers as soon as its parent has ended.

    A killed parent cannot end its children, and this process has its own session.
    """
    parent = os.getppid()
    # Windows has no sessions: there a killed parent leaves this process to end by itself.
    if not hasattr(os, "getsid") or os.getsid(0) != os.getpid():
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_SECONDS)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def freqtrade_main(arguments: list[str] | None = None) -> None:
    """Run freqtrade in this process and exit with its code, never 0 on an error.

    :param arguments: the subcommand and its options; None for those of this process
    """
    _end_with_parent()
    from freqtrade.main import main

    # A filter, because freqtrade sets up its logging anew, which removes handlers.
    errors = _ConfigurationErrorSeen()
    logging.getLogger("freqtrade").addFilter(errors)
    warnings = Remembered()
    logging.getLogger("perp_imbalance").addHandler(warnings)
    downloads = _FailedDownloads(logging.ERROR)
    logging.getLogger("freqtrade.data.history.history_utils").addHandler(downloads)
    try:
        main(arguments)
    except SystemExit as leave:
        if leave.code is None and isinstance(leave.__context__, SystemExit):
            # The parser's refusal, which freqtrade replaced on the way out.
            sys.exit(leave.__context__.code)
        if not leave.code and errors.seen:
            sys.exit(EXIT_CONFIGURATION)
        if not leave.code and downloads.count:
            sys.exit(EXIT_DOWNLOAD)
        if not leave.code:
            warnings.repeat()
        raise


def collect_rarely() -> None:
    """Collect garbage as rarely as freqtrade does, and none when this process ends.

    freqtrade itself does so after its imports. Done before them, a process that imports freqtrade
    and ends takes 45 % less time.
    """
    from freqtrade.system import gc_set_threshold

    gc_set_threshold()
    atexit.register(_keep_garbage)


def _keep_garbage() -> None:
    """Exempt all objects from the last collection; before, save what that would have saved.

    That is: plain files that were left open, and the journal of an SQLite database.
    """
    for each in gc.get_objects():
        # A file may be closed, a pipe have no reader, a connection belong to another thread.
        with suppress(Exception):
            if type(each) in (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom):
                each.flush()
            elif type(each) is sqlite3.Connection:
                each.close()
    gc.freeze()


if __name__ == "__main__":
    collect_rarely()
    freqtrade_main()
