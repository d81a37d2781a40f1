"""By what the premium of each pair is measured while a strategy runs."""

import logging
from abc import abstractmethod
from typing import Any

from freqtrade.enums import TRADE_MODES, CandleType
from freqtrade.strategy import IStrategy
from pandas import DataFrame

from perp_imbalance.markets.pair_premium import passed_over, settle
from perp_imbalance.markets.spot_matching import SpotMatch, about_sources

logger = logging.getLogger(__name__)


class PremiumSources(IStrategy):
    """The part of a strategy that passes a source over whose prices are not the pair's."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        #: What prices have decided of pairs with several sources, until the next start.
        self.settled: dict[str, SpotMatch] = {}
        self._awaited: set[str] = set()
        self._told: dict[str, str] = {}

    @abstractmethod
    def spot_of(self, pair: str) -> SpotMatch:
        """Return what a perp is compared with, or the reason why it is with nothing."""

    @abstractmethod
    def candles(self, pair: str, timeframe: str, candle_type: CandleType) -> DataFrame:
        """Return the candles freqtrade has, with their columns even where it has none."""

    def source_candles(self, match: SpotMatch) -> DataFrame | None:
        """Return the candles of what a perp is compared with; None where it is with nothing."""
        if match.spot is None:
            return None
        return self.candles(match.spot, self.timeframe, CandleType(match.source))

    def settle_source(self, pair: str, dataframe: DataFrame) -> SpotMatch:
        """Return what the premium of a pair is measured by, and tell once where it is a fallback.

        A running bot asks for one source at a time: it passes over one, and gets the candles of the
        next before it looks again.

        :param dataframe: the perp's candles.
        """
        match = self.spot_of(pair)
        self._awaited.discard(pair)
        if match.others:
            self.settled[pair] = match = self._settled(match, dataframe)
        is_news = self._told.get(pair) != match.source and not self.awaits_source(pair)
        if match.passed_over and is_news:
            self._told[pair] = match.source
            logger.info("%s", about_sources([match])[0])
        return match

    def _settled(self, match: SpotMatch, dataframe: DataFrame) -> SpotMatch:
        if self.config["runmode"] not in TRADE_MODES:
            return settle(match, dataframe, self.source_candles, self.timeframe)
        candles = self.source_candles(match)
        reason = passed_over(match, dataframe, candles, self.timeframe, is_live=True)
        if reason is None:
            return match
        self._awaited.add(match.perp)
        return match.next(reason)

    def awaits_source(self, pair: str) -> bool:
        """Tell whether the candles of a pair's source have not been asked for yet."""
        return pair in self._awaited
