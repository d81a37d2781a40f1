"""``perp-imbalance scan``: rank the perps by how dislocated their premium is now."""

import argparse
import json
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perp_imbalance.cli.console import page_console
from perp_imbalance.cli.options import add_config, add_strategy_path, config_files
from perp_imbalance.cli.progress import progress
from perp_imbalance.errors import BridgeError, CommandError
from perp_imbalance.indicators.thresholds import PRESETS

if TYPE_CHECKING:
    from perp_imbalance.scan.fetch import Feed
    from perp_imbalance.scan.records import Ranking, Rules
    from perp_imbalance.scan.watch import Changes

logger = logging.getLogger(__name__)

#: The rankings. ``scan.records`` has the same list, but is slow to import.
BY = ("deviation", "premium", "z", "funding")

EXAMPLE = """\
examples:
  perp-imbalance scan -c config.json --top 20
  perp-imbalance scan --by funding --columns funding,yearly,due,premium
  perp-imbalance scan -c config.json --preset aggressive --json
  perp-imbalance scan -c config.json --watch --pairlist user_data/pairs.json

Lists all perps of the config's stake currency that have a premium, as of the last closed candle,
with the strategy's own columns and thresholds. --by deviation ranks by the distance of the premium
from its median, less the two taker fees of a round trip; the others rank by size.

columns, in the order in which they are shown as far as they fit:
  perp       the coin; --json has the whole pair
  change     with --watch: change of the ranked figure since the last candle;
             "new": was not ranked then
  deviation  premium less its median of the last dev_len premiums, in bps
             (hundredths of a percent)
  net        size of the deviation less two taker fees, in bps: the most that
             a return of the premium to its median leaves
  premium    in percent of the price that the perp is compared with
  fees       premium in multiples of two taker fees
  z          the z-score that the bias goes by
  bias       the side that the strategy would enter
  since      age of the bias in candles; ">500": more than the loaded candles
  funding    rate in percent as if paid every 8 hours, whatever the perp's own
             interval
  gates      active gates that do not let the side of z enter, or all if the
             strategy does not enter that side; "?": the gate's series is
             unknown, so nothing enters
  yearly     the funding rate for a year, without compounding
  due        hours until funding is paid
  sound      whether z measures the market, by the doctor's bounds, on the
             candles that a scan needs (fewer than the doctor looks at):
             "doubtful" where the doctor would warn; "no", and dim, where z
             measures rounding or gaps: such a pair is not written into a pair
             list
  volume     traded within 24 hours, in the stake currency
  against    what the perp is compared with
  missing    share of candles without a premium
  noise      by how much one tick moves z; "all": without a tick it would not
             move

In JSON and CSV "since" is when the candle of the flip closed, "candle" is when the last one opened.
config/pairlist-scan.json makes a bot follow user_data/pairs.json.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand ``scan``."""
    parser = subparsers.add_parser(
        "scan",
        help="rank all perps of the exchange by how dislocated they are",
        description="Rank all perps of the exchange by how dislocated they are now. Sends no order "
        "and uses no key.",
        epilog=EXAMPLE,
    )
    add_config(parser)
    thresholds = parser.add_mutually_exclusive_group()
    thresholds.add_argument("-s", "--strategy", metavar="NAME", help="default: the config's")
    thresholds.add_argument(
        "--preset",
        choices=list(PRESETS),
        metavar="NAME",
        help="use its thresholds instead of a strategy's: %(choices)s",
    )
    add_strategy_path(parser)
    parser.add_argument(
        "--by", choices=BY, default=BY[0], help="what to rank by (default: %(default)s)"
    )
    parser.add_argument(
        "--columns", metavar="NAME,…", help="columns to show (default: all that fit; see below)"
    )
    parser.add_argument(
        "--top", type=int, default=20, metavar="N", help="0: all (default: %(default)s)"
    )
    parser.add_argument("--watch", action="store_true", help="repeat at each candle until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also write one line per perp")
    parser.add_argument(
        "--pairlist", type=Path, metavar="FILE", help="also write a whitelist for RemotePairList"
    )
    parser.add_argument("--force", action="store_true", help="replace existing files")
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
    page = _Page(arguments, rules, str(config["stake_currency"]))
    with ExitStack() as stack:
        with page.progress.status("exchange"):
            feed = stack.enter_context(open_feed(config, rules))
        if arguments.watch:
            watch(
                lambda: page.look(feed),
                lambda found, changes: page.show(found, feed, changes),
                timeframe=rules.timeframe,
                patience=feed.late_candle_grace,
            )
        page.show(page.look(feed), feed)
    return 0


