"""The perps of a folder with the market rules that freqtrade's backtest uses on a replay.

All rules come from the code that the backtest uses: freqtrade's monthly ticks, its leverage tiers,
its funding from rates and mark prices, and the market list of the replay exchange.
"""

import numpy as np
from freqtrade.configuration import TimeRange
from freqtrade.data.btanalysis import get_tick_size_over_time
from freqtrade.enums import CandleType
from freqtrade.exchange import Exchange
from pandas import DataFrame, DatetimeIndex

from perp_imbalance.data.folder import CandleFolder, cost_keys
from perp_imbalance.freqtrade_bridge.exchange import leverage_tiers
from perp_imbalance.indicators.premium import open_times
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.replay import CandleStore, perp_markets
from perp_imbalance.simulation import Markets, market

#: Of a pair without leverage tiers: leverage 1, and no liquidation price.
_NO_TIERS = [(0.0, np.inf, np.nan, 1.0, 0.0)]


class BacktestMarkets:
    """A folder of candles from which the markets of a backtest are made.

    :param exchange: the config's exchange, which decides the candle type of funding.
    :param funding_rate: freqtrade's ``futures_funding_rate``, used where rates are missing.
    """

    def __init__(
        self, folder: CandleFolder, exchange: str = "binance", funding_rate: float | None = None
    ) -> None:
        self._folder, self._exchange, self._funding_rate = folder, exchange, funding_rate
        self._store = CandleStore(folder.for_freqtrade)

    def of(self, pair: str, perp: DataFrame, begin: int, timerange: TimeRange) -> Markets:
        """Return the market of a perp for the simulation.

        :param perp: its candles, including those before the first traded candle.
        :param begin: row of the first traded candle.
        :param timerange: time range of the backtest.
        :raises DataError: if a file is broken, or the market rules are impossible.
        """
        rules = perp_markets(self._store, [pair])[pair]
        limits, precision = rules["limits"], rules["precision"]
        dates = DatetimeIndex(perp["date"].iloc[begin:])
        # The coarser of two: freqtrade goes by its own, the month's, where prices have decimals.
        ticks = get_tick_size_over_time(perp.copy()).asof(dates).to_numpy(np.float64)
        funding = self._funding(pair, timerange)
        paid = not funding.empty
        return market(
            open_times(perp, "perp")[begin:],
            {
                name: perp[name].to_numpy(np.float64)[begin:]
                for name in ("open", "high", "low", "close")
            },
            tick=np.where(np.isnan(ticks), precision["price"], ticks),
            funding_times=open_times(funding, "funding") if paid else (),
            funding_fees=_fees(funding) if paid else (),
            amount_step=precision["amount"],
            min_amount=limits["amount"]["min"] or 0.0,
            max_amount=limits["amount"]["max"] or np.inf,
            min_cost=limits["cost"]["min"] or 0.0,
            tiers=[
                (
                    *(tier["minNotional"], tier["maxNotional"] or np.inf),
                    *(tier["maintenanceMarginRate"], tier["maxLeverage"], tier["maintAmt"]),
                )
                for tier in leverage_tiers([pair]).get(pair, ())
            ]
            or _NO_TIERS,
        )

    def _funding(self, pair: str, timerange: TimeRange) -> DataFrame:
        keys = cost_keys(pair, self._exchange)
        rates, marks = (
            self._folder.read(
                *keys[name],
                timerange=timerange,
                fill=keys[name][2] != CandleType.FUNDING_RATE,
            )
            for name in ("funding rates", "mark prices")
        )
        return DataFrame(
            Exchange.combine_funding_and_mark(rates, marks, self._funding_rate)
        ).reset_index(drop=True)


def _fees(funding: DataFrame) -> Floats:
    """Return funding rate × mark price of each settlement."""
    return (funding["open_fund"] * funding["open_mark"]).to_numpy(np.float64)
