"""Match a perp with its spot pair, for strategy, download and listing.

Source: ``docs/reference/signal.md``, "Which spot belongs to a perp".
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import numpy as np

from perp_imbalance.indicators.premium import Source, is_perp_itself, is_same_coin, price_ratio
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.markets.spot_pairs import PremiumSetting, PremiumSource, SpotPair, source_order

Market = Mapping[str, Any]
#: Looks a market up by its symbol; None where the exchange has none of that name.
MarketLookup = Callable[[str], Market | None]

Rule = Literal["override", "identical", "scale", "renamed", "index", "premium_index"]

_SOURCES: dict[PremiumSource, Source] = {
    "spot": "spot",
    "index": "index",
    "premium_index": "premiumIndex",
}
_NAMES: dict[Source, PremiumSource] = {source: name for name, source in _SOURCES.items()}
# What ccxt calls the ability to fetch the candles of a source.
_ABILITIES: dict[PremiumSource, str] = {
    "index": "fetchIndexOHLCV",
    "premium_index": "fetchPremiumIndexOHLCV",
}

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
    """The match of one perp: its spot pair and scale, or the reason why it has none.

    :ivar spot: the pair whose candles are requested; the perp itself if ``source`` is not ``spot``.
    :ivar source: the type of these candles.
    :ivar others: alternative sources, in order, in case the prices of this one do not match.
    :ivar passed_over: why the sources before this one in the order were skipped; None if it is the
        first.
    """

    perp: str
    spot: str | None
    scale: float
    rule: Rule | None
    reason: str | None
    source: Source = "spot"
    others: tuple["SpotMatch", ...] = ()
    passed_over: str | None = None

    @property
    def premium_source(self) -> PremiumSource:
        """The name of the source in the config and in the column ``premium_source``."""
        return _NAMES[self.source]

    @property
    def is_premium(self) -> bool:
        """Return whether the candles are the premium itself."""
        return self.source == "premiumIndex"

    def next(self, reason: str) -> "SpotMatch":
        """Return the match with the next source.

        :param reason: why this source cannot be used.
        """
        first, *others = self.others
        reasons = f"{self.passed_over}; {reason}" if self.passed_over else reason
        return replace(first, others=tuple(others), passed_over=reasons)

    @property
    def has_volume(self) -> bool:
        """Return whether the candles have a volume; those of an index do not."""
        return self.source == "spot"

    @property
    def name(self) -> str:
        """The name of the source in a sentence."""
        if self.source == "spot":
            return str(self.spot)
        return f"the {self.premium_source.replace('_', ' ')} of {self.perp}"


def is_perp(market: Market) -> bool:
    """Return whether a market is a linear perpetual, which this strategy trades."""
    return bool(market.get("swap") and market.get("linear"))


def is_other_contract(pair: str, market: Market | None = None) -> bool:
    """Return whether a pair is another kind of contract: coin-margined, or with an expiry.

    :param market: market of the pair; None if the exchange does not list it, as after its expiry.

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
    """Return the first few names as text, and the number of the others.

    >>> some(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def about_spotless(
    matches: Sequence["SpotMatch"], markets: Iterable[Market], exchange: str
) -> str | None:
    """Return one line about perps without any source of a premium; None if all have one.

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


def about_sources(matches: Iterable["SpotMatch"]) -> list[str]:
    """Return lines about perps that do not use the first source of the order, and why.

    >>> match = SpotMatch("X/USDT:USDT", "X/USDT:USDT", 1, "index", None, "index")
    >>> about_sources([replace(match, passed_over="no spot pair of X against USDT")])
    ['X/USDT:USDT is measured by its index: no spot pair of X against USDT']
    """
    by_source: dict[str, list[SpotMatch]] = {}
    for match in matches:
        if match.passed_over:
            by_source.setdefault(match.premium_source.replace("_", " "), []).append(match)
    said = []
    for source, found in by_source.items():
        first = found[0]
        if len(found) == 1:
            said.append(f"{first.perp} is measured by its {source}: {first.passed_over}")
        else:
            pairs = some([match.perp for match in found])
            said.append(
                f"{len(found)} perps are measured by their {source}: {pairs}; of {first.perp}: "
                f"{first.passed_over}"
            )
    return said


