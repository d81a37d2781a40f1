"""``perp-imbalance doctor``: check before a bot starts whether it would trade correctly."""

import argparse
import json
import math
from typing import TYPE_CHECKING

from perp_imbalance.cli.console import folding_table, page_console
from perp_imbalance.cli.options import add_config, add_strategy, config_files
from perp_imbalance.cli.progress import progress

if TYPE_CHECKING:
    from rich.console import Console

    from perp_imbalance.doctor import PairFigures, Report

EXAMPLE = """\
examples:
  perp-imbalance doctor -c config.json
  perp-imbalance doctor -c config.json -s PerpImbalanceConservative --json

exit code: 0 where it says PASS, 1 where something must be fixed, 2 where it could not look
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand ``doctor``."""
    parser = subparsers.add_parser(
        "doctor",
        help="check before a bot starts whether it would trade correctly",
        description="Open config, strategy and exchange as the bot does, look at the candles of "
        "every pair, and end with PASS or with what to fix. Sends no order and uses no key.",
        epilog=EXAMPLE,
    )
    add_config(parser)
    add_strategy(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a page")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the checks and print the page or the JSON."""
    # Imported late: freqtrade takes seconds to import, and other subcommands do not need it.
    from perp_imbalance.doctor import examine

    with progress() as tell:
        report = examine(config_files(arguments), strategy=arguments.strategy, tell=tell)
    if arguments.json:
        print(json.dumps(report.as_json(), indent=1))
    else:
        print_page(report)
    return report.exit_code


def print_page(report: "Report") -> None:
    """Print versions, bot checks, one row of figures per pair, and the verdict."""
    from perp_imbalance.doctor import Level

    console = page_console()
    versions = (f"{name} {number or 'missing'}" for name, number in report.versions.items())
    console.print(", ".join(versions), soft_wrap=True)
    _print_checks(console, report)
    if report.pairs:
        _print_pairs(console, report.pairs)
    for level, heading in ((Level.WARNING, "Warnings:"), (Level.MUST_FIX, "To fix:")):
        if found := report.of(level):
            console.print(heading)
        for check in found:
            console.print(f"- {check}", soft_wrap=True, markup=False)
    console.print("PASS" if report.exit_code == 0 else f"{len(report.of(Level.MUST_FIX))} to fix")


def _print_checks(console: "Console", report: "Report") -> None:
    from perp_imbalance.doctor import Level

    table = folding_table(("check", "level", "seen"))
    for check in report.checks:
        if check.pair is None:
            # The details of a warning are printed below the table, one per line.
            seen = check.message if check.level is Level.OK else "see below"
            table.add_row(check.name, check.level.value, seen)
    console.print(table)


def _print_pairs(console: "Console", pairs: "list[PairFigures]") -> None:
    figures = ("scale", "rule", "ratio", "perp late", "spot late", "no spot", "tick noise")
    table = folding_table(("perp", "spot", *figures), figures)
    for pair in pairs:
        table.add_row(
            pair.perp,
            pair.spot or "",
            "" if pair.scale is None else f"{pair.scale:g}",
            pair.rule or "",
            _figure(pair.price_ratio, ".4f"),
            "" if pair.perp_behind is None else str(pair.perp_behind),
            "" if pair.spot_behind is None else str(pair.spot_behind),
            _figure(pair.without_spot, ".1%"),
            _figure(pair.tick_noise, ".2f"),
        )
    console.print(table)
    _print_seconds(console, [pair for pair in pairs if pair.second])
    _print_stops(console, [pair for pair in pairs if not math.isnan(pair.stop)])


def _print_seconds(console: "Console", pairs: "list[PairFigures]") -> None:
    """Print how closely the premium of each pair follows its second measurement."""
    if not pairs:
        return
    figures = ("correlation", "extremes", "equal sign", "index is 0")
    table = folding_table(("perp", "second premium", *figures), figures)
    for pair in pairs:
        table.add_row(
            pair.perp,
            pair.second or "",
            _figure(pair.correlation, ".2f"),
            str(pair.extremes),
            _figure(pair.equal_sign, ".0%"),
            _figure(pair.zeros, ".0%"),
        )
    console.print(table)


def _print_stops(console: "Console", pairs: "list[PairFigures]") -> None:
    """Print the distance from each price to its stop and to its liquidation price."""
    if not pairs:
        return
    figures = ("leverage", "stop", "liquidated")
    table = folding_table(("perp", *figures), figures)
    for pair in pairs:
        table.add_row(
            pair.perp,
            _figure(pair.leverage, "g"),
            _figure(pair.stop, ".1%"),
            _figure(pair.liquidation, ".1%"),
        )
    console.print(table)


def _figure(value: float, form: str) -> str:
    return "" if math.isnan(value) else f"{value:{form}}"
