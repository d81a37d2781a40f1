"""``perp-imbalance scan``: which perp is extreme now."""

import argparse
import json
import logging
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perp_imbalance.cli.console import page_console
from perp_imbalance.cli.options import add_config, config_files
from perp_imbalance.cli.progress import progress
from perp_imbalance.errors import CommandError
from perp_imbalance.indicators.thresholds import PRESETS

if TYPE_CHECKING:
    from perp_imbalance.scan.fetch import Feed
    from perp_imbalance.scan.rank import Ranking, Rules

logger = logging.getLogger(__name__)

EXAMPLE = """\
examples:
  perp-imbalance scan -c config.json --top 20
  perp-imbalance scan -c config.json --preset aggressive --json
  perp-imbalance scan -c config.json --watch --pairlist user_data/pairs.json

All perps of the config's stake currency that have a premium, by |z| of the last closed candle, from
the strategy's own columns and its thresholds. A gate says "yes" where it would let the side of z
enter, "no" also where the strategy does not enter that side, and "?" where it lets nothing enter
because what it looks at is not known. "missing" is the share of candles without a premium; "tick
noise" is by how much one tick moves z. "sound" goes by the doctor's bounds, on the candles that a
scan needs, which are fewer than the doctor looks at: "doubtful" where it would warn; "no", and dim,
where z measures rounding or gaps: such a pair is not written into a pair list. "since" is when the
candle of the flip closed; in JSON and CSV "candle" is when the last one opened.
config/pairlist-scan.json makes a bot follow user_data/pairs.json.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand ``scan``."""
    parser = subparsers.add_parser(
        "scan",
        help="rank all perps of the exchange by how extreme their premium is",
        description="Rank all perps of the exchange by |z|. Sends no order and uses no key.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config(parser)
    thresholds = parser.add_mutually_exclusive_group()
    thresholds.add_argument("--strategy", metavar="NAME", help="default: the config's")
    thresholds.add_argument(
        "--preset", choices=list(PRESETS), help="its thresholds, in place of a strategy's"
    )
    parser.add_argument(
        "--top", type=int, default=20, metavar="N", help="0: all (default: %(default)s)"
    )
    parser.add_argument("--watch", action="store_true", help="again at each candle, until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a line a perp, too")
    parser.add_argument(
        "--pairlist", type=Path, metavar="FILE", help="write a whitelist for RemotePairList, too"
    )
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Scan once, or at each candle until interrupted."""
    from perp_imbalance.freqtrade_bridge.config import load_config
    from perp_imbalance.scan.fetch import open_feed, rules_of
    from perp_imbalance.scan.watch import watch

    check_arguments(arguments)
    options = {"strategy": arguments.strategy} if arguments.strategy else {}
    config = load_config(config_files(arguments), **options)
    rules = rules_of(config, preset=arguments.preset)
    page = _Page(arguments, rules)
    with ExitStack() as stack:
        with page.progress.status("exchange"):
            feed = stack.enter_context(open_feed(config, rules))
        if arguments.watch:
            watch(
                lambda: page.look(feed),
                lambda found: page.show(found, feed),
                timeframe=rules.timeframe,
                patience=feed.late_candle_grace,
            )
        page.show(page.look(feed), feed)
    return 0


def check_arguments(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be done before anything is fetched.

    :raises CommandError: saying what is wrong.
    """
    from perp_imbalance.scan.write import check_target, is_pairlist

    if arguments.top < 0:
        raise CommandError(f"--top is {arguments.top}, it must be at least 0 (0: all)")
    if arguments.watch and arguments.json:
        raise CommandError("--watch redraws a table: leave out --json, or --watch")
    force = arguments.force
    if arguments.csv:
        check_target(arguments.csv, force=force, replaceable=lambda file: False)
    if arguments.pairlist:
        check_target(arguments.pairlist, force=force, replaceable=is_pairlist)


class _Page:
    """What is said of each look: on the terminal and in files."""

    def __init__(self, arguments: argparse.Namespace, rules: "Rules") -> None:
        from rich.console import Console

        self.arguments, self.rules = arguments, rules
        self.progress = Console(stderr=True)
        self.console = page_console()
        self._named: set[str] = set()

    def look(self, feed: "Feed") -> "Ranking":
        """Ask the exchange and rank."""
        from perp_imbalance.scan.rank import rank

        with progress() as tell:
            given = feed.snapshot(tell)
        return rank(feed.matches, given, self.rules, self.arguments.top or None)

    def show(self, found: "Ranking", feed: "Feed") -> None:
        """Write files, then print; where nothing could be ranked, only say so.

        :raises CommandError: if no perp has a z-score.
        """
        from perp_imbalance.scan.show import footer, left_out_lines, ranking_table
        from perp_imbalance.scan.write import write_csv, write_pairlist

        if not found.rows:
            reason = "".join(f" ({perp}: {why})" for perp, why in found.left_out[:1])
            message = (
                f"no perp of {feed.exchange.id} has a z-score now{reason}; perp-imbalance doctor "
                "says more"
            )
            if not self.arguments.watch:
                raise CommandError(message)
            # It may be gone for a moment; what was written stays.
            logger.warning(message)
            return
        fresh = [perp for perp in found.left_out if perp.perp not in self._named]
        self._named.update(perp.perp for perp in fresh)
        for line in left_out_lines(fresh):
            logger.warning("%s", line)
        rows = found.rows
        if self.arguments.csv:
            write_csv(self.arguments.csv, rows)
        if self.arguments.pairlist:
            write_pairlist(self.arguments.pairlist, rows)
        if self.arguments.json:
            print(json.dumps(self._as_json(found), indent=1))
            return
        if self.arguments.watch:
            self.console.clear()
        self.console.print(ranking_table(rows, self.rules))
        without = len(feed.matches) - len(feed.wanted)
        text = footer(found, without, self.arguments.pairlist)
        self.console.print(text, soft_wrap=True, highlight=False)

    def _as_json(self, found: "Ranking") -> dict[str, Any]:
        return {
            "thresholds_of": self.rules.name,
            "timeframe": self.rules.timeframe,
            "thresholds": asdict(self.rules.thresholds),
            "ranked": found.ranked,
            "rows": [row.as_dict() for row in found.rows],
            "left_out": [perp._asdict() for perp in found.left_out],
        }
