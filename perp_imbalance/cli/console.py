"""Where commands print their tables: nothing of a number is cut off, however narrow it is."""

from collections.abc import Container, Iterable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# In a file or a pipe nothing has to fit on a screen: tables are as wide as what is in them.
_UNLIMITED = 100_000


def page_console() -> "Console":
    """Return the console of standard output, as wide as needed unless that is a terminal."""
    from rich.console import Console

    terminal = Console(highlight=False)
    return terminal if terminal.is_terminal else Console(highlight=False, width=_UNLIMITED)


def folding_table(headings: Iterable[str], numbers: Container[str] = ()) -> "Table":
    """Return a table without rows, whose cells fold where the terminal is too narrow for them.

    :param numbers: headings of the columns that are aligned on the right.
    """
    from rich.table import Table

    table = Table()
    for heading in headings:
        justify: Literal["left", "right"] = "right" if heading in numbers else "left"
        table.add_column(heading, justify=justify, overflow="fold")
    return table
