"""``perp-imbalance sample``: write the synthetic sample market."""

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from perp_imbalance.cli.backtest import SAMPLE_DATADIR

if TYPE_CHECKING:
    from perp_imbalance.data.sample import SampleMarket

NOW_DATADIR = Path("user_data/sample-now/binance")

_EXAMPLE = """example:
  perp-imbalance sample --days 200
  freqtrade list-data --trading-mode futures --datadir user_data/sample/binance
  perp-imbalance sample --now
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand ``sample``."""
    parser = subparsers.add_parser(
        "sample",
        help="write a synthetic sample market",
        description="Write a SYNTHETIC market in freqtrade's own layout, for --datadir:\n"
        "the perps of the shipped config with mark, funding, premium index and spot,\n"
        "1h and 4h candles.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        *("-d", "--datadir", "--data-dir"),
        type=Path,
        metavar="FOLDER",
        help="folder to write; an older sample in it is replaced "
        f"(default: {SAMPLE_DATADIR}, with --now {NOW_DATADIR})",
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="seed of the random numbers (default: a fixed one)"
    )
    parser.add_argument("--days", type=int, metavar="N", help="length in days (default: a year)")
    parser.add_argument(
        "--now",
        action="store_true",
        help="end the sample tomorrow: for a dry-run, scan or doctor on perp-imbalance replay",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the sample market and print a summary."""
    # Imported late: pandas takes half a second to import, and other subcommands do not need it.
    from perp_imbalance.data.sample import (
        DEFAULT_DAYS,
        DEFAULT_SEED,
        DEFAULT_START,
        write_sample_market,
    )

    seed = DEFAULT_SEED if arguments.seed is None else arguments.seed
    days = DEFAULT_DAYS if arguments.days is None else arguments.days
    start, datadir = DEFAULT_START, SAMPLE_DATADIR
    if arguments.now:
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        start, datadir = today - timedelta(days=days - 2), NOW_DATADIR
    sample = write_sample_market(arguments.datadir or datadir, seed=seed, start=start, days=days)
    print(_summary(sample))
    return 0


def _summary(sample: "SampleMarket") -> str:
    minute = "%Y-%m-%d %H:%M"
    dear = sum(side > 0 for _, side in sample.extremes)
    return "\n".join(
        [
            f"SYNTHETIC sample market in {sample.datadir} (seed {sample.seed})",
            f"  {len(sample.files)} files: {', '.join(sample.pairs)}",
            f"  {sample.start:%Y-%m-%d} to {sample.end:%Y-%m-%d} (UTC), 1h and 4h",
            f"  no spot candles {sample.outage[0]:{minute}} to {sample.outage[1]:{minute}}",
            f"  spot halted {sample.halt[0]:{minute}} to {sample.halt[1]:{minute}}",
            f"  extreme premiums: {dear} with a dear perp, {len(sample.extremes) - dear} cheap",
        ]
    )
