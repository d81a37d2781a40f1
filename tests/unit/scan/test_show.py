"""The table of a scan is readable on a terminal of any width."""

import io
import re
from dataclasses import replace
from typing import get_args

import pytest
from rich.console import Console
from support.scan import market, rules, table_market

from perp_imbalance.cli.scan import BY, EXAMPLE
from perp_imbalance.scan.rank import nothing_ranked, rank
from perp_imbalance.scan.records import By, Ranking
from perp_imbalance.scan.show import COLUMNS, change_line, footer, header, ranking_table
from perp_imbalance.scan.watch import Changes, changes


def printed(found: Ranking, width: int, differs: Changes | None = None) -> list[str]:
    """Return the lines of a table on a terminal that is so wide."""
    out = io.StringIO()
    table, _ = ranking_table(found, rules(), width=width, changes=differs)
    Console(file=out, width=width).print(table)
    return out.getvalue().splitlines()


def cells_of(found: Ranking, name: str, differs: Changes | None = None) -> list[str]:
    """Return the texts of a column below its heading."""
    chosen = () if name == "change" else (name,)
    table, hidden = ranking_table(found, rules(), width=60, columns=chosen, changes=differs)
    assert hidden == []
    return list(map(str, table.columns[1].cells))


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("deviation", ["-31.0", "?"]),
        ("net", ["+21.0", "?"]),
        ("premium", ["-0.250", "-0.250"]),
        ("fees", ["-2.5", "-2.5"]),
        ("bias", ["short", "long"]),
        ("since", ["5", ">4"]),
        ("funding", ["+0.0200", ""]),
        ("yearly", ["+21.9", ""]),
        ("due", ["1.5", ""]),
        ("gates", ["none", "sigma?"]),
        ("sound", ["doubtful", "no"]),
        ("volume", ["1M", ""]),
        ("missing", ["12.5%", "12.5%"]),
        ("against", ["spot", "spot"]),
    ],
)
def test_table_shows_the_values_of_the_row(column: str, cells: list[str]) -> None:
    assert cells_of(table_market(), column) == cells


def test_rows_that_the_doctor_refuses_are_dim() -> None:
    table, _ = ranking_table(table_market(), rules(), width=80)
    assert [line.style for line in table.rows] == [None, "dim"]
    bias = next(column for column in table.columns if column.header == "bias")
    assert [cell.style for cell in bias.cells] == ["red", "green"]  # type: ignore[union-attr]


def test_closed_gates_are_named() -> None:
    (row, *_) = table_market().rows
    gates = {"sigma gate": False, "HTF gate": None, "deviation gate": True}
    found = table_market()._replace(rows=[replace(row, gates=gates)])
    assert cells_of(found, "gates") == ["sigma, HTF?"]
    table, _ = ranking_table(found, rules("aggressive"), width=200)
    assert "closed\ngates" not in [column.header for column in table.columns]


@pytest.mark.parametrize("width", [30, 60, 80, 100, 200])
def test_no_word_is_broken_on_a_terminal_of_any_width(width: int) -> None:
    found = table_market()
    whole = {word for line in printed(found, 1000) for word in line.split()}
    lines = printed(found, width)
    assert {word for line in lines for word in line.split()} <= whole
    assert max(map(len, lines)) <= width
    # Two lines of headings, then one a perp.
    assert len(lines) == 2 + len(found.rows)


def test_table_of_80_columns_has_the_columns_to_act_on() -> None:
    _, hidden = ranking_table(table_market(), rules(), width=80)
    shown = [name for name in COLUMNS if name not in hidden]
    assert shown[:9] == list(COLUMNS[:9])
    assert shown[:9][-1] == "funding"
    said = footer(table_market(), 0, None, hidden)
    assert said[1].startswith(f"No room for {', '.join(hidden)}: widen")
    assert ranking_table(table_market(), rules(), width=200).hidden == []


def test_wide_letters_count_as_two_columns() -> None:
    (row, _) = table_market().rows
    found = table_market()._replace(rows=[replace(row, perp="币安人生/USDT:USDT")])
    # Eight for the coin, two between, nine for the heading.
    for width, hidden in ((18, ["deviation"]), (19, [])):
        table = ranking_table(found, rules(), width=width, columns=["deviation"])
        assert table.hidden == hidden


@pytest.mark.parametrize("by", BY)
def test_ranked_column_is_next_to_the_perp(by: By) -> None:
    table, _ = ranking_table(table_market()._replace(by=by), rules(), width=40)
    assert str(table.columns[1].header).startswith(by)


def test_chosen_columns_are_those_and_the_perp() -> None:
    table, _ = ranking_table(table_market(), rules(), width=80, columns=["due", "perp", "z"])
    assert [column.header for column in table.columns] == ["perp", "funding\nin hours", "z"]


def test_help_explains_every_column() -> None:
    assert get_args(By) == BY
    assert tuple(re.findall(r"^  (\w+) {2,}", EXAMPLE.partition("columns, in")[2], re.M)) == (
        COLUMNS[0],
        "change",
        *COLUMNS[1:],
    )


def test_header_says_how_dislocated_the_market_is() -> None:
    first, *others = header(table_market(), rules(), "USDT")
    assert first == (
        "balanced, 1h, enter_z 1.7: USDT perps by deviation, candle of 2026-01-01 11:00 UTC"
    )
    assert others == [
        "All 3 perps, premium: mean -12.0, median -9.5 bps; 50% at -10 bps or below",
        "2 of 3 perps, deviation: mean +1.0, median +2.0 bps; 0% at -10 bps or below",
        "Unproven: entries did best on past days when the whole market was dislocated.",
    ]
    # Without a deviation it has no line of it.
    short = rank(*market(3, 90), rules())
    assert [line for line in header(short, rules(), "USDT") if "deviation:" in line] == []
    assert nothing_ranked("z").market.perps == 0


def test_changes_since_the_last_candle_are_named() -> None:
    before = table_market()
    known, unknown = before.rows
    standings = dict(before.standings)
    standings[known.perp] = standings[known.perp]._replace(value=-35.25, bias="none")
    del standings[unknown.perp]
    now = before._replace(rows=[known], standings=standings)
    differs = changes(before, now)
    assert change_line(differs) == (
        "Since the candle of 01-01 11:00: mean premium +0.0 bps; bias A short -> none; "
        "no longer in it: 1000000MOG"
    )
    assert cells_of(now, "change", differs) == ["-4.2"]
    assert cells_of(before, "change", changes(now, before)) == ["+4.2", "new"]
    same = changes(before, before)
    assert change_line(same._replace(premium_mean=None)).endswith("no bias and no row changed")
    assert cells_of(before, "change", same) == ["+0.0", "?"]