def check_arguments(arguments: argparse.Namespace) -> None:
    """Raise if options do not fit together, before anything is downloaded.

    :raises CommandError: naming the option.
    """
    from perp_imbalance.scan.write import check_target, is_pairlist

    chosen_columns(arguments.columns)
    if arguments.top < 0:
        raise CommandError(f"--top is {arguments.top}, it must be at least 0 (0: all)")
    if arguments.watch and arguments.json:
        raise CommandError("--watch redraws a table: leave out --json, or --watch")
    force = arguments.force
    if arguments.csv:
        check_target(arguments.csv, force=force, replaceable=lambda file: False)
    if arguments.pairlist:
        check_target(arguments.pairlist, force=force, replaceable=is_pairlist)


def chosen_columns(names: str | None) -> Sequence[str]:
    """Return the named columns, or all columns if none are named.

    :param names: separated by commas.
    :raises CommandError: if a name is unknown.
    """
    from perp_imbalance.scan.show import COLUMNS

    if names is None:
        return COLUMNS
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in chosen if name not in COLUMNS]
    if unknown or not chosen:
        raise CommandError(
            f"--columns has no column {unknown[0]!r}: known are {', '.join(COLUMNS)}"
            if unknown
            else "--columns is empty: name columns, or leave it out"
        )
    return chosen


class _Page:
    """Output of each scan, to the terminal and to files."""

    def __init__(self, arguments: argparse.Namespace, rules: "Rules", stake: str) -> None:
        from rich.console import Console

        self.arguments, self.rules, self.stake = arguments, rules, stake
        self.columns = chosen_columns(arguments.columns)
        self.progress = Console(stderr=True)
        self.console = page_console()
        self._named: set[str] = set()
        self._silence: str | None = None

    def look(self, feed: "Feed") -> "Ranking":
        """Fetch candles and rank the perps; a watch continues if the exchange does not answer.

        :raises BridgeError: if every request for candles fails.
        """
        from perp_imbalance.scan.rank import nothing_ranked, rank

        self._silence = None
        arguments = self.arguments
        try:
            with progress() as tell:
                given = feed.snapshot(tell)
        except BridgeError as error:
            if not arguments.watch:
                raise
            self._silence = str(error)
            return nothing_ranked(arguments.by)
        return rank(feed.matches, given, self.rules, arguments.top or None, by=arguments.by)

    def show(self, found: "Ranking", feed: "Feed", changes: "Changes | None" = None) -> None:
        """Write the files, then print the ranking; if nothing was ranked, print the reason only.

        :raises CommandError: if no perp can be ranked.
        """
        from perp_imbalance.scan.show import left_out_lines
        from perp_imbalance.scan.write import write_csv, write_pairlist

        if why := self._why_nothing(found, feed):
            if not self.arguments.watch:
                raise CommandError(why)
            # The failure may be temporary; files written earlier stay.
            logger.warning("%s", why)
            return
        fresh = [perp for perp in found.left_out if perp.perp not in self._named]
        self._named.update(perp.perp for perp in fresh)
        for line in left_out_lines(fresh):
            logger.warning("%s", line)
        if self.arguments.csv:
            write_csv(self.arguments.csv, found.rows)
        if self.arguments.pairlist:
            write_pairlist(self.arguments.pairlist, found.rows)
        if self.arguments.json:
            print(json.dumps(self._as_json(found, feed), indent=1))
        else:
            self._print(found, feed, changes)

    def _why_nothing(self, found: "Ranking", feed: "Feed") -> str | None:
        """Return why there is nothing to show; None if there is something."""
        if self._silence:
            return self._silence
        if not found.rows:
            reason = "".join(f" ({perp}: {why})" for perp, why in found.left_out[:1])
            return (
                f"no perp of {feed.exchange.id} has a z-score now{reason}; perp-imbalance doctor "
                "says more"
            )
        if found.is_unknown:
            others = ", ".join(by for by in BY if by != found.by)
            return (
                f"no {found.by} of any perp of {feed.exchange.id} is known now: try --by {others}"
            )
        return None

    def _print(self, found: "Ranking", feed: "Feed", changes: "Changes | None") -> None:
        from perp_imbalance.scan.show import change_line, footer, header, ranking_table

        console = self.console
        if self.arguments.watch:
            console.clear()
        table, hidden = ranking_table(
            found, self.rules, width=console.width, columns=self.columns, changes=changes
        )
        without = len(feed.matches) - len(feed.wanted)
        # The console wraps lines between words.
        for line in header(found, self.rules, self.stake):
            console.print(line, highlight=False)
        console.print(table)
        if changes:
            console.print(change_line(changes), highlight=False)
        for line in footer(found, without, self.arguments.pairlist, hidden):
            console.print(line, highlight=False)

    def _as_json(self, found: "Ranking", feed: "Feed") -> dict[str, Any]:
        return {
            "thresholds_of": self.rules.name,
            "timeframe": self.rules.timeframe,
            "thresholds": asdict(self.rules.thresholds),
            "by": found.by,
            "ranked": found.ranked,
            "market": found.market._asdict(),
            "rows": [row.as_dict() for row in found.rows],
            "left_out": [perp._asdict() for perp in found.left_out],
            "nothing_to_compare": [match.perp for match in feed.matches if match.spot is None],
        }
