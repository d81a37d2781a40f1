"""A market of many pairs, cut from the sample market, and a bot with a volume pair list."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from perp_imbalance.rehearsal.stage import Stage

#: The first candle at which a bot can start: the candles before are for the indicators.
START = datetime(2025, 3, 1, tzinfo=UTC)
CANDLES, BEFORE = 560, 520
# Hours after the start in which the spot of every third pair is above its perp, and how far.
DISLOCATED, SHIFT = (5, 9), 0.003


def many_pairs(sample: Path, folder: Path, count: int) -> dict[str, tuple[str | None, float]]:
    """Write pairs with BTC's candles of other weeks; return the spot and scale of each pair.

    :param sample: the sample market
    :param folder: receives the candles, in freqtrade's layout
    """
    (folder / "futures").mkdir(parents=True)
    kinds = ("", "futures/*-futures", "futures/*-mark")
    year = {kind: pd.read_feather(_file(sample, "BTC", kind)) for kind in kinds}
    rates = pd.read_feather(sample / "futures" / "BTC_USDT_USDT-1h-funding_rate.feather")
    first = pd.Timestamp(START) - BEFORE * pd.Timedelta("1h")
    dates = pd.date_range(first, periods=CANDLES, freq="1h")
    begin = year[kinds[1]]["date"].iloc[0]
    pairs: dict[str, tuple[str | None, float]] = {}
    for number in range(count):
        coin = f"C{number:03}"
        since = begin + number * pd.Timedelta("73h")
        for kind, frame in year.items():
            cut = frame[frame["date"] >= since].assign(
                date=lambda rows, since=since: rows["date"] - since + first
            )
            cut = cut[cut["date"].isin(dates)]
            if not kind and number % 3 == 0:
                hours = (cut["date"] - START) / pd.Timedelta("1h")
                shift = 1 + SHIFT * hours.between(*DISLOCATED)
                prices = ["open", "high", "low", "close"]
                cut[prices] = cut[prices].mul(shift, axis=0).round(2)
            # Gives the pairs an order by volume.
            cut = cut.assign(volume=cut["volume"] * (1 + number / 7 % 1)).reset_index(drop=True)
            cut.to_feather(_file(folder, coin, kind))
        near = rates[rates["date"].isin(dates)].reset_index(drop=True)
        near.to_feather(folder / "futures" / f"{coin}_USDT_USDT-1h-funding_rate.feather")
        pairs[f"{coin}/USDT:USDT"] = (f"{coin}/USDT", 1.0)
    return pairs


def _file(folder: Path, coin: str, kind: str) -> Path:
    if not kind:
        return folder / f"{coin}_USDT-1h.feather"
    below, _, ending = kind.partition("/*")
    return folder / below / f"{coin}_USDT_USDT-1h{ending}.feather"


class VolumeListStage(Stage):
    """A stage whose pair list has the pairs with the highest volume, updated every half hour."""

    def config(self, config: dict[str, Any]) -> Mapping[str, Any]:
        """Return the bot's config with a volume pair list of the size in ``Plan.options``."""
        number = self.plan.options["number_assets"]
        listed = {"method": "VolumePairList", "number_assets": number, "refresh_period": 1800}
        return config | {"pairlists": [listed]}
