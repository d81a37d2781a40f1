"""``perp-imbalance rehearse``: run a bot on past candles and compare its trades with a backtest."""

import argparse
import logging
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perp_imbalance.cli.backtest import backtest_data, backtest_overlay
from perp_imbalance.cli.console import folding_table, json_text, page_console
from perp_imbalance.cli.options import (
    add_candles,
    add_config,
    add_palette,
    add_strategy,
    check_writable,
    config_files,
)
from perp_imbalance.cli.progress import progress
from perp_imbalance.errors import CommandError
from perp_imbalance.files import run_name
from perp_imbalance.indicators.thresholds import TIMEFRAME
from perp_imbalance.strategy.palette import palette

if TYPE_CHECKING:
    from perp_imbalance.rehearsal import Comparison, Plan

logger = logging.getLogger(__name__)

EXIT_UNEXPLAINED = 1
PAGE = "rehearsal.html"
LOOKS = 6

EXAMPLE = """\
examples:
  perp-imbalance rehearse -d user_data/data/binance \\
      --timerange 20250101-20250201
  perp-imbalance rehearse -d user_data/data/binance \\
      --timerange 20250101-20250201 --json

freqtrade's own trade command lives through the candles, on a clock that moves while the bot sleeps,
at an exchange on this machine that serves the candles. The config's keys, Telegram, webhook and
REST API are left out and dry_run is forced; database, log and page are the rehearsal's own. Inside
the finest candles of the folder, the price takes a SYNTHETIC path from open through both extremes
to close: stops are seen, but not when or in which order that was. --timerange needs both ends and
must begin 459 candles after the folder does. docs/rehearsal.md explains the tables.

exit codes: 0: every difference from the backtest has a known cause; 1: not; 2: it could not be done
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand ``rehearse``."""
    parser = subparsers.add_parser(
        "rehearse",
        help="run a config through freqtrade's live code on past candles; compare with a backtest",
        description="Run a config through freqtrade's live code on past candles, and compare its "
        "trades with a backtest of them. Sends no order and uses no key.",
        epilog=EXAMPLE,
    )
    add_config(parser)
    add_candles(parser, pairs="the config's whitelist")
    add_strategy(parser)
    parser.add_argument(
        "--looks",
        type=int,
        default=LOOKS,
        metavar="N",
        help="how often the bot looks in each candle (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="new folder for database, log and page (default: one in user_data/rehearsals)",
    )
    add_palette(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Rehearse, backtest and compare."""
    from perp_imbalance.rehearsal import held_against_backtest, page

    plan, candle = plan_of(arguments)
    # freqtrade logs each file that it opens.
    logging.getLogger("freqtrade").setLevel(logging.WARNING)
    try:
        with progress() as tell:
            comparison = held_against_backtest(
                plan,
                candle,
                tell=lambda what, done, candles: tell(
                    f"{what}: candle {done} of {candles}", done, candles
                ),
            )
    except (KeyboardInterrupt, SystemExit):
        # plan_of checked that the folder was new. A partial rehearsal is useless: remove it.
        shutil.rmtree(plan.folder, ignore_errors=True)
        raise
    file = plan.folder / PAGE
    page.write(plan, comparison, file, palette(arguments.palette, arguments.dark))
    if arguments.json:
        print(json_text(as_values(plan, comparison)))
    else:
        show(plan, comparison)
        page_console().print(f"Database, log and page: {plan.folder}")
    return 0 if comparison.explained else EXIT_UNEXPLAINED


def as_values(plan: "Plan", comparison: "Comparison") -> dict[str, Any]:
    """Return the comparison as plain data for ``--json``."""
    from perp_imbalance.rehearsal import page

    return {
        "strategy": plan.config["strategy"],
        "pairs": page.pairs(plan),
        "start": plan.start,
        "end": plan.end,
        "looks": len(plan.looks or ()),
        **comparison.as_dict(),
        "folder": plan.folder,
        "page": plan.folder / PAGE,
    }


def plan_of(arguments: argparse.Namespace) -> "tuple[Plan, timedelta]":
    """Return the plan of the rehearsal, and the length of a candle.

    :raises CommandError: if options are missing or do not fit together.
    """
    from freqtrade.exchange import timeframe_to_seconds

    from perp_imbalance.freqtrade_bridge.config import load_config, merged_config
    from perp_imbalance.freqtrade_bridge.secrets import without_secrets
    from perp_imbalance.freqtrade_bridge.strategies import strategy_folder
    from perp_imbalance.reconcile.span import pairs_of
    from perp_imbalance.rehearsal import Plan, check_span, even_looks
    from perp_imbalance.strategy.settings import SECTION

    if arguments.looks < 1:
        raise CommandError(f"--looks {arguments.looks}: a bot looks at least once in a candle")
    start, stop = span(arguments.timerange)
    files = config_files(arguments)
    # freqtrade opens db_url as soon as it reads a config; this one belongs to the trading bot.
    no_log = {"logfile": ""}
    config = load_config(files, overlay=no_log)
    arguments.datadir = arguments.datadir or Path(config["datadir"])
    strategy = arguments.strategy or config.get("strategy")
    if not strategy:
        raise CommandError("rehearse needs --strategy, as the config names none")
    timeframe = arguments.timeframe or config.get("timeframe", TIMEFRAME)
    arguments.pairs, notes = pairs_of(config, None, arguments.datadir, timeframe, arguments.pairs)
    data = backtest_data(config, arguments.datadir, arguments)
    candle = timeframe_to_seconds(data.timeframe)
    if arguments.looks >= candle:
        raise CommandError(
            f"--looks {arguments.looks}: in a candle of {data.timeframe} are at most {candle - 1}"
        )
    check_span(data, start, stop)
    folder = arguments.output or Path(config["user_data_dir"], "rehearsals", run_name("rehearsal"))
    if folder.exists():
        raise CommandError(f"{folder} exists already: name another folder with --output")
    check_writable(folder)
    overlay = (
        no_log
        | backtest_overlay(config, data)
        | {
            "strategy": strategy,
            "strategy_path": str(strategy_folder(config, strategy)),
        }
    )
    for note in notes:
        logger.warning("%s", note)
    looks = tuple(even_looks(arguments.looks, candle))
    whole = merged_config(files, overlay)
    plan = Plan(
        # Keys within our section of the config are pairs, such as TOKEN/USDT:USDT.
        {**without_secrets(whole), SECTION: whole[SECTION]},
        data.folder.for_freqtrade.resolve(),
        folder,
        start + timedelta(seconds=looks[0]),
        stop - timedelta(seconds=1),
        looks=looks,
        # If the price stayed at the candle's open, a bot would not see stops within the candle.
        walk=True,
    )
    return plan, timedelta(seconds=candle)


def span(timerange: str | None) -> tuple[datetime, datetime]:
    """Return the start and end of a time range.

    :raises CommandError: if one is missing.
    """
    from freqtrade.configuration import TimeRange

    from perp_imbalance.freqtrade_bridge.config import check_timerange

    check_timerange(timerange)
    parsed = TimeRange.parse_timerange(timerange)
    if parsed.startdt is None or parsed.stopdt is None:
        raise CommandError("rehearse needs --timerange with both ends, such as 20250101-20250201")
    return parsed.startdt.astimezone(UTC), parsed.stopdt.astimezone(UTC)


def show_tables(comparison: "Comparison") -> None:
    """Print the tables of a comparison, each with an explanation of its terms."""
    from perp_imbalance.rehearsal import page

    console = page_console()
    for rows in page.tables(comparison):
        table = folding_table(rows[0], page.NUMBERS)
        for row in rows:
            table.add_row(*row.values())
        console.print(table)
        console.print(page.LEGENDS[next(iter(rows[0]))])


def show(plan: "Plan", comparison: "Comparison") -> None:
    """Print what the bot and the backtest traded, and where they differ."""
    from perp_imbalance.rehearsal import page

    console = page_console()
    console.print(page.heading(plan))
    show_tables(comparison)
    console.print(page.verdict(comparison))
