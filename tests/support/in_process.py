"""Run commands in this process: to start a process takes longer than most of their work."""

import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryFile

# Modules from other places are strategies and their neighbours, which each run loads anew.
_ROOT = Path(__file__).parents[2]
_KEPT = (sys.prefix, sys.base_prefix, str(_ROOT / "perp_imbalance"), str(_ROOT / "tests"))


def run_here(
    command: Callable[[Sequence[str]], None], arguments: Sequence[str], cwd: Path
) -> "subprocess.CompletedProcess[str]":
    """Run a command as in a new process, and capture its output and that of its children.

    :param command: takes the arguments, and ends with ``SystemExit``
    """
    with ExitStack() as stack:
        files = [stack.enter_context(TemporaryFile("w+", encoding="utf-8")) for _ in range(2)]
        with (
            descriptors_to(*(file.fileno() for file in files)),
            redirect_stdout(files[0]),
            redirect_stderr(files[1]),
            chdir(cwd),
            logging_of_its_own(),
            modules_of_its_own(),
        ):
            code = _code_of(command, arguments)
        for file in files:
            file.seek(0)
        output, errors = (file.read() for file in files)
    return subprocess.CompletedProcess(list(arguments), code, output, errors)


def _code_of(command: Callable[[Sequence[str]], None], arguments: Sequence[str]) -> int:
    """Return the exit code of a process that runs the command."""
    try:
        command(arguments)
    except SystemExit as left:
        if left.code is None or isinstance(left.code, int):
            return left.code or 0
        print(left.code, file=sys.stderr)
    except Exception:
        traceback.print_exc()
    return 1


@contextmanager
def descriptors_to(*targets: int) -> Iterator[None]:
    """Redirect descriptors 1 and 2, which children inherit, during the block."""
    kept = [os.dup(descriptor) for descriptor in (1, 2)]
    try:
        for descriptor, target in zip((1, 2), targets, strict=True):
            os.dup2(target, descriptor)
        yield
    finally:
        for descriptor, saved in zip((1, 2), kept, strict=True):
            os.dup2(saved, descriptor)
            os.close(saved)


@contextmanager
def logging_of_its_own() -> Iterator[None]:
    """Start logging as in a new process, and restore it after the block."""
    before = {
        each: (each.level, each.handlers[:], each.filters[:], each.disabled, each.propagate)
        for each in all_loggers()
    }
    begin_anew()
    try:
        yield
    finally:
        begin_anew()
        for each, (level, handlers, filters, disabled, propagate) in before.items():
            each.setLevel(level)
            each.handlers, each.filters = handlers, filters
            each.disabled, each.propagate = disabled, propagate


def begin_anew() -> None:
    """Reset every logger to the state at a process's start."""
    for each in all_loggers():
        each.setLevel(logging.WARNING if each is logging.root else logging.NOTSET)
        each.handlers, each.filters, each.disabled, each.propagate = [], [], False, True


def all_loggers() -> list[logging.Logger]:
    """Return all loggers, the root first."""
    named = logging.root.manager.loggerDict.values()
    return [logging.root, *(each for each in named if isinstance(each, logging.Logger))]


@contextmanager
def modules_of_its_own() -> Iterator[None]:
    """Forget, after the block, modules and paths that a run has loaded from a trader's folder."""
    modules, paths = set(sys.modules), sys.path[:]
    try:
        yield
    finally:
        sys.path[:] = paths
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None)
            if file and not file.startswith(_KEPT):
                del sys.modules[name]
