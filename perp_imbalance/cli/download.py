"""``perp-imbalance download-data``: all candles that a backtest of the strategy needs."""

import argparse
import logging
from pathlib import Path
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
    from perp_imbalance.data.download import Job, download
    from perp_imbalance.freqtrade_bridge.config import check_timerange, load_config
    from perp_imbalance.freqtrade_bridge.exchange import match_perps
    from perp_imbalance.freqtrade_bridge.pairs import load_universe
    from perp_imbalance.indicators.thresholds import Thresholds
    from perp_imbalance.markets.spot_matching import about_spotless
    from perp_imbalance.strategy.gate_series import downloaded_series
    from perp_imbalance.strategy.settings import Settings

    check_timerange(arguments.timerange)
    files = config_files(arguments)
    config = load_config(files)
    markets, perps = load_universe(config)
    exchange = str(config["exchange"]["name"])
    matches = match_perps(markets, Settings.from_config(config), exchange, perps)
    spotless = about_spotless(matches, markets.values(), exchange)
    beside: dict[str, set[str]] = {"spot": set(), "index": set()}
    for match in matches:
        if match.spot is not None:
            beside[match.source].add(match.spot)
    if not any(beside.values()):
        raise CommandError(f"no pair of the whitelist has a spot pair: {spotless}")
    if spotless:
        logger.warning(spotless)

    # freqtrade drops spot candles in futures mode, so the spot half is a run of its own; so is the
    # index, because named candle types leave out the mark prices.
    series = downloaded_series(Settings.from_config(config).gated(Thresholds()))
    jobs = [
        Job("futures", perps),
        Job("futures", sorted(beside["index"]), ["index"]),
        *(Job("futures", perps, [str(kind)]) for kind in series),
        Job("spot", sorted(beside["spot"])),
    ]
    outcome = download(
        [job for job in jobs if job.pairs],
        Path(arguments.datadir or config["datadir"]),
        data_format=config["dataformat_ohlcv"],
        timeframes=arguments.timeframes or default_timeframes(config),
        timerange=arguments.timerange,
        configs=files,
    )
    print(outcome)
    return outcome.code or int(bool(outcome.failed))


def default_timeframes(config: dict[str, Any]) -> list[str]:
    """Return the config's timeframe and its higher timeframe."""
    from perp_imbalance.indicators.thresholds import TIMEFRAME
    from perp_imbalance.strategy.settings import Settings

    timeframe = config.get("timeframe", TIMEFRAME)
    return list(dict.fromkeys([timeframe, Settings.from_config(config).htf_timeframe]))
