"""A strategy that enters and exits on the test's command, and requests spot candles."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from freqtrade.enums import CandleType
from freqtrade.persistence import Trade
from freqtrade.strategy import IStrategy
from pandas import DataFrame

SPOT = {"1000PEPE/USDT:USDT": "PEPE/USDT"}


class OnDemand(IStrategy):
    """Reads its commands from a file next to the file that the environment variable names.

    ``{"BTC/USDT:USDT": {"want": "long", "stop": 0.001}}``: ``want`` is ``long``, ``short`` or
    ``exit``; ``stop`` moves the stoploss to that share below or above the current rate.
    """

    INTERFACE_VERSION = 3

    timeframe = "1h"
    can_short = True
    # Otherwise the bot would read the file once an hour.
    process_only_new_candles = False
    startup_candle_count = 10
    minimal_roi = {"0": 100}  # noqa: RUF012
    stoploss = -0.10
    use_custom_stoploss = True
    order_types = {  # noqa: RUF012
        "entry": "limit",
        "exit": "limit",
        "stoploss": "market",
        "stoploss_on_exchange": True,
    }

    def plan(self, pair: str) -> dict[str, Any]:
        path = Path(os.environ["RECORD"]).with_name("plan.json")
        if not path.exists():
            return {}
        plan: dict[str, Any] = json.loads(path.read_text("utf-8")).get(pair, {})
        return plan

    def informative_pairs(self) -> list[tuple[str, str, CandleType]]:
        return [
            (SPOT.get(pair, pair.partition(":")[0]), self.timeframe, CandleType.SPOT)
            for pair in self.dp.current_whitelist()
        ]

    def populate_indicators(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        want = self.plan(metadata["pair"]).get("want")
        return dataframe.assign(enter_long=int(want == "long"), enter_short=int(want == "short"))

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        exits = int(self.plan(metadata["pair"]).get("want") == "exit")
        return dataframe.assign(exit_long=exits, exit_short=exits)

    def custom_stoploss(
        self, pair: str, trade: Trade, current_time: datetime, current_rate: float, **kwargs: Any
    ) -> float | None:
        stop: float | None = self.plan(pair).get("stop")
        return stop
