"""The tables of docs/chaos.md."""

from typing import Any


def write_page(lives: list[dict[str, Any]]) -> None:
    """Write them from what came of each life."""
