"""One self-contained HTML page of several figures."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perp_imbalance.files import atomic_write_text

_STYLE = (
    "body{font-family:system-ui,sans-serif;margin:1.5rem;max-width:1200px}"
    "table{border-collapse:collapse;font-size:.85rem}"
    "td,th{border-bottom:1px solid #ddd;padding:.2rem .6rem;text-align:right}"
)


def write_page(
    file: Path, title: str, said: Sequence[str], parts: Sequence[Any], *, style: str = ""
) -> None:
    """Write a page; it appears when it is whole.

    :param said: paragraphs below the title.
    :param parts: plotly figures, and strings of HTML as they are.
    :param style: rules that come after those of every page.
    """
    body = [f"<h1>{html.escape(title)}</h1>", *(f"<p>{html.escape(text)}</p>" for text in said)]
    with_plotly: bool = True
    for part in parts:
        if isinstance(part, str):
            body.append(part)
            continue
        # The library stands in the page once.
        body.append(_figure(part, with_plotly))
        with_plotly = False
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="icon" href="data:,">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}{style}</style></head>"
        f"<body>{''.join(body)}</body></html>"
    )
    atomic_write_text(file, page)


def _figure(figure: Any, with_plotly: bool) -> str:
    """Return a figure as HTML that follows the width of its window."""
    return str(
        figure.to_html(
            full_html=False,
            include_plotlyjs=with_plotly,
            config={"responsive": True, "displaylogo": False},
        )
    )


def html_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows as an HTML table, the first row's keys as its head."""
    if not rows:
        return ""
    head = "".join(f"<th>{html.escape(key.replace('_', ' '))}</th>" for key in rows[0])
    lines = [
        "".join(
            f"<td>{'' if value is None else html.escape(str(value))}</td>" for value in row.values()
        )
        for row in rows
    ]
    return f"<table><tr>{head}</tr><tr>{'</tr><tr>'.join(lines)}</tr></table>"
