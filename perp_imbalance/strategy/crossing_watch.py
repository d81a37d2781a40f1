"""Find the crossings of a level that a running bot has not reported yet."""

from collections.abc import Mapping

import numpy as np
from pandas import DataFrame, Index, Timestamp, concat

from perp_imbalance.indicators.crossing import crossings
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.strategy.alerts import CrossingAlert

# A crossing of the market that is noticed this many candles late is still told.
_LATE = 24


class CrossingWatch:
    """Returns each crossing once, however often the candles are analysed.

    New crossings are found from the candles alone, so that a restart needs no file.
    """

    def __init__(self) -> None:
        self._since: dict[tuple[str, CrossingAlert], Timestamp] = {}
        self._told: dict[tuple[str, CrossingAlert, int], Timestamp] = {}

    def news(
        self,
        name: str,
        rule: CrossingAlert,
        dates: Index,
        values: Floats,
        earliest: Timestamp,
    ) -> int:
        """Return the side of a new crossing that still lasts; 0 if there is none.

        :param name: name of the pair, or of a value of all pairs.
        :param dates: opening times of the candles, one per value, increasing.
        :param values: array of the shape of ``dates``, NaN where unknown.
        :param earliest: crossings on earlier candles, or before the first analysed candle, are not
            new.
        """
        since = self._since.setdefault((name, rule), dates[-1])
        sides = crossings(values, rule.level, rule.cooldown_candles)
        rows = np.flatnonzero(sides)
        if not len(rows):
            return 0
        row, side = int(rows[-1]), int(sides[rows[-1]])
        known = values[np.isfinite(values)]
        date = dates[row]
        if side * known[-1] < rule.level or date < max(since, earliest):
            return 0
        key = (name, rule, side)
        # A candle that came late, or another list of pairs, may move a crossing that was told.
        quiet = dates[row - rule.cooldown_candles]
        if key in self._told and self._told[key] >= quiet:
            return 0
        self._told[key] = date
        return side


def dislocated(frames: Mapping[str, DataFrame], rule: CrossingAlert) -> DataFrame:
    """Return the number of dislocated pairs for each candle.

    If fewer than half of the pairs are known, the share is NaN.

    :param frames: ``date`` and ``deviation_bps`` by pair.
    :return: of the last candles, ``dislocated``, ``known`` (pairs), ``share`` (%) by date.
    """
    rows = rule.cooldown_candles + _LATE
    columns = {
        pair: frame.tail(rows).set_index("date")["deviation_bps"] for pair, frame in frames.items()
    }
    deviations = concat(columns, axis=1).sort_index().tail(rows)
    level = rule.deviation_bps
    found = DataFrame(
        {
            "dislocated": (deviations <= level if level < 0 else deviations >= level).sum(axis=1),
            "known": deviations.notna().sum(axis=1),
        }
    )
    share = 100 * found["dislocated"] / found["known"]
    return found.assign(share=share.where(2 * found["known"] >= len(frames)))
