"""Open freqtrade's exchanges as freqtrade's own commands do."""

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
    """Open the configured exchange with its markets; close it when the block ends.

    :raises BridgeError: if freqtrade refuses or does not know it, or gets no markets.
    """
    name = config.get("exchange", {}).get("name")
    with translate_freqtrade_errors(f"exchange {name}"):
        exchange = load_exchange(config)
    with closing_exchange(exchange):
        check_markets(exchange)
        yield exchange


def check_markets(exchange: Any) -> None:
    """Load the markets of an exchange with freqtrade.

    :raises BridgeError: if freqtrade gets none.
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
    """Return the configured exchange; the caller closes it and handles freqtrade's own errors."""
    from perp_imbalance.freqtrade_bridge.internals import ExchangeResolver

    return ExchangeResolver.load_exchange(config, validate=False)


@contextmanager
def closing_exchange(exchange: Any) -> Iterator[None]:
    """Close freqtrade's exchange when the block ends.

    If the markets failed to load, tasks of ccxt remain, and asyncio would warn about them at the
    end of the process. They are cancelled before the loop is closed.
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
    """Return ccxt's client of an open exchange, for requests that freqtrade does not make.

    It has no keys, and the markets that freqtrade has loaded.

    :param exchange: freqtrade's exchange.
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
    """Return the taker fee of an exchange's linear perps from ccxt, as a fraction.

    freqtrade backtests with the higher of taker and maker fee. None if ccxt does not know it.

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


def pair_taker_fee(exchange: Any, pair: str, config: Mapping[str, Any]) -> float:
    """Return the taker fee of a pair on an open exchange, as a fraction.

    0.001 if the exchange does not state it.

    :param exchange: freqtrade's exchange.
    :param config: its config, whose ``fee`` freqtrade takes in a dry run, even where it is 0.
    """
    from freqtrade.exceptions import FreqtradeException

    try:
        fee = float(exchange.get_fee(pair, taker_or_maker="taker"))
    except FreqtradeException:
        return _UNKNOWN_FEE
    # freqtrade also returns 0 where the exchange does not state the fee.
    is_configured = config.get("dry_run") and config.get("fee") is not None
    return fee if fee or is_configured else _UNKNOWN_FEE


def funding_options(exchange: str) -> dict[str, Any]:
    """Return freqtrade's options for the funding candles of an exchange.

    :param exchange: freqtrade's name of the exchange.

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
    """Return Binance's leverage tiers that freqtrade's backtesting uses.

    freqtrade ships them in a file. A pair that the file lacks is left out.

    :return: freqtrade's tiers by pair, lowest first.
    """
    from perp_imbalance.freqtrade_bridge.internals import exchange_classes

    file = files("freqtrade.exchange").joinpath("binance_leverage_tiers.json")
    tiers = json.loads(file.read_text("utf-8"))
    parse = exchange_classes.Exchange.parse_leverage_tier
    return {pair: [parse(None, tier) for tier in tiers[pair]] for pair in pairs if pair in tiers}


def without_leverage_tiers(pairs: Iterable[str]) -> list[str]:
    """Return the perps without leverage tiers in freqtrade's file for Binance.

    freqtrade's backtesting refuses to start with such a perp.
    """
    wanted = list(pairs)
    known = leverage_tiers(wanted)
    return [pair for pair in wanted if pair not in known]


def price_step(exchange: Any, pair: str) -> float:
    """Return the exchange's price step of a pair; 0 if it does not state one."""
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
    """Return the match of every perp, ordered by name.

    :param markets: all markets of the exchange by symbol.
    :param settings: settings of the strategy, which may set spot pairs.
    :param exchange: freqtrade's name of the exchange.
    :param perps: the perps to match; by default all active ones of the exchange.
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
