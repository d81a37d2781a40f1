"""The progress bar that commands show on standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from perp_imbalance.freqtrade_bridge.process import raise_lost_signal

#: Called with the current step's name, the steps done and the total steps.
Tell = Callable[[str, int, int], None]


@contextmanager
def progress() -> Iterator[Tell]:
    """Show a progress bar within the block and erase it at the end; none outside a terminal.

    A lost interrupt is raised again at the next step.

    >>> with progress() as tell:
    ...     tell("BTC/USDT:USDT", 1, 3)
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("")

        def tell(text: str, done: int, steps: int) -> None:
            raise_lost_signal()
            bar.update(task, description=text, completed=done, total=steps)

        yield tell
