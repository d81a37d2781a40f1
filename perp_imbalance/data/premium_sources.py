"""Find the premium source of each perp of a folder, by names, existing files and prices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from freqtrade.configuration import TimeRange
from freqtrade.data.converter import trim_dataframe
from freqtrade.enums import CandleType
from pandas import DataFrame

from perp_imbalance.data.folder import CandleFolder
from perp_imbalance.markets.pair_premium import settle
from perp_imbalance.markets.spot_matching import SpotMatch, match_spot
from perp_imbalance.markets.spot_pairs import PremiumSetting, SpotPair
from perp_imbalance.strategy.settings import Settings


@dataclass(frozen=True)
class Matching:
    """The rules by which a perp of a folder is matched with the series it is compared with.

    :ivar exchange: ccxt's name of the exchange.
    :ivar overrides: the user's own spot pairs.
    """

    exchange: str = "binance"
    overrides: Mapping[str, SpotPair] = field(default_factory=dict)
    source: PremiumSetting = "spot"

    @classmethod
    def of(cls, exchange: str, settings: Settings) -> "Matching":
        """Return the matching rules of a config."""
        return cls(exchange, settings.spot_pairs, settings.premium_source)

    def match(self, pair: str, folder: CandleFolder) -> SpotMatch:
        """Return the match of a perp among the pairs of a folder."""
        return match_spot(
            pair,
            folder.market,
            exchange=self.exchange,
            overrides=self.overrides,
            source=self.source,
        )


def with_candles(match: SpotMatch, folder: CandleFolder, timeframe: str) -> SpotMatch:
    """Return the first premium source of a perp that has candles in the folder, or None."""

    def is_there(one: SpotMatch) -> bool:
        return (str(one.spot), timeframe, CandleType(one.source)) in folder.keys

    while match.others and not is_there(match):
        match = match.next(f"no {timeframe} candles of {match.name}")
    return replace(match, others=tuple(filter(is_there, match.others)))


def settled(
    folder: CandleFolder, timeframe: str, matches: Sequence[SpotMatch], timerange: str | None
) -> list[SpotMatch]:
    """Return each perp's premium source after the price check, as the strategy selects it."""
    span = TimeRange.parse_timerange(timerange)

    def of(match: SpotMatch) -> SpotMatch:
        if not match.others:
            return match
        perp = trim_dataframe(folder.read(match.perp, timeframe, CandleType.FUTURES), span)

        def candles(one: SpotMatch) -> DataFrame:
            return folder.read(str(one.spot), timeframe, CandleType(one.source))

        return settle(match, perp, candles, timeframe)

    return [of(match) for match in matches]