def match_spot(
    perp: str,
    markets: MarketLookup,
    *,
    exchange: str,
    overrides: Mapping[str, SpotPair] | None = None,
    source: PremiumSetting = "spot",
) -> SpotMatch:
    """Return the spot pair of a perp by names only; :func:`price_refusal` checks the prices.

    The first rule that finds an active spot market with the same quote decides. If ``source`` says
    so, the exchange's index of the perp or its premium index replaces spot; both have the perp's
    own scale.

    :param perp: freqtrade's name of the perp, such as ``1000PEPE/USDT:USDT``.
    :param markets: looks up a market of the same exchange.
    :param exchange: ccxt's name of the exchange.
    :param overrides: the user's own spot pairs; they only need to exist.
    :param source: ``spot``, ``index``, ``premium_index``, or several of them, of which the first
        that the perp has is used; ``auto`` means all three.

    >>> spot = {"symbol": "PEPE/USDT", "spot": True, "active": True}
    >>> match_spot("1000PEPE/USDT:USDT", {"PEPE/USDT": spot}.get, exchange="binance").scale
    1000
    """
    found: list[SpotMatch] = []
    reason = None
    for name in source_order(source):
        if name == "spot":
            match = _match_by_names(perp, markets, exchange, overrides)
        elif source == "auto" and not has_source(exchange, name):
            continue
        else:
            match = SpotMatch(perp, perp, 1, name, None, _SOURCES[name])
        if match.spot is None:
            reason = match.reason
        else:
            found.append(match)
    if not found:
        return SpotMatch(perp, None, 1, None, reason)
    first, *others = found
    if not others and reason is None:
        return first
    is_preferred = first.premium_source == source_order(source)[0]
    return replace(first, others=tuple(others), passed_over=None if is_preferred else reason)


@cache
def has_source(exchange: str, source: PremiumSource) -> bool:
    """Return whether ccxt can fetch the candles of a source; True for an unknown exchange.

    >>> has_source("okx", "premium_index"), has_source("okx", "index")
    (False, True)
    """
    # Here, because it takes a second that --help need not.
    import ccxt

    described: Callable[[], Any] | None = getattr(ccxt, exchange, None)
    if source not in _ABILITIES or described is None:
        return True
    return bool(described().has.get(_ABILITIES[source]))


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
    """Return the match with the user's own spot pair, or a refusal if it is not listed."""
    market = markets(override.pair)
    if market is None or not market.get("spot"):
        reason = f"the configured spot pair {override.pair} is not a spot market of the exchange"
        return SpotMatch(perp, None, 1, None, reason)
    return SpotMatch(perp, override.pair, override.scale, "override", None)


def _base_and_quote(perp: str, markets: MarketLookup) -> tuple[str, str]:
    """Return base and quote with the exchange's names, or from the symbol if it has none."""
    market = markets(perp) or {}
    base, _, rest = perp.partition("/")
    return str(market.get("base") or base), str(market.get("quote") or rest.partition(":")[0])


def _candidates(base: str, exchange: str) -> list[tuple[str, float, Rule]]:
    """Return candidates for the spot base with scale and rule, best first."""
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
    """Return why the prices of perp and spot do not match; None if they match.

    :param match: a perp with its spot pair.
    :param fraction: the premiums of the available candles.
    :param timeframe: the length of these candles, for the message.
    """
    ratio = price_ratio(fraction)
    if np.isnan(ratio):
        return f"it has no {timeframe} candle in which both it and {match.name} were traded"
    if match.is_premium:
        return None
    if not is_same_coin(ratio):
        reason = (
            f"its price is {ratio:.3g} times that of {match.name} (scale {match.scale:g}): "
            "not the same coin"
        )
        if match.others:
            return reason
        auto = "" if match.source == "index" else ', or set premium_source to "auto"'
        return f"{reason}; assign one in the config's perp_imbalance.spot_pairs{auto}"
    if is_perp_itself(fraction):
        return (
            f"the candles of {match.name} are those of the perp: download {match.source} candles "
            "again"
        )
    return None
