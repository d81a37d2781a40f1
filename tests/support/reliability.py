"""The sections of docs/reliability.md that test runs write: what was found, not what was hoped."""

import os
import re

from support.freqtrade import ROOT

DOCUMENT = ROOT / "docs" / "reliability.md"
# Set by `make test-live`: the runs that are long enough to publish.
WRITES = "RELIABILITY_WRITE" in os.environ


def _section(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name} begin -->\n)(.*?)(<!-- {name} end -->)", re.DOTALL)


def published(name: str) -> str:
    """Return the text of a section as it is published."""
    found = _section(name).search(DOCUMENT.read_text("utf-8"))
    assert found, f"docs/reliability.md has no section {name}"
    return found[2].strip()


def publish(name: str, text: str) -> None:
    """Write a section in a full run; a shorter run leaves what is published."""
    if not WRITES:
        return
    published(name)
    document = DOCUMENT.read_text("utf-8")
    document = _section(name).sub(
        lambda found: f"{found[1]}\n{text.strip()}\n\n{found[3]}", document
    )
    DOCUMENT.write_text(document, encoding="utf-8")


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
