"""Example: a strategy with its own trigger (RSI) that trades only where the imbalance agrees.

To use the bias in any strategy: return the spot pair from ``informative_pairs``, join the columns
in ``populate_indicators``, and read ``bias``. On Binance the config needs ``defaultType`` as in
``config.json``; ``perp-imbalance doctor`` checks it.
"""

import talib
from freqtrade.strategy import IStrategy
from pandas import DataFrame

from perp_imbalance import check_spot_setting, exchange_name, imbalance_columns, match_spot


class RsiWithImbalance(IStrategy):
    """Buy a low RSI where perp shorts are crowded, sell a high RSI where perp longs are."""

    INTERFACE_VERSION = 3

    timeframe = "1h"
    can_short = True
    startup_candle_count = 200
    minimal_roi = {"0": 100}  # noqa: RUF012
    stoploss = -0.05

    def bot_start(self, **kwargs: object) -> None:
        """Raise if the config makes Binance return perp candles for spot pairs."""
        check_spot_setting(self.config)

    def spot_of(self, pair: str) -> tuple[str | None, float]:
        """Return a perp's spot pair (None if it has none), and the perp's scale."""
        match = match_spot(pair, self.dp.market, exchange=exchange_name(self.config))
        return match.spot, match.scale

    def informative_pairs(self) -> list[tuple[str, str, str]]:
        """Return the candles of the spot pairs."""
        spots = [self.spot_of(pair)[0] for pair in self.dp.current_whitelist()]
        return [(spot, self.timeframe, "spot") for spot in spots if spot]

    def populate_indicators(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        """Add the RSI and the columns of the imbalance."""
        dataframe["rsi"] = talib.RSI(dataframe["close"].to_numpy(), 14)
        spot_pair, scale = self.spot_of(metadata["pair"])
        if spot_pair is None:
            return dataframe.assign(bias=0)
        spot = self.dp.get_pair_dataframe(spot_pair, self.timeframe, "spot")
        # In a backtest, too, windows use only as many candles as a bot loads.
        columns = imbalance_columns(dataframe, spot, scale=scale, memory=self.startup_candle_count)
        return dataframe.join(columns)

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        """Enter where trigger and bias agree."""
        dataframe["enter_long"] = ((dataframe["rsi"] < 40) & (dataframe["bias"] > 0)).astype(int)
        dataframe["enter_short"] = ((dataframe["rsi"] > 60) & (dataframe["bias"] < 0)).astype(int)
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        """Exit where the RSI is back beyond 50."""
        dataframe["exit_long"] = (dataframe["rsi"] > 50).astype(int)
        dataframe["exit_short"] = (dataframe["rsi"] < 50).astype(int)
        return dataframe
