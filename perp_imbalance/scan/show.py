"""Format the ranking as a table for a terminal of any width."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from perp_imbalance.data.left_out import FEW, named
from perp_imbalance.indicators.gates import active_gates
from perp_imbalance.scan.records import DISLOCATED_BPS, By, LeftOut, Market, Ranking, Row, Rules
from perp_imbalance.scan.watch import Changes

_UNITS = ((1e9, "B"), (1e6, "M"), (1e3, "k"))
_MARKS = {True: "yes", False: "no", None: "?"}
_COLORS = {"short": "red", "long": "green"}
# Between two columns.
_GAP = 2
# Columns of words, which begin on the left; numbers end on the right.
_WORDS = {"perp", "bias", "gates", "sound", "against"}
# Of a change, in the unit of the column that the ranking goes by.
_CHANGES: dict[By, Callable[[float], str]] = {
    "deviation": "{:+z.1f}".format,
    "premium": "{:+.3f}".format,
    "z": "{:+.2f}".format,
    "funding": lambda change: f"{change * 100:+.4f}",
}


class _Column(NamedTuple):
    heading: str
    cell: Callable[[Row], str]


def _since(row: Row) -> str:
    if row.bias == "none":
        return ""
    return str(row.candles_since) if row.since is not None else f">{row.candles_since - 1}"


def _closed_gates(row: Row) -> str:
    names = {name.removesuffix(" gate"): passed for name, passed in row.gates.items()}
    closed = [
        name + ("?" if passed is None else "") for name, passed in names.items() if not passed
    ]
    return ", ".join(closed) or "none"


def _sound(row: Row) -> str:
    return "doubtful" if row.is_sound and row.is_doubtful else _MARKS[row.is_sound]


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "?"


# In the order in which they are shown as far as they have room.
_COLUMNS = {
    "perp": _Column("perp", lambda row: _coin(row.perp)),
    "deviation": _Column("deviation\nbps", lambda row: _number(row.deviation_bps, "+z.1f")),
    "net": _Column("after\nfees", lambda row: _number(row.after_fees_bps, "+z.1f")),
    "premium": _Column("premium\n%", lambda row: f"{row.premium_pct:+.3f}"),
    "fees": _Column("in\nfees", lambda row: _number(row.premium_in_fees, "+.1f")),
    "z": _Column("z", lambda row: f"{row.z:+.2f}"),
    "bias": _Column("bias", lambda row: "" if row.bias == "none" else row.bias),
    "since": _Column("since\ncandles", _since),
    "funding": _Column(
        "funding\n% / 8h", lambda row: f"{row.funding.per_8_hours:+.4%}"[:-1] if row.funding else ""
    ),
    "gates": _Column("closed\ngates", _closed_gates),
    "yearly": _Column(
        "funding\n% / year", lambda row: f"{row.funding.per_year:+.1%}"[:-1] if row.funding else ""
    ),
    "due": _Column(
        "funding\nin hours",
        lambda row: "" if row.hours_to_funding is None else f"{row.hours_to_funding:.1f}",
    ),
    "sound": _Column("sound", _sound),
    "volume": _Column("volume\n24h", lambda row: short_number(row.volume_24h)),
    "against": _Column("against", lambda row: row.source),
    "missing": _Column("missing", lambda row: f"{row.missing:.1%}"),
    "noise": _Column(
        "tick\nnoise",
        lambda row: f"{row.tick_noise:.2f}" if math.isfinite(row.tick_noise) else "all",
    ),
}

#: The names of all columns, the most useful first.
COLUMNS = tuple(_COLUMNS)


class Fitted(NamedTuple):
    """A table, and the names of the columns that did not fit."""

    table: Table
    hidden: list[str]


def ranking_table(
    found: Ranking,
    rules: Rules,
    *,
    width: int,
    columns: Sequence[str] = COLUMNS,
    changes: Changes | None = None,
) -> Fitted:
    """Return one line per perp, the most extreme first; perps that the doctor would refuse are dim.

    :param width: characters per line; columns that do not fit are left out.
    :param columns: wanted columns of :data:`COLUMNS`.
    :param changes: changes since the last candle, shown in the second column.
    """
    wanted = {"perp": _COLUMNS["perp"]}
    if changes is not None:
        wanted["change"] = _Column("change", lambda row: _change(row, found.by, changes.values))
    # What it is ranked by has room on any terminal.
    wanted |= {name: _COLUMNS[name] for name in sorted(columns, key=lambda name: name != found.by)}
    if not active_gates(rules.thresholds):
        wanted.pop("gates", None)
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False)
    cells, hidden, room = [], [], width
    for name, column in wanted.items():
        texts = [column.cell(row) for row in found.rows]
        lines = [*column.heading.splitlines(), *texts]
        needed = max(map(cell_len, lines))
        if needed > room:
            hidden.append(name)
            continue
        room -= needed + _GAP
        table.add_column(
            column.heading, justify="left" if name in _WORDS else "right", no_wrap=True
        )
        styles = [_COLORS.get(text, "") if name == "bias" else "" for text in texts]
        cells.append([Text(*one) for one in zip(texts, styles, strict=True)])
    for at, row in enumerate(found.rows):
        table.add_row(*(one[at] for one in cells), style=None if row.is_sound else "dim")
    return Fitted(table, hidden)


def header(found: Ranking, rules: Rules, stake: str) -> list[str]:
    """Return the lines above the table: the kind of ranking, and figures of the whole market.

    :param stake: quote currency of the perps.
    """
    return [
        f"{rules.name}, {rules.timeframe}, enter_z {rules.thresholds.enter_z:g}: {stake} perps "
        f"by {found.by}, candle of {found.candle:%Y-%m-%d %H:%M} UTC",
        *_market_lines(found.market),
    ]


def _market_lines(market: Market) -> Iterator[str]:
    premium = market.premium_mean, market.premium_median, market.premium_below
    deviation = market.deviation_mean, market.deviation_median, market.deviation_below
    for name, known, (mean, median, below) in (
        ("premium", market.perps, premium),
        ("deviation", market.with_deviation, deviation),
    ):
        if mean is not None:
            share = f"All {known}" if known == market.perps else f"{known} of {market.perps}"
            yield (
                f"{share} perps, {name}: mean {mean:+z.1f}, median {median:+z.1f} bps; "
                f"{below:.0%} at {-DISLOCATED_BPS:g} bps or below"
            )
    yield "Unproven: entries did best on past days when the whole market was dislocated."


def change_line(changes: Changes) -> str:
    """Return a line about changes since the last candle."""
    said = []
    if changes.premium_mean is not None:
        said.append(f"mean premium {changes.premium_mean:+z.1f} bps")
    flips = [f"{_coin(flip.perp)} {flip.before} -> {flip.now}" for flip in changes.flips]
    for words, names in (
        ("bias ", flips),
        ("new in the table: ", [*map(_coin, changes.entered)]),
        ("no longer in it: ", [*map(_coin, changes.left)]),
    ):
        if names:
            said.append(words + named(names))
    else_none = "; ".join(said) or "no bias and no row changed"
    return f"Since the candle of {changes.since:%m-%d %H:%M}: {else_none}"


def footer(
    found: Ranking, without: int, pairlist: Path | None, hidden: Sequence[str] = ()
) -> list[str]:
    """Return the lines below the table: numbers of perps, and missing columns.

    :param without: number of perps without a premium source.
    :param pairlist: the written pair list.
    :param hidden: columns that did not fit.
    """
    said = [f"{len(found.rows)} of {found.ranked} ranked perps"]
    unsound = sum(not row.is_sound for row in found.rows)
    if pairlist and unsound:
        said.append(f"{unsound} of them not sound and not in {pairlist.name}")
    if found.left_out:
        said.append(f"{len(found.left_out)} left out")
    if without:
        said.append(f"{without} have nothing to compare with (see premium_source)")
    lines = ["; ".join(said)]
    if hidden:
        lines.append(f"No room for {', '.join(hidden)}: widen the terminal, or choose --columns")
    return lines


def left_out_lines(left_out: Sequence[LeftOut]) -> list[str]:
    """Return a line for each perp that cannot be ranked, or one with a count if they are many."""
    if len(left_out) <= FEW:
        return [f"{perp} is left out: {reason}" for perp, reason in left_out]
    perps = named([one.perp for one in left_out])
    return [
        f"{len(left_out)} perps are left out ({perps}), the first because: {left_out[0].reason}; "
        "--json has the reasons of all"
    ]


def _coin(perp: str) -> str:
    return perp.partition("/")[0]


def _change(row: Row, by: By, changes: Mapping[str, float]) -> str:
    if row.perp not in changes:
        return "new"
    change = changes[row.perp]
    return _CHANGES[by](change) if math.isfinite(change) else "?"


def short_number(value: float | None) -> str:
    """Return a number with about three digits.

    >>> short_number(1_234_567.0)
    '1.23M'
    """
    if value is None:
        return ""
    for unit, letter in _UNITS:
        if value >= unit:
            return f"{value / unit:.3g}{letter}"
    return f"{value:.3g}"
