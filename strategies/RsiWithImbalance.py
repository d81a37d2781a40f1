"""Example: an own trigger (RSI) that trades only where the imbalance agrees.

What it takes to use the bias in any strategy: ask for the spot pair in ``informative_pairs``, join
the columns in ``populate_indicators``, and read ``bias``.
"""

import talib
from freqtrade.strategy import IStrategy
from pandas import DataFrame

from perp_imbalance.indicators import imbalance_columns
from perp_imbalance.markets.exchange_name import exchange_name
from perp_imbalance.markets.spot_matching import SpotMatch, match_spot
from perp_imbalance.markets.spot_setting import check_spot_setting


class RsiWithImbalance(IStrategy):
    """Buy weakness where perp shorts are crowded, sell strength where perp longs are."""

    INTERFACE_VERSION = 3

    timeframe = "1h"
    can_short = True
    startup_candle_count = 200
    minimal_roi = {"0": 100}  # noqa: RUF012
    stoploss = -0.05

    def bot_start(self, **kwargs: object) -> None:
        """Refuse a config with which Binance answers for spot with the candles of the perp."""
        check_spot_setting(self.config)

    def spot_of(self, pair: str) -> SpotMatch:
        """Return the spot pair of a perp and its scale."""
        return match_spot(pair, self.dp.market, exchange=exchange_name(self.config))

    def informative_pairs(self) -> list[tuple[str, str, str]]:
        """Ask for the candles of the spot pairs."""
        spots = [self.spot_of(pair).spot for pair in self.dp.current_whitelist()]
        return [(spot, self.timeframe, "spot") for spot in spots if spot]

    def populate_indicators(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        """Add the RSI, and the columns of the imbalance."""
        dataframe["rsi"] = talib.RSI(dataframe["close"].to_numpy(), 14)
        match = self.spot_of(metadata["pair"])
        if match.spot is None:
            return dataframe.assign(bias=0)
        spot = self.dp.get_pair_dataframe(match.spot, self.timeframe, "spot")
        return dataframe.join(imbalance_columns(dataframe, spot, scale=match.scale))

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        """Enter where trigger and bias agree."""
        dataframe["enter_long"] = ((dataframe["rsi"] < 40) & (dataframe["bias"] > 0)).astype(int)
        dataframe["enter_short"] = ((dataframe["rsi"] > 60) & (dataframe["bias"] < 0)).astype(int)
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        """Exit where the RSI is back in the middle."""
        dataframe["exit_long"] = (dataframe["rsi"] > 50).astype(int)
        dataframe["exit_short"] = (dataframe["rsi"] < 50).astype(int)
        return dataframe
