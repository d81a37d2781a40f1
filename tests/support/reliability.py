"""The sections of docs/reliability.md that test runs write from their results."""

import fcntl
import os
import re

from support.freqtrade import ROOT

DOCUMENT = ROOT / "docs" / "reliability.md"
#: Whether the runs are long enough to publish: `make test-live`.
FULL = os.environ.get("LIVE") == "full"


def _section(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name} begin -->\n)(.*?)(<!-- {name} end -->)", re.DOTALL)


def published(name: str) -> str:
    """Return the published text of a section."""
    found = _section(name).search(DOCUMENT.read_text("utf-8"))
    assert found, f"docs/reliability.md has no section {name}"
    return found[2].strip()


def publish(name: str, text: str) -> None:
    """Write a section in a full run; a shorter run keeps the published one."""
    if not FULL:
        return
    published(name)
    with DOCUMENT.open("r+", encoding="utf-8") as file:
        # pytest has several workers.
        fcntl.flock(file, fcntl.LOCK_EX)
        document = _section(name).sub(
            lambda found: f"{found[1]}\n{text.strip()}\n\n{found[3]}", file.read()
        )
        file.seek(0)
        file.write(document)
        file.truncate()


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
