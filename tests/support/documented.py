"""The commands that README and documentation show."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from support.freqtrade import ROOT

PAGES = [
    *(ROOT / "README.md", ROOT / "CONTRIBUTING.md"),
    *sorted((ROOT / "docs").rglob("*.md")),
]
#: Languages of code blocks with commands; blocks without a language count too.
SHELLS = ("", "bash", "sh", "console")
_FENCE = re.compile(r"^( *)```(\S*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
# Separators of the commands of a line.
_BETWEEN = {"&&", ";", "|", "||", "&"}


class Documented(NamedTuple):
    """A simple command, with the page that shows it."""

    page: str
    words: tuple[str, ...]

    @property
    def line(self) -> str:
        """The command as typed."""
        return shlex.join(self.words)


def name_of(page: Path) -> str:
    """Return the name of a page for a test's id."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return language and text of the page's code blocks."""
    found = _FENCE.findall(page.read_text("utf-8"))
    return [(language, text) for _, language, text in found]


def commands(page: Path) -> list[Documented]:
    """Return the commands of a page, in order."""
    text = "\n".join(text for language, text in blocks(page) if language in SHELLS)
    return list(_commands(name_of(page), text))


def _commands(page: str, text: str) -> Iterator[Documented]:
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=";&|")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word not in _BETWEEN:
                words.append(word)
            elif words:
                yield Documented(page, tuple(words))
                words = []
