"""Files that appear whole or not at all: a bot, a browser or a resumed run may be about to read."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from perp_imbalance.errors import CommandError


@contextmanager
def atomic_write(file: Path) -> Iterator[Path]:
    """Yield where to write a file; it gets its name, in place of an older one, when it is whole.

    Its folder is made. Of what was begun and not finished nothing stays.

    :raises CommandError: if it cannot be written there.

    >>> with atomic_write(Path("ranking.csv")) as part:  # doctest: +SKIP
    ...     part.write_text("perp,z", encoding="utf-8")
    """
    # Two processes may write the same file: each has a part of its own, the later one stays.
    part = file.with_name(f"{file.name}.{secrets.token_hex(4)}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(file)
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror or error}") from None
    finally:
        # Where its folder is no folder, there is nothing to remove.
        with suppress(OSError):
            part.unlink()


def run_name(what: str) -> str:
    """Return a name for the files of one run, which no other run has, not even of this second.

    >>> run_name("sweep")  # doctest: +SKIP
    'sweep-2026-01-31_12-00-00-5f3a91c7'
    """
    return f"{what}-{datetime.now():%Y-%m-%d_%H-%M-%S}-{secrets.token_hex(4)}"


def atomic_write_text(file: Path, text: str) -> None:
    """Write text, in UTF-8, as :func:`atomic_write` does.

    :raises CommandError: if it cannot be written there.
    """
    with atomic_write(file) as part:
        part.write_text(text, encoding="utf-8")
