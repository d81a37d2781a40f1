"""Write files atomically, and make temporary folders that are removed even after a killed run."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from perp_imbalance.errors import CommandError

#: How the names of folders begin that hold files which are being written.
_PART_PREFIX = ".perp-imbalance-part-"


@contextmanager
def atomic_write(file: Path) -> Iterator[Path]:
    """Yield a temporary path; when the block ends, the file there replaces the target in one step.

    Creates the target's folder. An unfinished file is removed; one that a killed run left is
    removed when the next file is written in that folder.

    :raises CommandError: if the file cannot be written.

    >>> with atomic_write(Path("ranking.csv")) as part:  # doctest: +SKIP
    ...     part.write_text("perp,z", encoding="utf-8")
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Two processes may write the same file: each has a part of its own, the later one stays.
        with temporary_folder(file.parent, _PART_PREFIX) as folder:
            part = folder / f"{file.name}.part"
            yield part
            part.replace(file)
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror or error}") from None


def run_name(what: str) -> str:
    """Return a unique name for the files of one run, also among runs of the same second.

    >>> run_name("sweep")  # doctest: +SKIP
    'sweep-2026-01-31_12-00-00-5f3a91c7'
    """
    return f"{what}-{datetime.now():%Y-%m-%d_%H-%M-%S}-{secrets.token_hex(4)}"


# Where a platform has no such locks, folders of killed runs stay.
fcntl: Any = import_module("fcntl") if find_spec("fcntl") else None

#: How the names of temporary folders begin: only these are swept.
TEMPORARY_PREFIX = "perp-imbalance-run-"
_TRIES = 3


@contextmanager
def temporary_folder(parent: Path | None = None, prefix: str = TEMPORARY_PREFIX) -> Iterator[Path]:
    """Yield a new folder that is removed when the block ends.

    Folders with the same prefix that killed runs left in the same parent are removed first. A run
    holds a lock on its folder, which the system releases when the process ends.

    :param parent: parent folder; by default the system's folder for temporary files.
    :param prefix: prefix of the folder's name.
    :raises OSError: if the folder cannot be created.
    """
    place = Path(tempfile.gettempdir() if parent is None else parent)
    _sweep(place, prefix)
    for _ in range(_TRIES):
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
        lock = _lock(folder)
        if lock is not None and folder.exists():
            break
        # Another run swept it before it was locked; or there are no locks here.
    folder.mkdir(exist_ok=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _sweep(place: Path, prefix: str) -> None:
    """Remove folders of this user whose runs have ended."""
    if fcntl is None:
        return
    for folder in place.glob(f"{prefix}*"):
        # Another process may sweep, too.
        with suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            lock = _lock(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def _lock(folder: Path) -> int | None:
    """Return a descriptor that holds the lock of a folder; None if another process holds it."""
    if fcntl is None:
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def atomic_write_text(file: Path, text: str) -> None:
    """Write text in UTF-8 atomically.

    :raises CommandError: if the file cannot be written.
    """
    with atomic_write(file) as part:
        part.write_text(text, encoding="utf-8")
