"""The aggressive preset, which also records each candle as the bot has it when it decides."""

import json
import os
from pathlib import Path
from typing import Any

from pandas import DataFrame
from PerpImbalance import PerpImbalance

from perp_imbalance.strategy.parameters import with_preset


@with_preset("aggressive")
class Recorder(PerpImbalance):
    """Appends the last row to the file that the environment variable names."""

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        dataframe = super().populate_exit_trend(dataframe, metadata)
        row = {"pair": metadata["pair"], "started": self.started, **dataframe.iloc[-1].to_dict()}
        with Path(os.environ["RECORD"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, default=str) + "\n")
        return dataframe
