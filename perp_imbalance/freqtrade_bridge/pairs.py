"""Expand the pairs of a config: patterns, blacklist and pair lists, with freqtrade's own code."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from perp_imbalance.errors import CommandError
from perp_imbalance.freqtrade_bridge.exchange import open_exchange
from perp_imbalance.freqtrade_bridge.logs import translate_freqtrade_errors
from perp_imbalance.markets.spot_matching import is_other_contract, is_perp, some

logger = logging.getLogger(__name__)


class Universe(NamedTuple):
    """The markets of an exchange, and the perps that a config selects.

    :ivar markets: all markets by symbol.
    """

    markets: dict[str, Any]
    perps: list[str]


def names_pairs(config: Mapping[str, Any]) -> bool:
    """Return whether the pair lists start with the whitelist of the config."""
    methods = [each.get("method") for each in config.get("pairlists", [])]
    return not methods or methods[0] == "StaticPairList"


def load_universe(config: Mapping[str, Any]) -> Universe:
    """Return the markets of the configured exchange and the perps that the config selects.

    A whitelist of names and patterns is expanded as by freqtrade's downloader. Any other pair list
    is asked for its current pairs. Contracts other than linear perps are left out.

    :raises CommandError: if the exchange does not answer, or does not list a named perp.
    """
    name = str(config["exchange"]["name"])
    with open_exchange(dict(config)) as exchange:
        markets = dict(exchange.markets)
        method = "pair_whitelist" if names_pairs(config) else config["pairlists"][0]["method"]
        with translate_freqtrade_errors(f"pairs of {method}"):
            if names_pairs(config):
                pairs = expand_whitelist(config, markets)
            else:
                pairs = traded_pairs(dict(config), exchange)
                logger.info("%s gives %d pairs now", method, len(pairs))
    if not pairs:
        raise CommandError(f"{method} leaves no pair: name perps in exchange.pair_whitelist")
    return Universe(markets, _perps(name, markets, pairs))


def expand_whitelist(config: Mapping[str, Any], markets: Mapping[str, Any]) -> list[str]:
    """Return the pairs that a whitelist's names and patterns match, without those of the blacklist.

    A name that the exchange does not list is kept.

    :raises ValueError: if a pattern is invalid.
    """
    from freqtrade.plugins.pairlist.pairlist_helpers import expand_pairlist

    perps = [
        symbol
        for symbol, market in markets.items()
        if is_perp(market) and market.get("active") is not False
    ]
    named = list(config["exchange"].get("pair_whitelist", []))
    # A name stays even where no active perp has it: what it is will be said.
    pairs = dict.fromkeys(expand_pairlist(named, perps, keep_invalid=True))
    return without_blacklisted(config, pairs, markets)


def without_blacklisted(
    config: Mapping[str, Any], pairs: Iterable[str], markets: Iterable[str]
) -> list[str]:
    """Return pairs without those that match the blacklist's names and patterns."""
    from freqtrade.plugins.pairlist.pairlist_helpers import expand_pairlist

    blacklist = config["exchange"].get("pair_blacklist", [])
    banned = set(expand_pairlist(blacklist, list(markets)))
    return [pair for pair in pairs if pair not in banned]


def traded_pairs(config: dict[str, Any], exchange: Any) -> list[str]:
    """Return the pairs that freqtrade's pair lists currently select.

    :param exchange: freqtrade's exchange with its markets.
    """
    from freqtrade.persistence import FtNoDBContext
    from freqtrade.plugins.pairlistmanager import PairListManager

    with FtNoDBContext():
        pairlists = PairListManager(exchange, config)
        pairlists.refresh_pairlist()
    return list(pairlists.whitelist)


def _perps(exchange: str, markets: Mapping[str, Any], pairs: list[str]) -> list[str]:
    """Return the linear perps among pairs; log a line about other contracts, which are left out.

    :raises CommandError: naming pairs that are not contracts of the exchange.
    """
    others = [pair for pair in pairs if is_other_contract(pair, markets.get(pair))]
    perps = [pair for pair in pairs if pair not in others]
    unknown = [pair for pair in perps if pair not in markets or not is_perp(markets[pair])]
    if unknown:
        raise CommandError(
            f"{exchange} has no perp {some(unknown)}: take it off the whitelist, or mend its "
            "name (a perp is called like BTC/USDT:USDT)"
        )
    if others:
        logger.warning(
            "%d of %d pairs are left out, coin-margined or with an expiry: %s",
            len(others),
            len(pairs),
            some(others),
        )
    if not perps:
        raise CommandError("the whitelist has no linear perpetual such as BTC/USDT:USDT")
    return perps
