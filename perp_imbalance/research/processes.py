"""Processes of this command that leave Ctrl-C to it, and do not outlive it."""

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
    """Let processes that are started in the block be deaf to Ctrl-C; here, it comes afterwards."""
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
    """Answer until the other end is gone, which is also how a killed command ends this."""
    answer: Callable[[Any], Any] | None = None
    with suppress(EOFError, BrokenPipeError):
        while True:
            task = pipe.recv()
            answer = answer or make(*values)
            pipe.send(answer(task))


class Processes:
    """Some processes that do the same work.

    Use: ``with Processes(2, make, values) as processes: processes.map(tasks)``

    :param count: how many.
    :param make: called once in each with ``values``: returns what does a task.
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
        """Return the answers to tasks, in their order.

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
                "a process of the search was ended, for want of memory perhaps: take fewer "
                "--workers, or fewer pairs"
            ) from None
        return answers
