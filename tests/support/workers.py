"""Work for child processes, which import nothing else."""

import os
from collections.abc import Callable


def dying() -> Callable[[int], int]:
    """Return work that ends its process."""
    return lambda task: os._exit(1)


def adding(number: int) -> Callable[[int], int]:
    """Return work that adds a number."""
    return lambda task: task + number
