"""Run ``populate_indicators`` of the real strategy on candles in memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from freqtrade.enums import CandleType, RunMode
from freqtrade.resolvers import StrategyResolver
from freqtrade.strategy import IStrategy

from benchmarks.market import HIGHER_TIMEFRAME, Candles, higher

ROOT = Path(__file__).parents[1]
TIMEFRAME = "1h"
PERP, SPOT = "BTC/USDT:USDT", "BTC/USDT"
STRATEGIES = {"balanced": "PerpImbalance", "conservative": "PerpImbalanceConservative"}


class CandlesAtHand:
    """A replacement of freqtrade's data provider that answers the strategy from memory."""

    def __init__(self, candles: Candles) -> None:
        sides = {PERP: candles.perp, SPOT: candles.spot}
        self._frames = {(pair, TIMEFRAME): frame for pair, frame in sides.items()}
        self._frames |= {(pair, HIGHER_TIMEFRAME): higher(frame) for pair, frame in sides.items()}
        self._markets = {SPOT: {"symbol": SPOT, "spot": True, "active": True}}

    def market(self, pair: str) -> dict[str, Any] | None:
        """Return a market of the exchange."""
        return self._markets.get(pair)

    def get_pair_dataframe(self, pair: str, timeframe: str, _: CandleType) -> pd.DataFrame:
        """Return the candles of a pair."""
        return self._frames[pair, timeframe]


def load(preset: str, candles: Candles) -> IStrategy:
    """Return a strategy as freqtrade loads it."""
    strategy = StrategyResolver.load_strategy(
        {
            "strategy": STRATEGIES[preset],
            "strategy_path": str(ROOT / "strategies"),
            "user_data_dir": ROOT / "user_data",
            "runmode": RunMode.BACKTEST,
            "trading_mode": "futures",
            "timeframe": TIMEFRAME,
            "exchange": {"name": "binance"},
        }
    )
    strategy.ft_bot_start()
    strategy.dp = CandlesAtHand(candles)
    return strategy


def populate(preset: str, candles: Candles, rounds: int) -> Callable[[], pd.DataFrame]:
    """Return a function that calls ``populate_indicators`` with a new frame each time.

    :param rounds: number of calls, after a first one, for which frames are made in advance.
    """
    strategy = load(preset, candles)
    frames = [candles.perp.copy() for _ in range(rounds + 1)]

    def call() -> pd.DataFrame:
        columns: pd.DataFrame = strategy.populate_indicators(frames.pop(), {"pair": PERP})
        return columns

    return call
