"""``perp-imbalance download-data``: all candles that a backtest of the strategy needs."""

import argparse
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from perp_imbalance.cli.options import add_config, config_files
from perp_imbalance.errors import CommandError

logger = logging.getLogger(__name__)

EXAMPLE = """\
examples:
  perp-imbalance download-data -c config.json --timerange 20250101-20251231
  perp-imbalance download-data -c config.json --timerange 20250101- --timeframes 5m 1h
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "download-data",
        help="download perps with mark prices and funding, and their spot pairs",
        description="Download the whitelist's perps with mark prices and funding, and what they "
        "are compared with: their matched spot pairs, or index prices where premium_source says "
        "so; on the timeframe and the higher timeframe, with freqtrade's own downloader. Run "
        "again, it appends what is new and rewrites nothing.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config(parser)
    parser.add_argument(
        "--timerange",
        required=True,
        metavar="RANGE",
        help="from-to as freqtrade writes it: 20250101-20251231, or 20250101- up to now",
    )
    parser.add_argument(
        "--timeframes",
        nargs="+",
        metavar="TF",
        help="timeframes (default: the config's timeframe and its higher timeframe)",
    )
    parser.add_argument(
        "--datadir", metavar="DIR", help="folder to write (default: freqtrade's own)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run freqtrade's downloader for the perps, then for what they are compared with."""
    from perp_imbalance.freqtrade_bridge.config import check_timerange, load_config, whitelist
    from perp_imbalance.freqtrade_bridge.exchange import load_markets, match_perps
    from perp_imbalance.freqtrade_bridge.process import run_freqtrade
    from perp_imbalance.strategy.settings import Settings

    check_timerange(arguments.timerange)
    files = config_files(arguments)
    config = load_config(files)
    perps = whitelist(config)
    markets = load_markets(config)
    check_perps(config["exchange"]["name"], markets, perps)
    matches = match_perps(config, markets, perps)
    for match in matches:
        if match.spot is None:
            logger.warning("%s gets no spot candles: %s", match.perp, match.reason)
    beside: dict[str, set[str]] = {"spot": set(), "index": set()}
    for match in matches:
        if match.spot is not None:
            beside[match.source].add(match.spot)
    if not any(beside.values()):
        raise CommandError("no pair of the whitelist has a spot pair: see perp-imbalance pairs")

    timeframes = arguments.timeframes or default_timeframes(config)
    common = ["--timerange", arguments.timerange, "--timeframes", *timeframes]
    if arguments.datadir:
        common += ["--datadir", arguments.datadir]
    # freqtrade drops spot candles in futures mode, so the spot half is a run of its own; so is the
    # index, because named candle types leave out the mark prices.
    with_oi = perps if Settings.from_config(config).use_oi else []
    for mode, pairs, types in (
        ("futures", perps, []),
        ("futures", beside["index"], ["--candle-types", "index"]),
        ("futures", with_oi, ["--candle-types", "open_interest"]),
        ("spot", beside["spot"], []),
    ):
        if not pairs:
            continue
        options = ["download-data", "--trading-mode", mode, *common, *types]
        code = run_freqtrade([*options, "--pairs", *sorted(pairs)], configs=files)
        if code:
            return code
    return 0


def check_perps(exchange: str, markets: Mapping[str, Any], perps: Sequence[str]) -> None:
    """Raise where the whitelist names what is no perp of the exchange.

    :raises CommandError: naming it.
    """
    from perp_imbalance.markets.spot_matching import is_perp

    unknown = [perp for perp in perps if perp not in markets or not is_perp(markets[perp])]
    if unknown:
        raise CommandError(
            f"{exchange} has no perp {', '.join(unknown)}: take it off the whitelist, or mend its "
            "name (a perp is called like BTC/USDT:USDT)"
        )


def default_timeframes(config: dict[str, Any]) -> list[str]:
    """Return the config's timeframe and its higher timeframe."""
    from perp_imbalance.indicators.thresholds import TIMEFRAME
    from perp_imbalance.strategy.settings import Settings

    timeframe = config.get("timeframe", TIMEFRAME)
    return list(dict.fromkeys([timeframe, Settings.from_config(config).htf_timeframe]))
