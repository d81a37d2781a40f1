"""A data provider that reads a folder of candles, for strategies without an exchange."""

from pathlib import Path
from typing import Any

import pandas as pd
from freqtrade.data.history import load_pair_history
from freqtrade.enums import CandleType


class Candles:
    """Replaces freqtrade's data provider with the sample market's candles and market list."""

    def __init__(self, datadir: Path) -> None:
        self.datadir = datadir
        self.messages: list[str] = []

    def send_msg(self, message: str) -> None:
        self.messages.append(message)

    def get_funding_rate_timeframe(self) -> str:
        return "1h"

    def current_whitelist(self) -> list[str]:
        return []

    def market(self, pair: str) -> dict[str, Any] | None:
        base, _, quote = pair.partition("/")
        return {"base": base, "quote": quote.partition(":")[0], "spot": ":" not in pair}

    def get_pair_dataframe(
        self, pair: str, timeframe: str, candle_type: CandleType
    ) -> pd.DataFrame:
        candles: pd.DataFrame = load_pair_history(
            pair, timeframe, self.datadir, candle_type=candle_type, data_format="feather"
        )
        return candles
