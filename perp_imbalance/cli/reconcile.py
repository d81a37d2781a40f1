"""``perp-imbalance reconcile``: compare a bot's real trades with a backtest of the same time."""

import argparse
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perp_imbalance.cli.backtest import backtest_data, backtest_overlay
from perp_imbalance.cli.console import folding_table, json_text, page_console
from perp_imbalance.cli.options import (
    add_candles,
    add_config,
    add_strategy,
    check_writable,
    config_files,
)
from perp_imbalance.cli.rehearse import show_tables
from perp_imbalance.errors import CommandError

if TYPE_CHECKING:
    import pandas as pd

    from perp_imbalance.data.backtest_data import BacktestData
    from perp_imbalance.reconcile import BotRecord, Lock, Reconciliation
    from perp_imbalance.rehearsal import Plan

EXIT_DIFFERS = 1

EXAMPLE = """\
examples:
  perp-imbalance reconcile --db sqlite:///tradesv3.sqlite -c config.json \\
      -d user_data/data/binance --logfile user_data/logs/freqtrade.log
  perp-imbalance reconcile --lock band.json -d user_data/data/binance
  perp-imbalance reconcile --lock band.json -d user_data/data/binance \\
      --db sqlite:///tradesv3.sqlite

The database is only read, also while the bot runs; no key is used and no exchange asked. Without
--logfile, a bot that was down is known only by its starts, and an order that was not filled not at
all, since freqtrade deletes it: such a difference is "unexplained".

exit codes: 0: every difference has a cause and the result is not outside the band; 1: not; 2: it
could not be done
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand ``reconcile``."""
    parser = subparsers.add_parser(
        "reconcile",
        help="compare a bot's real trades with a backtest of the same time",
        description="Compare what a bot really traded with freqtrade's backtest of the same time: "
        "matched, missed, extra and late trades with their likely cause, slippage and fees.",
        epilog=EXAMPLE,
    )
    parser.add_argument(
        *("--db", "--db-url"),
        metavar="URL",
        help="the bot's database, as freqtrade's db_url; only read",
    )
    add_config(parser)
    add_candles(parser, pairs="the config's whitelist and what the bot traded")
    add_strategy(parser)
    parser.add_argument(
        *("--logfile", "--log-file"),
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="freqtrade's --logfile of the bot; more than once where it was rotated",
    )
    parser.add_argument(
        "--lock",
        type=Path,
        metavar="FILE",
        help="file of the expected band: without --db, written from a backtest before the bot "
        "trades; with --db, read and compared, for the same config only",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Lock a band, or compare a bot with a backtest."""
    from freqtrade.enums import RunMode

    from perp_imbalance.freqtrade_bridge.config import load_config
    from perp_imbalance.freqtrade_bridge.strategies import load_strategy, strategy_folder
    from perp_imbalance.reconcile import Lock

    if arguments.db is None and arguments.lock is None:
        raise CommandError("reconcile needs --db, the bot's database, or --lock to lock a band")
    locks, exists = arguments.db is None, arguments.lock is not None and arguments.lock.exists()
    if locks and exists:
        raise CommandError(f"{arguments.lock} exists already: name another file, or add --db")
    if not locks and arguments.lock is not None and not exists:
        raise CommandError(
            f"there is no {arguments.lock}: lock a band before the bot trades, without --db"
        )
    lock = Lock.read(arguments.lock) if exists else None
    config = load_config(config_files(arguments))
    arguments.datadir = arguments.datadir or Path(config["datadir"])
    arguments.is_named = arguments.strategy is not None
    arguments.strategy = arguments.strategy or config.get("strategy")
    if not arguments.strategy:
        raise CommandError("reconcile needs --strategy, as the config names none")
    folder = strategy_folder(config, arguments.strategy)
    options = {"strategy": arguments.strategy, "strategy_path": str(folder)}
    if arguments.timeframe:
        options["timeframe"] = arguments.timeframe
    complete = load_config(config_files(arguments), runmode=RunMode.BACKTEST, overlay=options)
    strategy = load_strategy(complete, with_parameters=True)
    # freqtrade logs each file that it opens.
    logging.getLogger("freqtrade").setLevel(logging.WARNING)
    if not hasattr(strategy, "entry_settings"):
        raise CommandError(f"{arguments.strategy} is not based on PerpImbalance")
    settings = json.loads(json.dumps(strategy.entry_settings(), default=str))
    if locks:
        return lock_band(arguments, config, settings)
    return compare(arguments, config, settings, lock)


def compare(
    arguments: argparse.Namespace,
    config: dict[str, Any],
    settings: dict[str, Any],
    lock: "Lock | None",
) -> int:
    """Compare a bot with a backtest, and print the differences."""
    from rich.console import Console

    from perp_imbalance.reconcile import read_log, read_record, reconcile
    from perp_imbalance.reconcile.span import (
        check_history,
        check_timeframe,
        last_candle,
        pairs_of,
        span_of,
    )

    record = read_record(arguments.db, arguments.strategy, is_named=arguments.is_named)
    check_timeframe(record, settings["config"]["timeframe"])
    arguments.pairs, notes = pairs_of(
        config, record, arguments.datadir, settings["config"]["timeframe"], arguments.pairs
    )
    if lock:
        lock.check(settings, arguments.pairs, arguments.lock)
    asked = arguments.timerange
    data, candle = candles(arguments, config)
    log = read_log(arguments.logfile, candle)
    start, end = within_asked(asked, *span_of(record, log, candle, last_candle(data)))
    check_history(data, start, candle)
    plan = plan_of(arguments, config, data, start, end)
    with Console(stderr=True).status(f"backtest {start:%Y-%m-%d} to {end:%Y-%m-%d}"):
        found = reconcile(record, log, plan, candle, settings, lock)
    found.notes.extend([*notes, *missing_evidence(record, arguments.logfile)])
    if arguments.json:
        print(json_text(found.as_dict()))
    else:
        show(found)
    return 0 if found.is_fine else EXIT_DIFFERS


def lock_band(
    arguments: argparse.Namespace, config: dict[str, Any], settings: dict[str, Any]
) -> int:
    """Run a backtest and write the data of a band to a file."""
    from perp_imbalance.reconcile import Lock
    from perp_imbalance.reconcile.band import LEAST_TRADES
    from perp_imbalance.reconcile.span import first_start, last_candle, pairs_of
    from perp_imbalance.rehearsal.backtested import backtest

    check_writable(arguments.lock)
    arguments.pairs, notes = pairs_of(
        config, None, arguments.datadir, settings["config"]["timeframe"], arguments.pairs
    )
    asked = arguments.timerange
    data, candle = candles(arguments, config)
    start, end = within_asked(asked, first_start(data, candle), last_candle(data))
    trades = backtest(plan_of(arguments, config, data, start, end), candle)
    # As a time range, whose end is exclusive.
    span = f"{start:%Y%m%d}-{end.ceil('D'):%Y%m%d}"
    lock = Lock.of(trades, settings, arguments.pairs, span)
    drawn = lock.band(len(lock.profits_bps))
    if drawn is None:
        raise CommandError(
            f"{len(lock.profits_bps)} closed trades in {span}: a band needs at least "
            f"{LEAST_TRADES}; take a longer time"
        )
    lock.write(arguments.lock)
    if arguments.json:
        print(json_text(vars(lock) | {"hash": lock.hash, "band": vars(drawn)}))
        return 0
    for note in notes:
        print(f"Note: {note}")
    print(f"Locked in {arguments.lock}, hash {lock.hash[:12]}: {drawn.trades} trades of {span}")
    print(
        f"Mean of as many trades: {drawn.low:+.1f} to {drawn.high:+.1f} bps in 95 of 100 cases; of "
        "fewer, wider"
    )
    return 0


def candles(
    arguments: argparse.Namespace, config: dict[str, Any]
) -> "tuple[BacktestData, pd.Timedelta]":
    """Return the stored candles of the pairs, and the length of a candle."""
    import pandas as pd
    from freqtrade.exchange import timeframe_to_seconds

    from perp_imbalance.freqtrade_bridge.config import check_timerange

    check_timerange(arguments.timerange)
    arguments.timerange = None
    data = backtest_data(config, arguments.datadir, arguments)
    return data, pd.Timedelta(seconds=timeframe_to_seconds(data.timeframe))


def within_asked(
    timerange: str | None, start: "pd.Timestamp", end: "pd.Timestamp"
) -> "tuple[pd.Timestamp, pd.Timestamp]":
    """Return the part of a time span that lies in the requested time range.

    :raises CommandError: if they do not overlap.
    """
    import pandas as pd
    from freqtrade.configuration import TimeRange

    asked = TimeRange.parse_timerange(timerange)
    if asked.startdt is not None:
        start = max(start, pd.Timestamp(asked.startdt))
    if asked.stopdt is not None:
        end = min(end, pd.Timestamp(asked.stopdt) - pd.Timedelta(seconds=1))
    if end <= start:
        raise CommandError(
            f"nothing to compare from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"
        )
    return start, end


def plan_of(
    arguments: argparse.Namespace,
    config: dict[str, Any],
    data: "BacktestData",
    start: "pd.Timestamp",
    end: "pd.Timestamp",
) -> "Plan":
    """Return the plan of the backtest."""
    from perp_imbalance.freqtrade_bridge.config import merged_config
    from perp_imbalance.freqtrade_bridge.strategies import strategy_folder
    from perp_imbalance.rehearsal import Plan

    overlay = backtest_overlay(config, data) | {
        "strategy": arguments.strategy,
        "strategy_path": str(strategy_folder(config, arguments.strategy)),
        # A bot always uses its protections.
        "enable_protections": True,
    }
    whole = merged_config(config_files(arguments), overlay)
    datadir = data.folder.for_freqtrade.resolve()
    return Plan(whole, datadir, datadir, start.to_pydatetime(), end.to_pydatetime())


def missing_evidence(record: "BotRecord", logs: list[Path]) -> list[str]:
    """Return notes on what cannot be determined, and why."""
    notes = []
    if not logs:
        notes.append(
            "no --logfile: downtimes are known from the bot's starts only, and unfilled orders are "
            "not known"
        )
    lacking = len(record.trades) - len(record.settings)
    if lacking:
        notes.append(
            f"{lacking} of {len(record.trades)} trades have no settings stored at their entry, as "
            "version 0.3.0 does: whether settings changed is not known there"
        )
    return notes


def show(found: "Reconciliation") -> None:
    """Print what the bot and the backtest traded, where they differ and why."""
    from perp_imbalance.rehearsal import page

    console = page_console()
    console.print(f"{found.start:%Y-%m-%d %H:%M} to {found.end:%Y-%m-%d %H:%M} UTC")
    show_tables(found.comparison)
    costs = folding_table(["mean of the same trades", "bps"], {"bps"})
    for name, bps in found.costs_bps.items():
        costs.add_row(name, f"{bps:+.2f}")
    if costs.row_count:
        console.print(costs)
    for note in found.notes:
        console.print(f"Note: {note}")
    for change, number in found.changed.items():
        console.print(f"Changed settings: {change}, at the entry of {number} trades")
    console.print(page.verdict(found.comparison))
    console.print(f"Result: {said_of_band(found)}")


def said_of_band(found: "Reconciliation") -> str:
    """Return a sentence on whether the bot's result lies inside the band."""
    if found.live_bps is None:
        return "no trade of the bot is closed"
    mean = f"{found.live_bps:+.1f} bps a trade over {found.live_trades} closed trades"
    if found.band is None:
        return f"{mean}; the backtest has too few trades for a band"
    source = f"locked {found.locked} UTC" if found.locked else "of this backtest's own trades"
    where = "inside" if found.is_inside else "OUTSIDE"
    return (
        f"{mean}, {where} the band of {found.band.low:+.1f} to {found.band.high:+.1f} bps, which "
        f"holds 95 of 100 means ({source}, drawn from {found.band.trades} trades)"
    )
