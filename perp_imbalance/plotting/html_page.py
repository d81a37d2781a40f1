"""One self-contained HTML page: verdict, table of contents, sections of tables and figures.

Callers pass values. ``page.html.j2`` in this package has the HTML, ``page.css`` the style.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from perp_imbalance.files import atomic_write_text
from perp_imbalance.plotting.chart import chart_scripts
from perp_imbalance.plotting.glossary import GLOSSARY, explained
from perp_imbalance.plotting.theme import theme
from perp_imbalance.strategy.palette import Palette, palette

#: Shown instead of a ratio that has too few trades.
TOO_FEW = "too few trades"
#: Shown instead of an unknown number.
UNKNOWN = "–"
_DIGITS = 4


def number(value: float | None, places: int = 2, *, sign: bool = False) -> str:
    """Return a number as text with at most four significant digits; a dash if it is unknown.

    :param places: most digits after the decimal point.
    :param sign: whether a positive number gets a plus sign.

    >>> [number(value) for value in (1234.56, 123.456, -0.001, None)]
    ['1235', '123.5', '0.00', '–']
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    rounded = round(value, _DIGITS - whole) if whole > _DIGITS else value
    return f"{rounded:{'+' if sign else ''}z.{max(0, min(places, _DIGITS - whole))}f}"


@dataclass(frozen=True)
class Link:
    """A table cell that links to a part of the same page."""

    text: str
    anchor: str

    def __str__(self) -> str:
        """Return the text of the link."""
        return self.text


@dataclass(frozen=True)
class Table:
    """A table; the keys of the first row are the headings.

    :ivar rows: cells by heading: a text, a whole number, a :class:`Link`, or None if empty.
    :ivar is_folded: whether the table is collapsed until the reader opens it.
    """

    kind: ClassVar = "table"
    rows: Sequence[Mapping[str, Any]]
    is_folded: bool = False

    @property
    def numbers(self) -> set[str]:
        """The headings of columns that have only numbers, which are right-aligned."""
        return {
            head
            for head in (self.rows[0] if self.rows else ())
            if all(_is_number(row[head]) for row in self.rows)
        }


def _is_number(cell: Any) -> bool:
    text = "" if cell is None else str(cell)
    return text == TOO_FEW or not any(letter.isalpha() for letter in text)


@dataclass(frozen=True)
class Figure:
    """A plotly figure, drawn in the page's theme.

    :ivar least_width: in pixels; on a narrower screen the figure scrolls horizontally.
    """

    kind: ClassVar = "figure"
    figure: Any
    least_width: int = 0


@dataclass(frozen=True)
class Charts:
    """Small charts of a pair, by the anchor that a :class:`Link` names.

    :ivar sections: as :func:`perp_imbalance.plotting.chart.chart_section` returns them.
    """

    kind: ClassVar = "charts"
    sections: Mapping[str, str]


@dataclass(frozen=True)
class Commands:
    """Commands to copy, by their purpose."""

    kind: ClassVar = "commands"
    commands: Sequence[tuple[str, str]]


Part = str | Table | Figure | Charts | Commands


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading; a string in it becomes a paragraph."""

    title: str
    parts: Sequence[Part]


def write_page(
    file: Path,
    title: str,
    verdict: str,
    sections: Sequence[Section],
    *,
    notes: Sequence[str] = (),
    colors: Palette | None = None,
) -> None:
    """Write a page, atomically.

    :param verdict: the answer, shown at the top.
    :param notes: paragraphs below the verdict: what the result leaves out.
    :param colors: palette name and dark mode; None for the light classic palette.
    :raises CommandError: if the file cannot be written.
    """
    kinds = {
        part.kind for section in sections for part in section.parts if not isinstance(part, str)
    }
    colors = colors or palette()
    page = _Page(colors)
    text = (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=title,
            verdict=verdict,
            notes=notes,
            sections=sections,
            palette=asdict(colors),
            style=Markup(files("perp_imbalance.plotting").joinpath("page.css").read_text("utf-8")),
            library=Markup(_plotly()) if "figure" in kinds else None,
            scripts=Markup(chart_scripts()) if "charts" in kinds else None,
            explained=page.explained,
            terms=page.terms,
            glossary=GLOSSARY,
            drawn=page.drawn,
            safe=Markup,
        )
    )
    atomic_write_text(file, text)


class _Page:
    """The state of a page while it is rendered.

    :ivar terms: glossary terms used so far.
    """

    def __init__(self, colors: Palette) -> None:
        self.terms: set[str] = set()
        self._theme = theme(colors)
        self._figures = 0

    def explained(self, text: Any) -> Iterator[tuple[str, str | None]]:
        """Yield the pieces of a text, and record its glossary terms."""
        for piece, term in explained(str(text)):
            self.terms |= {term} if term else set()
            yield piece, term

    def drawn(self, figure: Any) -> Markup:
        """Return a figure as plotly's HTML."""
        self._figures += 1
        return Markup(
            figure.update_layout(template=self._theme).to_html(
                full_html=False,
                include_plotlyjs=False,
                div_id=f"figure-{self._figures}",
                config={"responsive": True, "displaylogo": False},
            )
        )


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("perp_imbalance.plotting", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
