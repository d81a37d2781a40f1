"""Make every connection to another machine fail, in this process and in its children.

Audit hooks see sockets of all libraries. Since freqtrade retries failed requests, attempts are also
recorded in a file, which makes the test fail.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LOG = "LOOPBACK_GUARD_LOG"
_HERE = {"", "localhost", "127.0.0.1", "::1", "0.0.0.0"}


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if LOG not in os.environ or event not in ("socket.connect", "socket.getaddrinfo"):
        return
    target = args[1] if event == "socket.connect" else args[0]
    # The address of a Unix socket is a string.
    host = target[0] if isinstance(target, tuple) else target
    if event == "socket.connect" and not isinstance(target, tuple):
        return
    name = host.decode() if isinstance(host, bytes) else str(host or "")
    if name not in _HERE:
        with Path(os.environ[LOG]).open("a", encoding="utf-8") as log:
            log.write(f"{event} {name}\n")
        raise OSError(f"{name} is another machine")


def install() -> None:
    """Guard this process; also make aiohttp resolve names in Python, where a hook sees it."""
    sys.addaudithook(_watch)
    sys.modules.setdefault("aiodns", None)  # type: ignore[arg-type]


@contextmanager
def loopback_only(folder: Path) -> Iterator[None]:
    """Restrict this process and its children to 127.0.0.1; fail if they tried another address."""
    import aiohttp.connector
    from aiohttp.resolver import ThreadedResolver

    if not getattr(sys, "_loopback_guard", False):
        sys.addaudithook(_watch)
        sys._loopback_guard = True  # type: ignore[attr-defined]
    (folder / "site").mkdir()
    site = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    site += "import loopback_guard; loopback_guard.install(); sys.path.pop(0)\n"
    (folder / "site" / "sitecustomize.py").write_text(site, encoding="utf-8")
    log = folder / "attempts"
    log.touch()
    connector: Any = aiohttp.connector
    path, resolver = os.environ.get("PYTHONPATH"), connector.DefaultResolver
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder / "site"), path]))
    os.environ[LOG] = str(log)
    connector.DefaultResolver = ThreadedResolver
    try:
        yield
    finally:
        del os.environ[LOG]
        os.environ.pop("PYTHONPATH")
        if path is not None:
            os.environ["PYTHONPATH"] = path
        connector.DefaultResolver = resolver
    assert not log.read_text("utf-8")
