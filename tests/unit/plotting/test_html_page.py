"""What every HTML page does: numbers, terms, and text that stays text."""

from pathlib import Path

import pytest
from support.pages import SCRIPT, SECTIONS, page_text, write_kind

from perp_imbalance.plotting.glossary import GLOSSARY, explained
from perp_imbalance.plotting.html_page import TOO_FEW, Link, Section, Table, number, write_page
from perp_imbalance.strategy.palette import PALETTES, palette


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((0.0, "0.00"), (1.0, "1.00"), (-12.345, "-12.35"), (123.456, "123.5"), (9999.6, "10000")),
        *((123456.0, "123500"), (-0.0001, "0.00"), (float("nan"), "–"), (None, "–")),
    ],
)
def test_number_has_four_significant_digits(value: float | None, expected: str) -> None:
    assert number(value) == expected


def test_number_has_a_sign_where_asked() -> None:
    assert [number(value, 1, sign=True) for value in (2.25, -2.25, 0.0)] == ["+2.2", "-2.2", "+0.0"]


def test_columns_of_words_are_not_numbers() -> None:
    rows = [
        {
            "pair": "X",
            "count": 1,
            "ratio": TOO_FEW,
            "opened": Link("2024-01-01", "a"),
            "none": None,
        },
        {"pair": "–", "count": 2, "ratio": "1.5", "opened": "2024-01-02", "none": None},
    ]
    assert Table(rows).numbers == {"count", "ratio", "opened", "none"}
    assert Table([]).numbers == set()


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Premiums in bps", ["premium", "bps"]),
        ("a t-test, at T, of t", ["t"]),
        ("held as long; LONG", ["LONG"]),
        ("sharpe, Sharpe, Sharpe", ["Sharpe"]),
        ("the standard deviation", ["standard deviation"]),
        ("PremiumIndex, prepaid, enter_z=1", ["enter_z"]),
    ],
)
def test_terms_are_found_as_words(text: str, terms: list[str]) -> None:
    pieces = list(explained(text))
    assert "".join(piece for piece, _ in pieces) == text
    assert [term for _, term in pieces if term] == terms


def test_glossary_is_whole_sentences() -> None:
    assert all(meaning.endswith((".", "?")) for meaning in GLOSSARY.values())
    assert len(set(GLOSSARY.values())) == len(GLOSSARY)


@pytest.mark.parametrize("kind", SECTIONS)
def test_names_are_escaped_in_every_page(kind: str, tmp_path: Path) -> None:
    file = write_kind(kind, tmp_path, SCRIPT)
    assert SCRIPT not in file.read_text("utf-8")
    assert SCRIPT in page_text(file)


@pytest.mark.parametrize("name", PALETTES)
def test_page_is_in_the_colours_of_its_palette(name: str, tmp_path: Path) -> None:
    colors = palette(name, dark=True)
    text = write_kind("walk-forward", tmp_path, colors=colors).read_text("utf-8")
    assert f"--background: {colors.background};" in text
    # The theme of the figures.
    assert f'"paper_bgcolor":"{colors.background}"' in text
    assert f'"colorway":["{colors.long}"' in text


def test_table_without_rows_says_so(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    write_page(file, "Title", "Verdict.", [Section("Finds", [Table([])])])
    assert "There are none." in page_text(file)


def test_page_without_figures_is_small(tmp_path: Path) -> None:
    assert write_kind("rehearse", tmp_path).stat().st_size < 20_000
