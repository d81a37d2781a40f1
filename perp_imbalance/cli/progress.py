"""The bar on standard error that says how far a command is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from perp_imbalance.freqtrade_bridge.process import raise_lost_signal

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
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("")

        def tell(text: str, done: int, steps: int) -> None:
            raise_lost_signal()
            bar.update(task, description=text, completed=done, total=steps)

        yield tell
