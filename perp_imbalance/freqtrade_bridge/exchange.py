"""freqtrade's config and exchange, opened the way freqtrade's own commands open them."""

import asyncio
import copy
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perp_imbalance.errors import CommandError
from perp_imbalance.freqtrade_bridge.secrets import refusal
from perp_imbalance.markets.spot_matching import SpotMatch, is_perp, match_spot
from perp_imbalance.strategy.settings import Settings

if TYPE_CHECKING:
    from freqtrade.enums import RunMode


@contextmanager
def translate_freqtrade_errors(about: str) -> Iterator[None]:
    """Raise freqtrade's errors as ours, with their first line, and keep its log out of sight.

    Its account of each step belongs to its own commands, and of an error it logs a page. A value
    that is none of a list of names it meets with a ValueError.

    :param about: what the message is about, put behind it.
    """
    from freqtrade.exceptions import FreqtradeException

    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    except (FreqtradeException, ValueError) as error:
        raise CommandError(f"{refusal(error)} ({about})") from None
    except KeyError as error:
        # freqtrade takes some of a config for granted.
        raise CommandError(f"the config lacks {error} ({about})") from None
    finally:
        logging.disable(before)


@contextmanager
def quiet_freqtrade() -> Iterator[None]:
    """Keep what freqtrade tells of its steps out of sight, and its errors in it."""
    logger = logging.getLogger("freqtrade")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def load_config(
    files: Sequence[Path], *, runmode: "RunMode | None" = None, **options: Any
) -> dict[str, Any]:
    """Return the merged config of freqtrade's ``-c`` files.

    :param files: merged in this order, later ones win.
    :param runmode: freqtrade's; by default the one of its commands that only look.
    :param options: freqtrade's command-line options by their names in ``freqtrade.commands``.
    :raises CommandError: if a file is missing, unreadable or no valid config.
    """
    from freqtrade.configuration import setup_utils_configuration
    from freqtrade.enums import RunMode

    for file in files:
        if not file.is_file():
            raise CommandError(f"there is no config file {file}: name one with -c")
    names = [str(file) for file in files]
    arguments = {"config": names, **options}
    about = f"config {' + '.join(names)}"
    try:
        with translate_freqtrade_errors(about):
            return dict(setup_utils_configuration(arguments, runmode or RunMode.UTIL_EXCHANGE))
    except (AttributeError, TypeError) as error:
        # freqtrade takes the types of sections for granted.
        wrong = ", ".join(_no_sections(names)) or "a section"
        raise CommandError(f"{wrong} has the wrong type: {error} ({about})") from None


def _no_sections(files: list[str]) -> list[str]:
    """Return the settings of config files that should be sections, and are none."""
    from freqtrade.config_schema import CONF_SCHEMA
    from freqtrade.configuration.load_config import load_from_files

    known = CONF_SCHEMA["properties"]
    sections = {
        name for name, about in known.items() if about.get("type") == "object" or "$ref" in about
    }
    return [
        name
        for file in files
        for name, value in load_from_files([file]).items()
        if name in sections and not isinstance(value, Mapping)
    ]


def check_timerange(timerange: str | None) -> None:
    """Raise unless freqtrade can read a timerange; None is all there is.

    :raises CommandError: naming it.
    """
    from freqtrade.configuration import TimeRange

    with translate_freqtrade_errors("such as 20250101-20250301"):
        TimeRange.parse_timerange(timerange)


def load_markets(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return all markets of the configured exchange by symbol.

    :raises CommandError: if the exchange is unknown or does not answer.
    """
    from freqtrade.resolvers import ExchangeResolver

    name = config.get("exchange", {}).get("name")
    with translate_freqtrade_errors(f"exchange {name}"):
        exchange = ExchangeResolver.load_exchange(dict(config), validate=False)
        with closing_exchange(exchange):
            markets = exchange.markets
    if not markets:
        raise CommandError(
            f"{name} gave no list of its markets: check the network, or ask freqtrade list-markets"
        )
    return dict(markets)


@contextmanager
def closing_exchange(exchange: Any) -> Iterator[None]:
    """Close freqtrade's exchange when the block is left.

    One that gave no markets leaves tasks of ccxt behind, of which asyncio would complain at the
    end of the process: they are ended before the loop is.
    """
    try:
        yield
    finally:
        tasks = asyncio.all_tasks(exchange.loop)
        for task in tasks:
            task.cancel()
        if tasks:
            exchange.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        exchange.close()


def public_client(config: Mapping[str, Any], exchange: Any) -> Any:
    """Return ccxt's client of an exchange that is open, for what freqtrade does not ask.

    Without keys, and with the markets that freqtrade has loaded.

    :param exchange: freqtrade's.
    """
    import ccxt
    from freqtrade.misc import deep_merge_dicts

    settings = config["exchange"]
    options = copy.deepcopy(settings.get("ccxt_config", {}))
    options = deep_merge_dicts(settings.get("ccxt_sync_config", {}), options)
    client = getattr(ccxt, exchange.id)(options)
    client.set_markets(exchange.markets)
    return client


def price_step(exchange: Any, pair: str) -> float:
    """Return the step of a pair's price as the exchange names it, 0 where it names none."""
    if exchange.get_precision_price(pair) is None:
        return 0.0
    # The price is asked for and not used.
    return float(exchange.price_get_one_pip(pair, 0.0))


def match_perps(
    config: Mapping[str, Any], markets: Mapping[str, Any], perps: Sequence[str] | None = None
) -> list[SpotMatch]:
    """Return the spot pair of every perp, in the order of their names.

    :param config: freqtrade's config; its section ``perp_imbalance`` may name spot pairs.
    :param markets: all markets of the exchange by symbol.
    :param perps: the perps to match; without, all active ones of the exchange.
    """
    settings = Settings.from_config(config)
    if perps is None:
        perps = [
            symbol
            for symbol, market in markets.items()
            if is_perp(market) and market.get("active") is not False
        ]
    exchange = str(config["exchange"]["name"])
    return [
        match_spot(
            perp,
            markets.get,
            exchange=exchange,
            overrides=settings.spot_pairs,
            source=settings.premium_source,
        )
        for perp in sorted(perps)
    ]
