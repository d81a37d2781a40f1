"""``perp-imbalance evidence``: whether the signal carries information."""

import argparse
import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perp_imbalance.commands.options import add_candles, add_config, candle_folder, config_files
from perp_imbalance.errors import DataError, SettingsError
from perp_imbalance.files import write_whole
from perp_imbalance.indicators.thresholds import PRESETS

if TYPE_CHECKING:
    from perp_imbalance.research.evidence import Method

_EXAMPLE = """example:
  perp-imbalance evidence --datadir user_data/data/binance --pairs BTC/USDT:USDT --horizons 4,24

What followed flips of the bias and entries, per pair, preset and side: gross, against the drift of
the same side, and net of two taker fees and funding, with 95 % intervals of a block bootstrap; by
year, by volatility; and how much of it was the premium's own way back. Writes JSON and HTML.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand ``evidence``."""
    parser = subparsers.add_parser(
        "evidence",
        help="whether the signal carries information, with intervals",
        description="An event study of the signal on stored candles.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config(parser)
    add_candles(parser)
    parser.add_argument("--htf-timeframe", metavar="TF", help="default: the config's")
    parser.add_argument(
        "--horizons", default="1,4,12,24", metavar="N,N", help="candles (default: %(default)s)"
    )
    parser.add_argument(
        "--fee", type=float, default=0.0005, metavar="SHARE", help="default: %(default)s"
    )
    parser.add_argument(
        "--block", type=int, default=168, metavar="N", help="candles a block (default: %(default)s)"
    )
    parser.add_argument(
        "--draws", type=int, default=2000, metavar="N", help="bootstrap (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the bootstrap")
    parser.add_argument("--json", action="store_true", help="print the JSON as well")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Study every pair, write both files and say the verdict."""
    from rich.console import Console
    from rich.progress import track

    from perp_imbalance.exchange import check_timerange, load_config
    from perp_imbalance.research.evidence import Finding, as_rows, study, verdict
    from perp_imbalance.research.evidence_page import write_evidence
    from perp_imbalance.settings import Settings

    check_timerange(arguments.timerange)
    config = load_config(config_files(arguments))
    settings = Settings.from_config(config)
    if arguments.htf_timeframe:
        settings = settings.model_copy(update={"htf_timeframe": arguments.htf_timeframe})
    method = method_of(arguments)
    folder = candle_folder(arguments, config, settings)
    pairs = arguments.pairs or folder.perps
    findings: list[Finding] = []
    for candles in track(
        folder.pairs(pairs),
        "evidence",
        total=len(pairs),
        console=Console(stderr=True),
        transient=True,
    ):
        findings += study(candles, PRESETS, settings, method)
    if not findings:
        raise DataError(verdict(findings))
    stem = f"evidence-{datetime.now():%Y-%m-%d_%H-%M-%S}"
    file = Path(config["user_data_dir"]) / "evidence" / f"{stem}.json"
    span = {
        "datadir": str(folder.datadir),
        "timeframe": folder.timeframe,
        "timerange": arguments.timerange,
    }
    content: dict[str, Any] = {**span, "verdict": verdict(findings), "findings": as_rows(findings)}
    title = f"Evidence: {folder.datadir}, {folder.timeframe}"
    write_evidence(findings, file.with_suffix(".html"), title=title)
    text = json.dumps(content, indent=1)
    write_whole(file, text)
    print(text if arguments.json else "\n".join([*_lines(findings), verdict(findings)]))
    if not arguments.json:
        print(f"{file}\n{file.with_suffix('.html')}")
    return 0


def method_of(arguments: argparse.Namespace) -> "Method":
    """Return how to look.

    :raises SettingsError: if that cannot be done.
    """
    from perp_imbalance.research.evidence import Method
    from perp_imbalance.research.grid import parse_values

    method = Method(
        sorted(set(parse_values(arguments.horizons, int))),
        2 * arguments.fee,
        arguments.block,
        arguments.draws,
        arguments.seed,
    )
    if min(*method.horizons, method.block, method.draws) < 1 or method.cost < 0:
        raise SettingsError("horizons, --block and --draws must be at least 1, the fee at least 0")
    return method


def _lines(findings: "list[Any]") -> list[str]:
    """Return a line for each set of entries over the whole time."""
    from perp_imbalance.research.evidence import ALL

    return [
        f"{found.pair} {found.preset:<12} {found.side:<5} {found.horizon:>3} candles, "
        f"{found.events:>5} entries: excess {found.excess:+7.1f} bps "
        f"[{found.excess_low:+.1f}, {found.excess_high:+.1f}], net {found.net:+7.1f} "
        f"[{found.net_low:+.1f}, {found.net_high:+.1f}]{'  edge' if found.has_edge else ''}"
        for found in findings
        if found.group == ALL and found.kind == "entry"
    ]
