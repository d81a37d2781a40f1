"""The result of a rehearsal as tables for the terminal and as an HTML page."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from perp_imbalance.plotting.html_page import Section, Table, write_page
from perp_imbalance.rehearsal.comparison import KINDS, TOLERANCE_BPS, Comparison
from perp_imbalance.rehearsal.plan import Plan
from perp_imbalance.strategy.palette import Palette

Rows = list[dict[str, str]]

# Headings of the first column, each of which identifies its table.
_TRADES, _PROFIT, _KIND = "trades", "profit, bot minus backtest", "difference"
_CAUSE = "kind of cause"
_UNEXPLAINED = "unexplained"
#: Headings of numeric columns.
NUMBERS = frozenset({"backtest", "bot", "same", "mean bps", "number", "unexplained", "bps"})
_TITLES = {
    _TRADES: "Trades",
    _PROFIT: "Profit, bot minus backtest",
    _KIND: "Differences by kind",
    _CAUSE: "Differences by cause",
    "pair": "Each difference",
    "open": "Open at the end",
}
LEGENDS = {
    _TRADES: "Same: opened or closed by both in the same candle.",
    _PROFIT: "Of trades that both opened and closed in the same candles: mean difference of their "
    "profit, in bps of the stake. Spread: a price at the first look of a candle. Delay: at a later "
    "look. Stop: the price of a stop.",
    _KIND: "Missed: an entry of the backtest alone. Extra: of the bot alone. Late: made by the bot "
    "in a later candle. Tag, exit: an entry of both, with another tag or another end.",
    _CAUSE: "How many differences have a cause of each kind.",
    "pair": "Times are UTC. bps: what the bot earned more by the difference, in bps of the stake.",
    "open": "Trades that are open when the time is over. They count as entries, not as exits, and "
    "in no figure of profit.",
}


def heading(plan: Plan) -> str:
    """Return one line that describes what was rehearsed."""
    candles = f"{plan.start:%Y-%m-%d %H:%M} to {plan.end:%Y-%m-%d %H:%M}"
    return f"{plan.config['strategy']} on {', '.join(pairs(plan))}, {candles} UTC"


def pairs(plan: Plan) -> list[str]:
    """Return the pairs of a plan."""
    return list(plan.config["exchange"]["pair_whitelist"])


def verdict(comparison: Comparison) -> str:
    """Return one line on whether all differences are explained."""
    if not (comparison.backtest_trades or comparison.bot_trades):
        return "No trades in this time: nothing was compared"
    said = "all explained" if comparison.explained else "not all explained"
    if comparison.largest_rest_bps > TOLERANCE_BPS:
        said += (
            f"; the profit of a trade differs by {comparison.largest_rest_bps:.1f} bps more than "
            "its causes"
        )
    return f"Differences: {len(comparison.differences)}, {said}"


def tables(comparison: Comparison) -> list[Rows]:
    """Return the tables that have rows; the first key of a row is the heading of its table."""
    profit = [
        {_PROFIT: cause, "mean bps": _signed(bps, 2)}
        for cause, bps in comparison.profit_bps.items()
    ]
    kinds = [
        {
            _KIND: kind,
            "number": str(sum(each.kind == kind for each in comparison.differences)),
            "unexplained": str(sum(each.kind == kind for each in comparison.unexplained)),
        }
        for kind in KINDS
    ]
    causes = Counter(_kind_of(each.cause) for each in comparison.differences)
    by_cause = [{_CAUSE: cause, "number": str(count)} for cause, count in causes.most_common()]
    still_open = [
        {
            "open": each.pair,
            "side": each.side,
            "entry": f"{each.time:%Y-%m-%d %H:%M}",
            "held by": each.held_by,
        }
        for each in comparison.still_open
    ]
    by_count, each_one = _counts(comparison), _each_difference(comparison)
    return [rows for rows in (by_count, profit, kinds, by_cause, each_one, still_open) if rows]


def _counts(comparison: Comparison) -> Rows:
    """Return how many entries and exits backtest and bot made, and how many are the same."""
    held = [each.held_by for each in comparison.still_open]
    both = held.count("both")
    backtest, bot = (both + held.count(name) for name in ("backtest", "bot"))
    counts: Mapping[str, tuple[int, int, int]] = {
        "entries": (comparison.backtest_trades, comparison.bot_trades, comparison.entries),
        "exits": (
            comparison.backtest_trades - backtest,
            comparison.bot_trades - bot,
            comparison.closed,
        ),
        "open at the end": (backtest, bot, both),
    }
    return [
        {_TRADES: name, **dict(zip(("backtest", "bot", "same"), map(str, row), strict=True))}
        for name, row in counts.items()
    ]


def _each_difference(comparison: Comparison) -> Rows:
    return [
        {
            "pair": each.pair,
            "side": each.side,
            "entry": f"{each.time:%Y-%m-%d %H:%M}",
            "kind": each.kind,
            "in the backtest": each.backtest,
            "by the bot": each.bot,
            "bps": "" if each.bps is None else _signed(each.bps, 1),
            "cause": each.cause or _UNEXPLAINED,
        }
        for each in comparison.differences
    ]


def _kind_of(cause: str | None) -> str:
    """Return the first words of a cause, without the details of one trade.

    >>> _kind_of("changed settings: enter_z was 2.0, is 1.7")
    'changed settings'
    """
    return re.split(r"[:,]| of \d", cause)[0] if cause else _UNEXPLAINED


def _signed(value: float, places: int) -> str:
    """Return a number with its sign; a number that rounds to zero has none.

    >>> _signed(-0.001, 2)
    '0.00'
    """
    text = f"{value:+.{places}f}"
    return text if float(text) else text[1:]


def write(plan: Plan, comparison: Comparison, file: Path, colors: Palette | None = None) -> None:
    """Write the page, atomically.

    :param colors: as :func:`perp_imbalance.plotting.html_page.write_page` takes them.
    :raises CommandError: if the file cannot be written.
    """
    sections = [
        Section(_TITLES[first], [LEGENDS[first], Table(rows)])
        for rows in tables(comparison)
        for first in [next(iter(rows[0]))]
    ]
    notes = [
        heading(plan),
        f"Looks of the bot in each candle: {len(plan.looks or ())}. Inside the finest candles of "
        "the folder, the price took a SYNTHETIC path from open through both extremes to close.",
    ]
    title = "Rehearsal and backtest"
    write_page(file, title, verdict(comparison), sections, notes=notes, colors=colors)
