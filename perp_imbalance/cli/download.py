"""``perp-imbalance download-data``: download all candles that a backtest of the strategy needs."""

import argparse
import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perp_imbalance.cli.options import add_config, add_datadir, add_timerange, config_files
from perp_imbalance.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perp_imbalance.data.download import Job
    from perp_imbalance.markets.spot_matching import SpotMatch

logger = logging.getLogger(__name__)

EXAMPLE = """\
examples:
  perp-imbalance download-data -c config.json --timerange 20250101-20251231
  perp-imbalance download-data --timerange 20250101- -t 5m 1h
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand ``download-data``."""
    parser = subparsers.add_parser(
        "download-data",
        help="download perps with mark prices and funding, and their spot pairs",
        description="Download the whitelist's perps with mark prices and funding, and what they "
        "are compared with: their matched spot pairs, index prices or premium index, as "
        "premium_source says; on the timeframe and the higher timeframe, with freqtrade's own "
        "downloader. Run again, it appends new candles and rewrites nothing.",
        epilog=EXAMPLE,
    )
    add_config(parser)
    add_timerange(parser, required=True)
    parser.add_argument(
        *("-t", "--timeframes"),
        nargs="+",
        metavar="TF",
        help="timeframes (default: the config's timeframe and its higher timeframe)",
    )
    add_datadir(parser, "where candles are written (default: the config's)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run freqtrade's downloader for the perps, then for the series they are compared with."""
    from perp_imbalance.data.download import Job, download
    from perp_imbalance.data.folder import CandleFolder
    from perp_imbalance.data.premium_sources import settled
    from perp_imbalance.freqtrade_bridge.config import check_timerange, load_config
    from perp_imbalance.freqtrade_bridge.exchange import match_perps
    from perp_imbalance.freqtrade_bridge.pairs import load_universe
    from perp_imbalance.indicators.thresholds import Thresholds
    from perp_imbalance.markets.spot_matching import about_sources, about_spotless
    from perp_imbalance.strategy.gate_series import downloaded_series
    from perp_imbalance.strategy.settings import Settings

    check_timerange(arguments.timerange)
    files = config_files(arguments)
    config = load_config(files)
    markets, perps = load_universe(config)
    exchange = str(config["exchange"]["name"])
    matches = match_perps(markets, Settings.from_config(config), exchange, perps)
    spotless = about_spotless(matches, markets.values(), exchange)
    if not any(match.spot for match in matches):
        raise CommandError(f"no pair of the whitelist has a spot pair: {spotless}")
    if spotless:
        logger.warning(spotless)

    datadir = Path(arguments.datadir or config["datadir"])
    timeframes = arguments.timeframes or default_timeframes(config)
    fetch = partial(
        download,
        datadir=datadir,
        data_format=config["dataformat_ohlcv"],
        timeframes=timeframes,
        timerange=arguments.timerange,
        configs=files,
    )
    series = downloaded_series(Settings.from_config(config).gated(Thresholds()))
    jobs = [Job("futures", perps), *(Job("futures", perps, [str(kind)]) for kind in series)]
    outcome = fetch([*jobs, *jobs_of_sources(matches)])
    # The price check may reject a spot pair that matches by name; then the next source is needed.
    while not outcome.code and any(match.others for match in matches):
        before = matches
        folder = CandleFolder(datadir, config["dataformat_ohlcv"])
        matches = settled(folder, timeframes[0], matches, arguments.timerange)
        passed = [match for match, old in zip(matches, before, strict=True) if match != old]
        if not passed:
            break
        for line in about_sources(passed):
            logger.warning("%s", line)
        outcome += fetch(jobs_of_sources(passed))
    print(outcome)
    return outcome.code or int(bool(outcome.failed))


def jobs_of_sources(matches: "Iterable[SpotMatch]") -> "list[Job]":
    """Return the download jobs for the series that perps are compared with, by candle type.

    Spot needs a separate run, because freqtrade drops spot candles in futures mode. An index does
    too, because a run with named candle types leaves out the mark prices.
    """
    from perp_imbalance.data.download import Job

    pairs: dict[str, set[str]] = {}
    for match in matches:
        if match.spot is not None:
            pairs.setdefault(match.source, set()).add(match.spot)
    return [
        Job("spot", sorted(names)) if kind == "spot" else Job("futures", sorted(names), [kind])
        for kind, names in sorted(pairs.items())
    ]


def default_timeframes(config: dict[str, Any]) -> list[str]:
    """Return the config's timeframe and its higher timeframe."""
    from perp_imbalance.indicators.thresholds import TIMEFRAME
    from perp_imbalance.strategy.settings import Settings

    timeframe = config.get("timeframe", TIMEFRAME)
    return list(dict.fromkeys([timeframe, Settings.from_config(config).htf_timeframe]))
