"""Worker processes that ignore Ctrl-C and end together with this command."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from perp_imbalance.errors import CommandError


@contextmanager
def interrupts_kept_here() -> Iterator[None]:
    """Start processes that ignore Ctrl-C; this process receives it when the block ends."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # multiprocessing unblocks the signal when it starts this process of its own.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, make: Callable[..., Callable[[Any], Any]], values: Any) -> None:
    """Answer tasks until the pipe closes, which also happens if the command is killed."""
    answer: Callable[[Any], Any] | None = None
    with suppress(EOFError, BrokenPipeError):
        while True:
            task = pipe.recv()
            answer = answer or make(*values)
            pipe.send(answer(task))


class Processes:
    """A group of processes that do the same work.

    Use: ``with Processes(2, make, values) as processes: processes.map(tasks)``

    :param count: number of processes.
    :param make: called once with ``values`` in each process; returns the function for tasks.
    """

    def __init__(self, count: int, make: Callable[..., Callable[[Any], Any]], values: Any) -> None:
        context = get_context("spawn")
        self._pipes, self.processes = list[Connection](), list[BaseProcess]()
        with interrupts_kept_here():
            for _ in range(count):
                here, there = context.Pipe()
                process = context.Process(target=_serve, args=(there, make, values), daemon=True)
                process.start()
                # The only other end is the process's now: it says when that is gone.
                there.close()
                self._pipes.append(here)
                self.processes.append(process)

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
        for process, pipe in zip(self.processes, self._pipes, strict=True):
            process.join()
            pipe.close()

    def map(self, tasks: Sequence[Any]) -> list[Any]:
        """Return the results of tasks, in the order of the tasks.

        :raises CommandError: if a process was ended.
        """
        answers: list[Any] = [None] * len(tasks)
        left = list(enumerate(tasks))[::-1]
        idle, busy = list(self._pipes), dict[Connection, int]()
        try:
            while left or busy:
                while left and idle:
                    number, task = left.pop()
                    pipe = idle.pop()
                    pipe.send(task)
                    busy[pipe] = number
                for ready in wait(list(busy)):
                    assert isinstance(ready, Connection)
                    answers[busy.pop(ready)] = ready.recv()
                    idle.append(ready)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise CommandError(
                "a process of the search was ended, perhaps because memory ran out: take fewer "
                "--workers, or fewer pairs"
            ) from None
        return answers
