"""``perp-imbalance evidence``: whether the signal carries information."""

import argparse
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from perp_imbalance.cli.options import add_candles, add_config, check_writable, config_files
from perp_imbalance.cli.research_options import check_costs, lacking, pair_histories
from perp_imbalance.errors import DataError
from perp_imbalance.files import atomic_write_text, run_name
from perp_imbalance.indicators.thresholds import PRESETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perp_imbalance.research.event_study import Finding, Method
    from perp_imbalance.research.pair_history import PairHistories

logger = logging.getLogger(__name__)

_EXAMPLE = """example:
  perp-imbalance evidence --datadir user_data/data/binance --pairs BTC/USDT:USDT --horizons 4,24

What followed flips of the bias and entries, per pair, preset and side: gross, against the drift of
the same side, and net of two taker fees and funding, with 95 % intervals of a block bootstrap; by
year, by volatility; and how much of it was the premium's own way back. Writes JSON and HTML.

A flip is no trade: what the strategy enters on are the entries, whose gates have passed. Nothing is
said of fewer than 20 events, nor of a span of fewer than 20 blocks: intervals would be too narrow.
Where few blocks hold events, or events of neighbouring blocks overlap, intervals are widened. Flips
that are the very entries, because no gate is on, are listed and counted as entries only.
Where a preset's gate has no series, its entries are left out, and that is said; so is where funding
rates are missing, which net returns then leave out.
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
    parser.add_argument(
        "--horizons", default="1,4,12,24", metavar="N,N", help="candles (default: %(default)s)"
    )
    parser.add_argument(
        "--fee", type=float, default=0.0005, metavar="SHARE", help="default: %(default)s"
    )
    parser.add_argument(
        "--block",
        type=int,
        default=168,
        metavar="N",
        help="candles a block, at least the longest horizon (default: %(default)s)",
    )
    parser.add_argument(
        "--draws", type=int, default=2000, metavar="N", help="bootstrap (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the bootstrap")
    parser.add_argument("--json", action="store_true", help="print the JSON as well")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Study every pair, write both files and say the verdict."""
    from perp_imbalance.freqtrade_bridge.config import check_timerange, load_config
    from perp_imbalance.research.event_study import as_rows, verdict
    from perp_imbalance.research.evidence_page import write_evidence
    from perp_imbalance.strategy.settings import Settings

    check_timerange(arguments.timerange)
    config = load_config(config_files(arguments))
    settings = Settings.from_config(config)
    method = method_of(arguments)
    file = Path(config["user_data_dir"]) / "evidence" / f"{run_name('evidence')}.json"
    check_writable(file)
    uses_htf = any(thresholds.use_htf for thresholds in PRESETS.values())
    folder, data = pair_histories(arguments, config, settings, uses_htf=uses_htf)
    pairs = data.pairs
    left_out = [*data.notes, *what_is_left_out(folder, pairs, method)]
    for said in left_out:
        logger.warning("%s", said)
    findings = _studied(folder, pairs, method)
    if not findings:
        raise DataError(verdict(findings))
    content = {
        "datadir": str(folder.datadir),
        "timeframe": folder.timeframe,
        "htf_timeframe": folder.settings.htf_timeframe,
        "timerange": arguments.timerange,
        "verdict": verdict(findings),
        "left_out": left_out,
        "findings": as_rows(findings),
    }
    title = f"Evidence: {folder.datadir}, {folder.timeframe}"
    write_evidence(findings, file.with_suffix(".html"), title=title, left_out=left_out)
    text = json.dumps(content, indent=1)
    atomic_write_text(file, text)
    print(text if arguments.json else "\n".join([*_lines(findings), *left_out, verdict(findings)]))
    if not arguments.json:
        print(f"{file}\n{file.with_suffix('.html')}")
    return 0


def method_of(arguments: argparse.Namespace) -> "Method":
    """Return how to look.

    :raises SettingsError: if that cannot be done.
    """
    from perp_imbalance.research.event_study import Method
    from perp_imbalance.research.grid import parse_values

    horizons = sorted(set(parse_values(arguments.horizons, int, "number of candles to hold")))
    check_costs(horizons, arguments.fee, arguments.seed)
    return Method(
        horizons, 2 * arguments.fee, arguments.block, arguments.draws, seed=arguments.seed
    )


def what_is_left_out(
    folder: "PairHistories", pairs: "Sequence[str]", method: "Method"
) -> list[str]:
    """Say in sentences what of which pairs cannot be studied, or only in part, and why.

    :raises DataError: if no pair has candles enough, or one has not the series of any preset.
    """
    from perp_imbalance.data.backtest_data import by_sentence
    from perp_imbalance.research.series_checks import thin_series

    gated = {name: folder.settings.gated(thresholds) for name, thresholds in PRESETS.items()}
    short: list[tuple[str, str]] = []
    said: list[tuple[str, str]] = []
    for candles in folder.pairs(pairs):
        pair = candles.match.perp
        if method.is_too_short(candles):
            short.append((pair, method.too_short))
            continue
        without = lacking(candles, gated, folder)
        said += [(pair, f"entries of {name} left out: {why}") for name, why in without.items()]
        studied = [gated[name] for name in gated.keys() - without.keys()]
        said += [(pair, sentence) for sentence in thin_series(candles, studied)]
    if len(short) == len(pairs):
        raise DataError(f"{method.too_short}; take more candles, or a smaller --block")
    return by_sentence([*said, *short])


def _studied(folder: "PairHistories", pairs: "Sequence[str]", method: "Method") -> "list[Finding]":
    """Return what every pair's events were followed by, and show a bar meanwhile."""
    from rich.console import Console
    from rich.progress import track

    from perp_imbalance.research.event_study import study

    findings: list[Finding] = []
    for candles in track(
        folder.pairs(pairs),
        "evidence",
        total=len(pairs),
        console=Console(stderr=True),
        transient=True,
    ):
        findings += study(candles, PRESETS, folder.settings, method)
    return findings


def _lines(findings: "Sequence[Finding]") -> list[str]:
    """Return a line for each set of entries over the whole time."""
    from perp_imbalance.research.event_study import ALL

    return [
        f"{found.pair} {found.preset:<12} {found.side:<5} {found.horizon:>3} candles, "
        f"{found.events:>5} entries: excess {found.excess:+7.1f} bps "
        f"[{found.excess_low:+.1f}, {found.excess_high:+.1f}], net {found.net:+7.1f} "
        f"[{found.net_low:+.1f}, {found.net_high:+.1f}]{'  edge' if found.has_edge else ''}"
        for found in findings
        if found.group == ALL and found.kind == "entry"
    ]
