"""Messages about series that cover too little of a perp's time, or contain unusable rows."""

import numpy as np
from pandas import DataFrame

from perp_imbalance.data.candle_file import DOWNLOAD, usable_rows, usable_value
from perp_imbalance.data.folder import CandleFolder, Key
from perp_imbalance.indicators.higher_timeframe import timeframe_ns
from perp_imbalance.indicators.premium import open_times

#: A series that covers a smaller share of the perp's time is reported.
ENOUGH_COVERED = 0.95
# Long enough to contain a row of every funding interval and of every timeframe below it.
_BUCKET = timeframe_ns("8h")


def unusable(folder: CandleFolder, key: Key, frame: DataFrame) -> list[str]:
    """Return a message if some rows of a series are unusable.

    :param frame: rows of the series; empty without a file.
    """
    usable = usable_rows(frame, key[2])
    if usable.all():
        return []
    bad = int((~usable).sum())
    return [
        f"{bad} of {len(frame)} rows ({bad / len(frame):.2%}) of {folder.file(*key).name} "
        f"hold no usable {usable_value(key[2])}, the first at "
        f"{frame['date'][~usable].iloc[0]:%Y-%m-%d %H:%M}: results are wrong there; {DOWNLOAD}"
    ]


def covered(frame: DataFrame, other: DataFrame, timeframe: str = "1h") -> float:
    """Return the share of a frame's time that another frame covers.

    :param timeframe: timeframe of the other frame; above 4h, a row covers two of its lengths.
    """
    if frame.empty or other.empty:
        return float(frame.empty)
    buckets = np.unique(open_times(frame, "perp") // _BUCKET * _BUCKET)
    times = open_times(other, "other")
    newest = np.searchsorted(times, buckets + _BUCKET, side="left") - 1
    oldest = buckets - max(0, 2 * timeframe_ns(timeframe) - _BUCKET)
    return float(np.mean((newest >= 0) & (times[newest] >= oldest)))


def thin(
    perp: DataFrame, other: DataFrame, name: str, harm: str, timeframe: str = "1h"
) -> list[str]:
    """Return a message if a series covers too little of the perp's time."""
    share = covered(perp, other, timeframe)
    if share >= ENOUGH_COVERED:
        return []
    return [f"{name} on {share:.0%} of the time of its candles: {harm}"]


def short(perp: DataFrame, other: DataFrame, timeframe: str, name: str) -> list[str]:
    """Return a message if the perp's candles cover too little of the time of its series."""
    share = covered(other, perp)
    if share >= ENOUGH_COVERED:
        return []
    said = f"its {timeframe} candles on {share:.0%} of the time of its {name}"
    return [f"{said}: a file may be cut off; elsewhere nothing is traded"]
