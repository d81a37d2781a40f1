"""Write the ranking as files: a pair list for freqtrade's RemotePairList, and CSV."""

import csv
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from perp_imbalance.errors import CommandError
from perp_imbalance.files import atomic_write
from perp_imbalance.scan.records import Row

_KEYS = {"pairs", "refresh_period"}


def check_target(file: Path, *, force: bool, replaceable: Callable[[Path], bool]) -> None:
    """Raise unless a file can be written and may be replaced.

    :param force: whether an existing file may be replaced.
    :param replaceable: whether this file may be replaced without ``force``.
    :raises CommandError: with the reason.
    """
    folder = file.absolute().parent
    if file.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise CommandError(
            f"{file} cannot be written: does its folder exist, and may you write to it?"
        )
    if file.exists() and not force and not replaceable(file):
        raise CommandError(f"{file} exists already: name another file, or add --force")


def is_pairlist(file: Path) -> bool:
    """Return whether a file is a pair list written by this module."""
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and "pairs" in content and _KEYS.issuperset(content)


def write_pairlist(file: Path, rows: Iterable[Row]) -> None:
    """Write a pair list for RemotePairList: the pairs whose z is reliable, best first."""
    pairs = [row.perp for row in rows if row.is_sound]
    _write(file, lambda stream: json.dump({"pairs": pairs}, stream, indent=1))


def write_csv(file: Path, rows: Sequence[Row]) -> None:
    """Write one line per perp with the values of the JSON, and one column per gate."""
    lines = []
    for row in rows:
        values: dict[str, Any] = row.as_dict()
        gates = values.pop("gates")
        lines.append(values | gates)

    def fill(stream: TextIO) -> None:
        writer = csv.DictWriter(stream, list(lines[0]) if lines else ["perp"])
        writer.writeheader()
        writer.writerows(lines)

    _write(file, fill)


def _write(file: Path, fill: Callable[[TextIO], Any]) -> None:
    with atomic_write(file) as part, part.open("w", encoding="utf-8", newline="") as stream:
        fill(stream)
