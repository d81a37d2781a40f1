"""freqtrade's exchanges, opened as freqtrade's own commands open them."""

import asyncio
import copy
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

from perp_imbalance.errors import BridgeError
from perp_imbalance.freqtrade_bridge.logs import translate_freqtrade_errors
from perp_imbalance.markets.spot_matching import SpotMatch, is_perp, match_spot
from perp_imbalance.strategy.settings import Settings

# What freqtrade settles funding by: of a class of its own, where an exchange has one.
_FUNDING_OPTIONS = ("mark_ohlcv_price", "mark_ohlcv_timeframe", "funding_fee_timeframe")
# Fees that ccxt has in its parser of markets, and otherwise in its description.
_TAKER_FEES = {"bybit": 0.0006}
_UNKNOWN_FEE = 0.001


def load_markets(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return all markets of the configured exchange by symbol.

    :raises BridgeError: if the exchange is unknown or does not answer.
    """
    with open_exchange(dict(config)) as exchange:
        return dict(exchange.markets)


@contextmanager
def open_exchange(config: dict[str, Any]) -> Iterator[Any]:
    """Open the configured exchange with its markets; close it when the block is left.

    :raises BridgeError: if freqtrade refuses it, does not know it, or gets no markets.
    """
    name = config.get("exchange", {}).get("name")
    with translate_freqtrade_errors(f"exchange {name}"):
        exchange = load_exchange(config)
    with closing_exchange(exchange):
        check_markets(exchange)
        yield exchange


def check_markets(exchange: Any) -> None:
    """Let freqtrade load the markets of an exchange.

    :raises BridgeError: if it gets none.
    """
    with translate_freqtrade_errors(f"exchange {exchange.id}"):
        # freqtrade loads them when they are first asked for, and logs each failed try.
        is_listed = bool(exchange.markets)
    if not is_listed:
        raise BridgeError(
            f"{exchange.id} gave no list of its markets: check the network, or ask freqtrade "
            "list-markets"
        )


def load_exchange(config: dict[str, Any]) -> Any:
    """Return the configured exchange; the caller closes it, and meets freqtrade's own errors."""
    from perp_imbalance.freqtrade_bridge.internals import ExchangeResolver

    return ExchangeResolver.load_exchange(config, validate=False)


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


def taker_fee(exchange: str) -> float | None:
    """Return what an exchange asks of a taker of linear perps, as ccxt describes it.

    Of the two fees, freqtrade backtests with the higher one. None where ccxt does not tell.

    :param exchange: ccxt's name.

    >>> taker_fee("hyperliquid")
    0.00045
    """
    import ccxt

    if exchange in _TAKER_FEES:
        return _TAKER_FEES[exchange]
    described = getattr(ccxt, exchange, None)
    fees = described().describe().get("fees", {}) if described else {}
    perps = fees.get("linear", {}).get("trading") or fees.get("swap") or fees.get("trading", {})
    return perps.get("taker")  # type: ignore[no-any-return]


def pair_taker_fee(exchange: Any, pair: str) -> float:
    """Return what an order of a taker costs on an open exchange, as a share of its worth.

    0.1 % where the exchange names none.

    :param exchange: freqtrade's.
    """
    from freqtrade.exceptions import FreqtradeException

    try:
        return float(exchange.get_fee(pair, taker_or_maker="taker")) or _UNKNOWN_FEE
    except FreqtradeException:
        return _UNKNOWN_FEE


def funding_options(exchange: str) -> dict[str, Any]:
    """Return by which candles freqtrade settles the funding of an exchange.

    :param exchange: freqtrade's name.

    >>> funding_options("hyperliquid")["mark_ohlcv_price"]
    'futures'
    """
    from perp_imbalance.freqtrade_bridge.internals import (
        MAP_EXCHANGE_CHILDCLASS,
        exchange_classes,
    )

    name = MAP_EXCHANGE_CHILDCLASS.get(exchange, exchange).title()
    base = exchange_classes.Exchange
    found = getattr(exchange_classes, name, base)
    options = {**base._ft_has_default, **found._ft_has, **found._ft_has_futures}
    return {key: options[key] for key in _FUNDING_OPTIONS}


def leverage_tiers(pairs: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Return how much leverage Binance allows, as freqtrade's backtesting knows it.

    It takes the tiers from a file of its own. A pair that the file lacks is left out.

    :return: freqtrade's tiers by pair, the lowest first.
    """
    from perp_imbalance.freqtrade_bridge.internals import exchange_classes

    file = files("freqtrade.exchange").joinpath("binance_leverage_tiers.json")
    tiers = json.loads(file.read_text("utf-8"))
    parse = exchange_classes.Exchange.parse_leverage_tier
    return {pair: [parse(None, tier) for tier in tiers[pair]] for pair in pairs if pair in tiers}


def without_leverage_tiers(pairs: Iterable[str]) -> list[str]:
    """Return the perps of which freqtrade does not know how much leverage Binance allows.

    Its backtesting refuses to start without them.
    """
    wanted = list(pairs)
    known = leverage_tiers(wanted)
    return [pair for pair in wanted if pair not in known]


def price_step(exchange: Any, pair: str) -> float:
    """Return the step of a pair's price as the exchange names it, 0 where it names none."""
    if exchange.get_precision_price(pair) is None:
        return 0.0
    # The price is asked for and not used.
    return float(exchange.price_get_one_pip(pair, 0.0))


def match_perps(
    markets: Mapping[str, Any],
    settings: Settings,
    exchange: str,
    perps: Sequence[str] | None = None,
) -> list[SpotMatch]:
    """Return the spot pair of every perp, in the order of their names.

    :param markets: all markets of the exchange by symbol.
    :param settings: they may name spot pairs.
    :param exchange: freqtrade's name.
    :param perps: the perps to match; without, all active ones of the exchange.
    """
    if perps is None:
        perps = [
            symbol
            for symbol, market in markets.items()
            if is_perp(market) and market.get("active") is not False
        ]
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
