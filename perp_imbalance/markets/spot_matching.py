"""Which spot pair belongs to a perp: the one resolver of strategy, download and listing.

Source: ``docs/reference/signal.md``, "Which spot belongs to a perp".
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from perp_imbalance.indicators.premium import is_perp_itself, is_same_coin, price_ratio
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.markets.spot_pairs import PremiumSource, SpotPair

Market = Mapping[str, Any]
#: Looks a market up by its symbol; None where the exchange has none of that name.
MarketLookup = Callable[[str], Market | None]

Rule = Literal["override", "identical", "scale", "renamed", "index"]

#: freqtrade's name for the type of the candles beside the perp's.
Source = Literal["spot", "index"]

#: Scales that exchanges write in front of a base, longest first: a longer one is meant as a whole.
PREFIX_SCALES = {
    "10000000": 10_000_000,
    "1000000": 1_000_000,
    "10000": 10_000,
    "1000": 1_000,
    "1M": 1_000_000,
}
#: Bybit writes SHIB1000.
SUFFIX_SCALES = {"1000": 1_000}
#: Hyperliquid writes kPEPE; elsewhere a leading K belongs to the name.
HYPERLIQUID_PREFIX_SCALES = {"K": 1_000, "k": 1_000}

#: Perps whose coin goes by another name on the spot market.
RENAMED_BASES = {"LUNA2": "LUNA", "DODOX": "DODO", "RAYSOL": "RAY"}


@dataclass(frozen=True, slots=True)
class SpotMatch:
    """The answer for one perp: its spot pair and scale, or the reason why there is none.

    :ivar spot: the pair to ask for candles of; the perp's own where ``source`` is the index.
    :ivar source: the type of these candles.
    """

    perp: str
    spot: str | None
    scale: float
    rule: Rule | None
    reason: str | None
    source: Source = "spot"

    @property
    def has_volume(self) -> bool:
        """Tell whether the candles were traded: an index is computed."""
        return self.source == "spot"

    @property
    def name(self) -> str:
        """What to call it in a sentence."""
        return str(self.spot) if self.source == "spot" else f"the index of {self.perp}"


def is_perp(market: Market) -> bool:
    """Tell whether a market is a linear perpetual, the kind that this strategy trades."""
    return bool(market.get("swap") and market.get("linear"))


def is_other_contract(pair: str, market: Market | None = None) -> bool:
    """Tell whether a pair is a contract of another kind: coin-margined, or with an expiry.

    :param market: of the pair; None where the exchange does not list it, as after an expiry.

    >>> [is_other_contract(f"BTC/{rest}") for rest in ("USDT:USDT", "USD:BTC", "USDT:USDT-250926")]
    [False, True, True]
    """
    _, _, rest = pair.partition("/")
    quote, colon, settle = rest.partition(":")
    if not colon:
        return False
    if market is not None:
        return not is_perp(market)
    return settle != quote


def some(names: Sequence[str], most: int = 5) -> str:
    """Return the first of many names, and how many more there are.

    >>> some(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def about_spotless(
    matches: Sequence["SpotMatch"], markets: Iterable[Market], exchange: str
) -> str | None:
    """Say in one line which perps have nothing to compare with, and what to do; None if all have.

    :param markets: all markets of the exchange.
    """
    lacking = [match for match in matches if match.spot is None]
    if not lacking:
        return None
    if not any(market.get("spot") for market in markets):
        return (
            f"{exchange} lists no spot market at all, so no perp has a spot pair: name the "
            'exchange that has both (such as "binance" for "binanceusdm"), take "fetchMarkets" '
            'out of the ccxt options, or set perp_imbalance.premium_source to "index"'
        )
    if len(lacking) == 1:
        return f"{lacking[0].perp} gets no spot candles: {lacking[0].reason}"
    return (
        f"{len(lacking)} of {len(matches)} perps have no spot pair and give no signals: "
        f"{some([match.perp for match in lacking])}; assign one in perp_imbalance.spot_pairs, or "
        'set premium_source to "auto"'
    )


def match_spot(
    perp: str,
    markets: MarketLookup,
    *,
    exchange: str,
    overrides: Mapping[str, SpotPair] | None = None,
    source: PremiumSource = "spot",
) -> SpotMatch:
    """Return the spot pair of a perp by names alone; prices are checked where candles are.

    The first rule that finds an active spot market with the same quote decides. The exchange's
    index of the perp stands in for spot where ``source`` says so: it has the perp's own scale.

    :param perp: freqtrade's name of the perp, such as ``1000PEPE/USDT:USDT``.
    :param markets: looks up a market of the same exchange.
    :param exchange: ccxt's name of the exchange.
    :param overrides: the user's own assignments; such a pair needs only to exist.
    :param source: ``spot``, ``index``, or ``auto``: the index where there is no spot pair.

    >>> spot = {"symbol": "PEPE/USDT", "spot": True, "active": True}
    >>> match_spot("1000PEPE/USDT:USDT", {"PEPE/USDT": spot}.get, exchange="binance").scale
    1000
    """
    index = SpotMatch(perp, perp, 1, "index", None, "index")
    if source == "index":
        return index
    found = _match_by_names(perp, markets, exchange, overrides)
    return index if source == "auto" and found.spot is None else found


def _match_by_names(
    perp: str, markets: MarketLookup, exchange: str, overrides: Mapping[str, SpotPair] | None
) -> SpotMatch:
    if overrides and perp in overrides:
        return _overridden(perp, overrides[perp], markets)
    base, quote = _base_and_quote(perp, markets)
    inactive = []
    for name, scale, rule in _candidates(base, exchange):
        symbol = f"{name}/{quote}"
        market = markets(symbol)
        if market is None or not market.get("spot"):
            continue
        # ccxt leaves active empty where the exchange does not say.
        if market.get("active") is not False:
            return SpotMatch(perp, symbol, scale, rule, None)
        inactive.append(symbol)
    if inactive:
        reason = f"spot {' and '.join(inactive)} is not active"
    else:
        reason = f"no spot pair of {base} against {quote}"
    return SpotMatch(perp, None, 1, None, reason)


def _overridden(perp: str, override: SpotPair, markets: MarketLookup) -> SpotMatch:
    """Return the user's own assignment, refused if the exchange has no such spot market."""
    market = markets(override.pair)
    if market is None or not market.get("spot"):
        reason = f"the configured spot pair {override.pair} is no spot market of the exchange"
        return SpotMatch(perp, None, 1, None, reason)
    return SpotMatch(perp, override.pair, override.scale, "override", None)


def _base_and_quote(perp: str, markets: MarketLookup) -> tuple[str, str]:
    """Return base and quote as the exchange names them, from the symbol where it names none."""
    market = markets(perp) or {}
    base, _, rest = perp.partition("/")
    return str(market.get("base") or base), str(market.get("quote") or rest.partition(":")[0])


def _candidates(base: str, exchange: str) -> list[tuple[str, float, Rule]]:
    """Return the spot bases to look for, the best first, with scale and rule."""
    found: list[tuple[str, float, Rule]] = [(base, 1, "identical")]
    prefixes = dict(PREFIX_SCALES)
    if exchange == "hyperliquid":
        prefixes |= HYPERLIQUID_PREFIX_SCALES
    for prefix, scale in prefixes.items():
        if base.startswith(prefix) and base != prefix:
            found.append((base.removeprefix(prefix), scale, "scale"))
    for suffix, scale in SUFFIX_SCALES.items():
        if base.endswith(suffix) and base != suffix:
            found.append((base.removesuffix(suffix), scale, "scale"))
    if base in RENAMED_BASES:
        found.append((RENAMED_BASES[base], 1, "renamed"))
    return found


def price_refusal(match: SpotMatch, fraction: Floats, timeframe: str) -> str | None:
    """Say why prices refuse a pair that names let pass; None where they do not.

    :param match: a perp with its spot pair.
    :param fraction: the premiums over the candles at hand.
    :param timeframe: the length of these candles, for the message.
    """
    ratio = price_ratio(fraction)
    if np.isnan(ratio):
        return f"it has no {timeframe} candle in which both it and {match.name} were traded"
    if not is_same_coin(ratio):
        index = "" if match.source == "index" else ', or set premium_source to "index"'
        return (
            f"its price is {ratio:.3g} times that of {match.name} (scale {match.scale:g}): "
            f"not the same coin; assign one in the config's perp_imbalance.spot_pairs{index}"
        )
    if is_perp_itself(fraction):
        return (
            f"the candles of {match.name} are those of the perp: download {match.source} candles "
            "anew"
        )
    return None
