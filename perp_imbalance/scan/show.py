"""The ranking as a table for eyes."""

import math
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from perp_imbalance.data.backtest_data import FEW, named
from perp_imbalance.scan.rank import LeftOut, Ranking, Row, Rules

_UNITS = ((1e9, "B"), (1e6, "M"), (1e3, "k"))
_MARKS = {True: "yes", False: "no", None: "?"}
_COLORS = {"short": "red", "long": "green"}


def ranking_table(rows: Sequence[Row], rules: Rules) -> Table:
    """Return one line a perp, the most extreme first; what the doctor would refuse is dim."""
    names = list(rows[0].gates) if rows else []
    enter = f"enter_z {rules.thresholds.enter_z:g}"
    table = Table(title=f"{rules.name}, {rules.timeframe}, {enter}", title_justify="left")
    table.add_column("perp", overflow="fold")
    headings = ("z", "bias", "since (UTC)", "premium %", "funding % / 8h", "24h", *names)
    for heading in (*headings, "missing", "tick noise", "sound", "against"):
        # On a narrow terminal, folded, not cut.
        table.add_column(heading, justify="right", overflow="fold")
    for row in rows:
        color = _COLORS.get(row.bias)
        table.add_row(
            row.perp,
            f"{row.z:+.2f}",
            f"[{color}]{row.bias}[/]" if color else "",
            _since(row),
            f"{row.premium_pct:+.3f}",
            "" if row.funding is None else f"{row.funding * 100:+.4f}",
            short_number(row.volume_24h),
            *(_MARKS[row.gates[name]] for name in names),
            f"{row.missing:.1%}",
            f"{row.tick_noise:.2f}" if math.isfinite(row.tick_noise) else "all",
            _sound(row),
            row.source,
            style=None if row.is_sound else "dim",
        )
    return table


def footer(found: Ranking, without: int, pairlist: Path | None) -> str:
    """Return what stands below the table: how many perps it has, and which it lacks.

    :param without: perps that have nothing to compare with.
    :param pairlist: the pair list that was written.
    """
    last = max(row.candle for row in found.rows)
    shown = f"{len(found.rows)} of {found.ranked} ranked perps"
    said = [f"{shown}, candle of {last:%Y-%m-%d %H:%M} UTC"]
    unsound = sum(not row.is_sound for row in found.rows)
    if pairlist and unsound:
        said.append(f"{unsound} of them not sound and not in {pairlist.name}")
    if found.left_out:
        said.append(f"{len(found.left_out)} left out")
    if without:
        said.append(f"{without} have nothing to compare with (see premium_source)")
    return "; ".join(said)


def left_out_lines(left_out: Sequence[LeftOut]) -> list[str]:
    """Return a line for each perp that cannot be ranked; one with a count where they are many."""
    if len(left_out) <= FEW:
        return [f"{perp} is left out: {reason}" for perp, reason in left_out]
    perps = named([one.perp for one in left_out])
    return [
        f"{len(left_out)} perps are left out ({perps}), the first because: {left_out[0].reason}; "
        "--json has the reasons of all"
    ]


def _since(row: Row) -> str:
    if row.bias == "none":
        return ""
    return f"{row.since:%m-%d %H:%M}" if row.since is not None else "earlier"


def _sound(row: Row) -> str:
    if row.is_sound and row.is_doubtful:
        return "[yellow]doubtful[/]"
    return _MARKS[row.is_sound]


def short_number(value: float | None) -> str:
    """Return a number in three digits or so.

    >>> short_number(1_234_567.0)
    '1.23M'
    """
    if value is None:
        return ""
    for unit, letter in _UNITS:
        if value >= unit:
            return f"{value / unit:.3g}{letter}"
    return f"{value:.3g}"
