"""``perp-imbalance pairs``: list the spot pair of each perp and the rule that matched it."""

import argparse
import json
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

from perp_imbalance.cli.console import folding_table, page_console
from perp_imbalance.cli.options import add_config, config_files

if TYPE_CHECKING:
    from perp_imbalance.markets.spot_matching import SpotMatch

logger = logging.getLogger(__name__)

EXAMPLE = """\
examples:
  perp-imbalance pairs -c config.json
  perp-imbalance pairs -c config.json --whitelist --json
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand ``pairs``."""
    parser = subparsers.add_parser(
        "pairs",
        help="list the spot pair of every perp of the exchange",
        description="List the spot pair, the scale and the rule that matched for every perp of "
        "the configured exchange, and the reason where there is none. Names decide here; the "
        "strategy also compares prices.",
        epilog=EXAMPLE,
    )
    add_config(parser)
    parser.add_argument(
        "--whitelist", action="store_true", help="only the pairs of the config's whitelist"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the table or the JSON."""
    from perp_imbalance.freqtrade_bridge.config import load_config
    from perp_imbalance.freqtrade_bridge.exchange import load_markets, match_perps
    from perp_imbalance.freqtrade_bridge.pairs import load_universe
    from perp_imbalance.markets.spot_matching import about_spotless
    from perp_imbalance.strategy.settings import Settings

    config = load_config(config_files(arguments))
    settings, exchange = Settings.from_config(config), str(config["exchange"]["name"])
    if arguments.whitelist:
        markets, perps = load_universe(config)
        matches = match_perps(markets, settings, exchange, perps)
    else:
        markets = load_markets(config)
        matches = match_perps(markets, settings, exchange)
    spotless = about_spotless(matches, markets.values(), exchange)
    if spotless and not any(match.spot for match in matches):
        logger.warning(spotless)
    if arguments.json:
        print(json.dumps([as_json(match) for match in matches], indent=1))
    else:
        print_table(matches)
    return 0


def as_json(match: "SpotMatch") -> dict[str, Any]:
    """Return a match as ``{perp, spot, scale, rule, reason, source}``; missing values are None."""
    values = {name: getattr(match, name) for name in ("perp", "spot", "scale", "rule", "reason")}
    values["source"] = match.premium_source
    if match.spot is None:
        values["scale"] = values["source"] = None
    return values


def print_table(matches: "list[SpotMatch]") -> None:
    """Print one row per perp, and the counts below."""
    table = folding_table(("perp", "spot", "scale", "rule", "reason"), ("scale",))
    for match in matches:
        scale = f"{match.scale:g}" if match.spot else ""
        spot = match.name if match.spot else ""
        table.add_row(match.perp, spot, scale, match.rule or "", match.reason or "")
    console = page_console()
    console.print(table)
    by_source = Counter(match.premium_source for match in matches if match.spot)
    said = f"{by_source['spot']} of {len(matches)} perps have a spot pair"
    if by_source["index"]:
        said += f", {by_source['index']} are compared with the exchange's index"
    if by_source["premium_index"]:
        said += f", {by_source['premium_index']} are measured by its premium index"
    console.print(f"{said}.")
