"""Choose the source of each pair's premium while a strategy runs."""

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
    """The part of a strategy that skips a premium source whose prices do not match the pair's."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        #: What prices have decided of pairs with several sources, until the next start.
        self.settled: dict[str, SpotMatch] = {}
        self._awaited: set[str] = set()
        self._told: dict[str, str] = {}

    @abstractmethod
    def spot_of(self, pair: str) -> SpotMatch:
        """Return the premium source of a perp, or the reason why it has none."""

    @abstractmethod
    def candles(self, pair: str, timeframe: str, candle_type: CandleType) -> DataFrame:
        """Return freqtrade's candles; an empty frame with their columns if it has none."""

    def source_candles(self, match: SpotMatch) -> DataFrame | None:
        """Return the candles of a perp's premium source; None if it has no source."""
        if match.spot is None:
            return None
        return self.candles(match.spot, self.timeframe, CandleType(match.source))

    def settle_source(self, pair: str, dataframe: DataFrame) -> SpotMatch:
        """Return the premium source of a pair, and report once if it is a fallback.

        A running bot requests one source at a time: after skipping one, it gets the candles of the
        next source before the next iteration.

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
        """Return whether the candles of a pair's source have not been requested yet."""
        return pair in self._awaited
