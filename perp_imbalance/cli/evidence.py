"""``perp-imbalance evidence``: test whether the signal carries information."""

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from perp_imbalance.cli.options import (
    add_candles,
    add_config,
    add_palette,
    check_writable,
    config_files,
)
from perp_imbalance.cli.research_options import check_costs, lacking, pair_histories
from perp_imbalance.errors import CommandError, DataError, SettingsError
from perp_imbalance.files import atomic_write_text, run_name
from perp_imbalance.indicators.thresholds import PRESETS, TIMEFRAME, Thresholds
from perp_imbalance.strategy.palette import palette

if TYPE_CHECKING:
    from perp_imbalance.research.event_study import Finding, Method
    from perp_imbalance.research.evidence import Collected
    from perp_imbalance.research.freeze import Freeze
    from perp_imbalance.research.pair_history import PairHistories
    from perp_imbalance.research.split import Part
    from perp_imbalance.strategy.settings import Settings

logger = logging.getLogger(__name__)

_EXAMPLE = """example:
  perp-imbalance evidence -d user_data/data/binance --horizons 4,24 \\
      --design 20200101-20230101 --validation 20230101-20240101 \\
      --test 20240101- --freeze choices.json

First, the profit of the strategy's trades over all pairs: entries, exits, stop, fees and funding
as in a backtest, one position per pair without a limit of open trades, in bps of the stake at
leverage 1. t and intervals allow trades of the same week to depend on each other. The same by pair,
by year, by the size of the deviation (the premium less the median of the last 200) and by the
premium; with doubled fees; for nulls, which are meaningless signals traded by the same rules; and
the significance of the best result given the number of results (SPA, StepM, false discovery rate).

Then the returns after flips of the bias and after entries, per pair, preset and side, over fixed
horizons: gross, against the drift of the same side, and net of two taker fees and funding, with
95 % intervals of a block bootstrap; by year, by volatility; and the part that came from the premium
reverting. Writes JSON and HTML.

A part of a split is a time range, with pairs after an @ if not all are meant:
--test 20200101-@SOL/USDT:USDT. The test part needs --freeze FILE. The first run writes thresholds,
options, code version, hashes of the candles and a hash of it all to FILE, and computes the other
parts; the same command run again also computes the test part, and counts the look in FILE. Every
later look is counted and reported; a run with any change is refused, except for later candles in
the test part only. With a split, the fixed horizons use the design part alone.

A flip is not a trade: the strategy enters on entries, whose gates have passed. Fewer than 20
events, or a time of fewer than 20 blocks, give no result: intervals would be too narrow. Intervals
are widened if few blocks have events, or events of neighbouring blocks overlap. If no gate is on,
flips and entries are the same and are listed as entries only. If a preset's gate has no series, its
entries are left out; if funding rates are missing, net returns leave them out. Both are reported.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand ``evidence``."""
    parser = subparsers.add_parser(
        "evidence",
        help="test whether the signal carries information, with intervals",
        description="An event study of the signal on stored candles.",
        epilog=_EXAMPLE,
    )
    add_config(parser)
    add_candles(parser, several=True)
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
        help="candles per block, at least the longest horizon (default: %(default)s)",
    )
    parser.add_argument(
        "--draws", type=int, default=2000, metavar="N", help="bootstrap (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of all draws")
    parser.add_argument(
        "--stoploss",
        type=float,
        default=0.30,
        metavar="SHARE",
        help="stoploss of the trades, of the price (default: %(default)s)",
    )
    parser.add_argument(
        "--nulls",
        type=int,
        default=200,
        metavar="N",
        help="number of each kind; 0: none (default: %(default)s)",
    )
    split = parser.add_argument_group("split", "as FROM-TO or FROM-TO@PAIR,PAIR")
    split.add_argument("--design", metavar="PART", help="part on which choices were made")
    split.add_argument("--validation", metavar="PART", help="part on which they were checked")
    split.add_argument("--test", metavar="PART", help="part not used before; needs --freeze")
    split.add_argument(
        "--freeze", type=Path, metavar="FILE", help="record of the decisions, and of each test"
    )
    add_palette(parser)
    parser.add_argument("--json", action="store_true", help="print the JSON as well")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Study every pair, write both output files and print the verdict."""
    from perp_imbalance.freqtrade_bridge.config import check_timerange, load_config
    from perp_imbalance.research.event_study import as_rows, verdict
    from perp_imbalance.research.evidence import Collected, Costs, report_of, traded_verdict
    from perp_imbalance.research.evidence_page import traded_lines, write_evidence
    from perp_imbalance.research.nulls import Nulls
    from perp_imbalance.research.split import TEST
    from perp_imbalance.strategy.settings import Settings

    check_timerange(arguments.timerange)
    config = load_config(config_files(arguments))
    settings = Settings.from_config(config)
    method = method_of(arguments)
    costs = Costs(arguments.fee, arguments.stoploss)
    parts = parts_of(arguments)
    file = Path(config["user_data_dir"]) / "evidence" / f"{run_name('evidence')}.json"
    check_writable(file)
    folders, notes = opened_folders(arguments, config, settings)
    check_pairs(folders, parts)
    left_out = [*notes, *what_is_left_out(folders, method, parts)]
    freeze = _frozen(arguments, folders, method, parts) if arguments.freeze else None
    parts = [part for part in parts if part.name != TEST or (freeze and freeze.exists)]
    for said in left_out:
        logger.warning("%s", said)
    # The log has reported these already.
    left_out += [line for folder in folders for line in folder.histories.left_out]
    if freeze and freeze.exists:
        freeze.look()
    nulls = Nulls(arguments.nulls, arguments.seed)
    collected = Collected(PRESETS, settings, costs, method.horizons, nulls)
    findings = _studied(folders, method, parts, collected)
    if not findings:
        raise DataError(verdict(findings))
    report = report_of(collected, draws=arguments.draws, seed=arguments.seed)
    if freeze and not freeze.exists:
        freeze.write()
    verdicts = traded_verdict(report) + ([freeze.said] if freeze else [])
    datadirs = ", ".join(str(folder.histories.datadir) for folder in folders)
    first = folders[0].histories
    content = {
        "datadir": datadirs,
        "timeframe": first.timeframe,
        "htf_timeframe": first.settings.htf_timeframe,
        "timerange": arguments.timerange,
        "verdict": verdict(findings),
        "traded_verdict": verdicts,
        "stoploss": arguments.stoploss,
        "fee": arguments.fee,
        "left_out": left_out,
        "looks": freeze.looks if freeze else [],
        "traded": report.as_values(),
        "findings": as_rows(findings),
    }
    page, title = file.with_suffix(".html"), f"Evidence: {datadirs}, {first.timeframe}"
    write_evidence(
        *(findings, page),
        title=title,
        left_out=left_out,
        report=report,
        verdicts=verdicts,
        colors=palette(arguments.palette, arguments.dark),
    )
    text = json.dumps(content, indent=1)
    atomic_write_text(file, text)
    if arguments.json:
        print(text)
        return 0
    lines = [*traded_lines(report), *_lines(findings), *left_out, verdict(findings), *verdicts]
    print("\n".join([*lines, str(file), str(page)]))
    return 0


class Opened(NamedTuple):
    """A folder of candles and the pairs of it that are studied."""

    histories: "PairHistories"
    pairs: "Sequence[str]"


def opened_folders(
    arguments: argparse.Namespace, config: "Mapping[str, Any]", settings: "Settings"
) -> tuple[list[Opened], list[str]]:
    """Return every named folder, and notes on what is left out of them.

    :raises PerpImbalanceError: if a folder lacks requested candles, or two have the same pair.
    """
    from perp_imbalance.data.folder import CandleFolder
    from perp_imbalance.markets.perp_names import did_you_mean

    datadirs = arguments.datadir or [Path(config["datadir"])]
    wanted = arguments.pairs
    timeframe = arguments.timeframe or config.get("timeframe", TIMEFRAME)
    named: list[Sequence[str] | None] = [wanted for _ in datadirs]
    if wanted and len(datadirs) > 1:
        there = [CandleFolder(datadir).contracts(timeframe) for datadir in datadirs]
        named = [[pair for pair in wanted if pair in contracts] for contracts in there]
        missing = sorted(set(wanted).difference(*there))
        if missing:
            raise DataError(
                f"no folder has {timeframe} candles of {', '.join(missing)}: "
                f"{', '.join(map(str, datadirs))}{did_you_mean(missing, chain(*there))}"
            )
    uses_htf = any(thresholds.use_htf for thresholds in PRESETS.values())
    folders, notes, seen = list[Opened](), list[str](), dict[str, Path]()
    for datadir, pairs in zip(datadirs, named, strict=True):
        if pairs is not None and not pairs:
            continue
        histories, data = pair_histories(
            *(arguments, config, settings), uses_htf=uses_htf, datadir=datadir, pairs=pairs
        )
        for pair in data.pairs:
            if pair in seen:
                raise DataError(
                    f"{pair} is in {seen[pair]} and in {datadir}: name one of them, or --pairs"
                )
            seen[pair] = datadir
        folders.append(Opened(histories, data.pairs))
        notes += data.notes
    return folders, notes


def parts_of(arguments: argparse.Namespace) -> "list[Part]":
    """Return the parts of the split; a single part with all candles if there is no split.

    :raises PerpImbalanceError: if the split options do not fit together.
    """
    from perp_imbalance.research.split import PARTS, WHOLE, Part

    texts = {name: getattr(arguments, name) for name in PARTS}
    if bool(arguments.test) != bool(arguments.freeze):
        raise CommandError(
            "--test and --freeze go together: what is decided is written to a file before the test "
            "part is computed, such as --test 20240101- --freeze choices.json"
        )
    if not arguments.design and any(texts.values()):
        raise CommandError("--validation and --test need --design: what choices were made on")
    if arguments.freeze:
        check_writable(arguments.freeze)
    return [Part.parse(name, text) for name, text in texts.items() if text] or [WHOLE]


def check_pairs(folders: "Sequence[Opened]", parts: "Sequence[Part]") -> None:
    """Raise if parts of the split share candles or have none.

    :raises PerpImbalanceError: naming the parts.
    """
    from perp_imbalance.research.split import check_parts

    check_parts(parts, [pair for folder in folders for pair in folder.pairs])


def _frozen(
    arguments: argparse.Namespace,
    folders: "Sequence[Opened]",
    method: "Method",
    parts: "Sequence[Part]",
) -> "Freeze":
    """Return the freeze of this run, whether its file exists yet or not."""
    from perp_imbalance.research.freeze import Freeze, code_version

    first = folders[0].histories
    options = ("timerange", "fee", "stoploss", "nulls", "design", "validation", "test")
    decided = {
        **code_version(),
        "thresholds": {name: asdict(first.settings.gated(of)) for name, of in PRESETS.items()},
        "settings": first.settings.model_dump(mode="json"),
        # The settings that were used, from the command line or the config.
        "timeframe": first.timeframe,
        "options": {name: getattr(arguments, name) for name in options},
        "method": asdict(method),
        "pairs": sorted(pair for folder in folders for pair in folder.pairs),
    }
    candles = (each for folder, pairs in folders for each in folder.pairs(pairs))
    return Freeze(arguments.freeze, decided, candles, parts)


def method_of(arguments: argparse.Namespace) -> "Method":
    """Return the settings of the event study from the options.

    :raises SettingsError: if an option has an invalid value.
    """
    from perp_imbalance.research.event_study import Method
    from perp_imbalance.research.grid import parse_values
    from perp_imbalance.research.nulls import check_nulls

    horizons = sorted(set(parse_values(arguments.horizons, int, "number of candles to hold")))
    check_costs(horizons, arguments.fee, arguments.seed)
    check_nulls(arguments.nulls)
    # This comparison also refuses NaN.
    if not 0 < arguments.stoploss <= 1:
        raise SettingsError(
            f"--stoploss is {arguments.stoploss:g}, it must be above 0 and at most 1"
        )
    return Method(
        horizons, 2 * arguments.fee, arguments.block, arguments.draws, seed=arguments.seed
    )


def what_is_left_out(
    folders: "Sequence[Opened]", method: "Method", parts: "Sequence[Part]"
) -> list[str]:
    """Return notes on what cannot be studied, or only in part: which pairs, and why.

    :raises DataError: if every pair has too few candles, a part has none, or a pair lacks the
        series that every preset needs.
    """
    from perp_imbalance.data.backtest_data import by_sentence
    from perp_imbalance.research.series_checks import thin_series

    short: list[tuple[str, str]] = []
    said: list[tuple[str, str]] = []
    empty = list(parts)
    read = 0
    for folder, pairs in folders:
        gated = _gated(folder)
        for candles in folder.pairs(pairs):
            read += 1
            pair = candles.match.perp
            empty = [part for part in empty if part.of(candles) is None]
            if method.is_too_short(candles):
                short.append((pair, method.too_short))
                continue
            without = lacking(candles, gated, folder)
            said += [(pair, f"entries of {name} left out: {why}") for name, why in without.items()]
            studied = [gated[name] for name in gated.keys() - without.keys()]
            said += [(pair, sentence) for sentence in thin_series(candles, studied)]
    if len(short) == read:
        raise DataError(f"{method.too_short}; take more candles, or a smaller --block")
    if empty:
        raise DataError(f"--{empty[0].name} has no candles: name a time that the folders have")
    return by_sentence([*said, *short])


def _gated(folder: "PairHistories") -> "dict[str, Thresholds]":
    return {name: folder.settings.gated(thresholds) for name, thresholds in PRESETS.items()}


def _studied(
    folders: "Sequence[Opened]", method: "Method", parts: "Sequence[Part]", collected: "Collected"
) -> "list[Finding]":
    """Collect the trades of every pair with a progress bar; return the event study's findings."""
    from rich.console import Console
    from rich.progress import track

    from perp_imbalance.research.event_study import study

    findings: list[Finding] = []
    histories = ((folder, candles) for folder, pairs in folders for candles in folder.pairs(pairs))
    for folder, candles in track(
        histories,
        "evidence",
        total=sum(len(pairs) for _, pairs in folders),
        console=Console(stderr=True),
        transient=True,
    ):
        without = [] if method.is_too_short(candles) else lacking(candles, _gated(folder), folder)
        for part in parts:
            history = part.of(candles)
            if history is not None:
                collected.add(part.name, history, without)
                if part is parts[0]:
                    findings += study(history, PRESETS, folder.settings, method)
    return findings


def _lines(findings: "Sequence[Finding]") -> list[str]:
    """Return one line for each set of entries over the whole time."""
    from perp_imbalance.research.event_study import ALL

    return [
        f"{found.pair} {found.preset:<12} {found.side:<5} {found.horizon:>3} candles, "
        f"{found.events:>5} entries: excess {found.excess:+7.1f} bps "
        f"[{found.excess_low:+.1f}, {found.excess_high:+.1f}], net {found.net:+7.1f} "
        f"[{found.net_low:+.1f}, {found.net_high:+.1f}]{'  edge' if found.has_edge else ''}"
        for found in findings
        if found.group == ALL and found.kind == "entry"
    ]
