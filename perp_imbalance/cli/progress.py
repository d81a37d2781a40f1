"""The bar on standard error that says how far a command is."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

#: Is told what is being done, the steps done and the steps in all.
Tell = Callable[[str, int, int], None]


@contextmanager
def progress() -> Iterator[Tell]:
    """Show a bar while the block lasts, and leave nothing of it; none where no terminal is.

    A step after an interrupt that got lost raises it again.

    >>> with progress() as tell:
    ...     tell("BTC/USDT:USDT", 1, 3)
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with (
        _lost_signals() as raise_lost,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar,
    ):
        task = bar.add_task("")

        def tell(text: str, done: int, steps: int) -> None:
            raise_lost()
            bar.update(task, description=text, completed=done, total=steps)

        yield tell


@contextmanager
def _lost_signals() -> Iterator[Callable[[], None]]:
    """Yield what raises again the exception of a signal that came while the block lasts.

    Python drops an exception that is raised where C calls back, such as while numba loads code.
    """
    came: list[int] = []
    handlers: dict[int, Any] = {}

    def remember(number: int, frame: FrameType | None) -> None:
        came.append(number)
        handlers[number](number, frame)

    def raise_lost() -> None:
        if came:
            handlers[came[0]](came[0], None)

    if threading.current_thread() is threading.main_thread():
        found = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        # Another program may have had one ignored.
        handlers |= {number: handler for number, handler in found.items() if callable(handler)}
        for number in handlers:
            signal.signal(number, remember)
    try:
        yield raise_lost
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
