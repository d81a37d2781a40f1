"""Console output of tables; numbers are never cut off, however narrow the terminal is."""

import json
import math
from collections.abc import Container, Iterable
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# In a file or a pipe, tables are as wide as their content.
_UNLIMITED = 100_000


def page_console() -> "Console":
    """Return a console on standard output; outside a terminal it is as wide as the content."""
    from rich.console import Console

    terminal = Console(highlight=False)
    return terminal if terminal.is_terminal else Console(highlight=False, width=_UNLIMITED)


def json_text(values: Any) -> str:
    """Return values as JSON; numbers that are not finite become null, because JSON has no NaN.

    >>> json_text({"bps": [float("nan"), 1.5]}).split()
    ['{', '"bps":', '[', 'null,', '1.5', ']', '}']
    """
    return json.dumps(_finite(values), indent=1, default=str, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def folding_table(headings: Iterable[str], numbers: Container[str] = ()) -> "Table":
    """Return an empty table whose cells wrap if the terminal is too narrow.

    :param numbers: headings of the right-aligned columns.
    """
    from rich.table import Table

    table = Table()
    for heading in headings:
        justify: Literal["left", "right"] = "right" if heading in numbers else "left"
        table.add_column(heading, justify=justify, overflow="fold")
    return table
