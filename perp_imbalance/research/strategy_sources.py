"""Copy the source files of strategies as texts."""

from collections.abc import Mapping
from pathlib import Path


def sources(folder: Path) -> dict[str, str]:
    """Return the Python files in a folder tree by relative name; none if the folder is missing."""
    return {
        str(file.relative_to(folder)): file.read_text("utf-8")
        for file in sorted(folder.rglob("*.py"))
    }


def write_sources(folder: Path, texts: Mapping[str, str | bytes]) -> None:
    """Write files by relative name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in texts.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
