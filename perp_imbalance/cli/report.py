"""``perp-imbalance report``: write a page about a backtest result."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perp_imbalance.cli.options import (
    add_config,
    add_datadir,
    add_palette,
    add_strategy_path,
    config_files,
    refuse_existing,
)
from perp_imbalance.strategy.palette import palette

if TYPE_CHECKING:
    from perp_imbalance.reporting.build import Report

EXAMPLE = """\
examples:
  perp-imbalance report
  perp-imbalance report --dark \\
      user_data/backtest_results/backtest-result-2026-01-31_12-00-00.zip
  perp-imbalance report -d user_data/data/binance --output report.html

One page that needs no network: equity and drawdown compared with buy-and-hold, profit by preset,
exit tag, side, |z| at entry, hour and month, holding time compared with the time z took to cool,
captured premium and price move, and the worst trades with a small chart each.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand ``report``."""
    parser = subparsers.add_parser(
        "report",
        help="a page about a backtest: what earned, what cost, and the worst trades",
        description="Write a page about a result of freqtrade's backtesting.",
        epilog=EXAMPLE,
    )
    parser.add_argument(
        "result",
        nargs="?",
        type=Path,
        metavar="RESULT.zip",
        help="freqtrade's result file, or a folder of them (default: the newest)",
    )
    add_config(parser)
    add_datadir(parser, "default: the one that the result names, else the config's")
    add_strategy_path(parser)
    add_palette(parser)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="page to write, or a folder for it (default: next to the result)",
    )
    parser.add_argument("--force", action="store_true", help="replace an existing page")
    parser.add_argument("--json", action="store_true", help="print all tables as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the report and print its path."""
    from perp_imbalance.freqtrade_bridge.config import load_config
    from perp_imbalance.reporting.backtest_result import newest_result

    config = load_config(config_files(arguments))
    file = arguments.result or Path(config["exportdirectory"])
    if file.is_dir():
        file = newest_result(file)
    output = file.with_suffix(".html")
    if arguments.output:
        output = arguments.output / output.name if arguments.output.is_dir() else arguments.output
        refuse_existing([output], force=arguments.force)
    report = write(
        file,
        config,
        datadir=arguments.datadir,
        output=output,
        colors=(arguments.palette, arguments.dark),
    )
    if arguments.json:
        print(json.dumps(report.as_dict(), indent=1))
        return 0
    for line in (*report.notes, report.fees, f"Report: {report.file}"):
        print(line)
    return 0


def write(
    file: Path,
    config: dict[str, Any],
    *,
    datadir: Path | None = None,
    output: Path | None = None,
    colors: tuple[str, bool] = ("classic", False),
) -> "Report":
    """Write the report of a result file; on a terminal, show the progress.

    :param config: freqtrade's config with its defaults.
    :param datadir: folder of the candles; if None, the one in the result, else the config's.
    :param output: file or folder of the page; if None, next to the result.
    :param colors: name of the palette, and whether the background is dark.
    """
    import logging

    from rich.console import Console

    from perp_imbalance.freqtrade_bridge.strategies import strategy_folder
    from perp_imbalance.reporting.build import make_report

    # freqtrade logs each file that it opens and each setting that it reads.
    logging.getLogger("freqtrade").setLevel(logging.WARNING)
    with Console(stderr=True).status("report") as status:
        return make_report(
            file,
            datadir=datadir,
            fallback=Path(config["datadir"]),
            strategies=strategy_folder(config),
            output=output or file.with_suffix(".html"),
            palette=palette(*colors),
            tell=lambda what: status.update(f"report: {what}"),
        )
