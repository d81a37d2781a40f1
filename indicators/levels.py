"""Price levels that the indicator's author advises to trade into, as context for a chart.

The week's VWAP, Monday's range and the previous day's volume profile. As gates they added nothing,
so no entry depends on them. Days and weeks are those of UTC; a week begins on Monday. Of a day or a
week that the candles do not begin with, nothing is known: its values are NaN.
"""

import numpy as np
import pandas as pd

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators.rolling import Floats

#: Columns of :func:`levels`.
LEVELS = ("vwap", "vwap_lower", "vwap_upper", "monday_low", "monday_high", "val", "poc", "vah")
#: Equal steps of price between a day's low and its high, as TradingView's volume profile has.
ROWS = 24
#: Share of a day's volume that its value area holds.
VALUE_AREA = 0.7

_DAY, _WEEK = pd.Timedelta("1D"), pd.Timedelta("7D")
# The epoch was a Thursday.
_MONDAY = pd.Timestamp("1970-01-05", tz="UTC")


def levels(candles: pd.DataFrame) -> pd.DataFrame:
    """Return all levels on the candles' rows, in units of price; NaN where one is not known.

    A value on a row depends on that row and earlier ones only.

    :param candles: ``date`` (open times in UTC, ascending), ``high``, ``low``, ``close``,
        ``volume``, without gaps.
    :return: the columns :data:`LEVELS`, with the candles' index.
    :raises SettingsError: if candles are longer than a day.

    >>> dates = pd.date_range("2024-01-01", periods=26, freq="1h", tz="UTC")
    >>> values = {"high": 2.0, "low": 1.0, "close": 1.5, "volume": 9.0}
    >>> found = levels(pd.DataFrame({"date": dates, **values}))
    >>> found[["vwap", "monday_high"]].iloc[[0, 24]].to_numpy().tolist()
    [[1.5, nan], [1.5, 2.0]]
    """
    dates = candles["date"]
    if dates.diff().min() > _DAY:
        raise SettingsError("levels need candles of at most a day: name a shorter --timeframe")
    columns = {**weekly_vwap(candles), **monday_range(candles), **previous_profile(candles)}
    return pd.DataFrame(columns, index=candles.index)[list(LEVELS)]


def weekly_vwap(candles: pd.DataFrame) -> dict[str, Floats]:
    """Return the volume-weighted mean price since Monday 00:00, and one deviation around it.

    The price of a candle is the mean of high, low and close.

    :param candles: as :func:`levels` takes them.
    :return: ``vwap``, ``vwap_lower`` and ``vwap_upper``; NaN until the week has volume.
    """
    week = _period(candles["date"], _WEEK)
    volume = candles["volume"].where(week.notna())
    typical = candles[["high", "low", "close"]].mean(axis=1)
    # Deviations from the week's first price: squares of whole prices would lose their digits.
    base = typical.groupby(week).transform("first")
    away = typical - base
    parts = pd.DataFrame({"v": volume, "pv": volume * away, "ppv": volume * away**2})
    sums = parts.groupby(week).cumsum().reindex(candles.index)
    weight = sums["v"].where(sums["v"] > 0)
    mean = sums["pv"] / weight
    stdev = np.sqrt((sums["ppv"] / weight - mean**2).clip(lower=0.0))
    vwap = base + mean
    return {
        "vwap": vwap.to_numpy(),
        "vwap_lower": (vwap - stdev).to_numpy(),
        "vwap_upper": (vwap + stdev).to_numpy(),
    }


def monday_range(candles: pd.DataFrame) -> dict[str, Floats]:
    """Return the low and the high of the week's Monday, from Tuesday 00:00 to the week's end.

    :param candles: as :func:`levels` takes them.
    :return: ``monday_low`` and ``monday_high``; NaN on Mondays.
    """
    week = _period(candles["date"], _WEEK)
    monday = (candles["date"] < week + _DAY).to_numpy()
    by_week = candles[monday].groupby(week[monday])
    known = week.where(~monday)
    return {
        "monday_low": known.map(by_week["low"].min()).to_numpy(float),
        "monday_high": known.map(by_week["high"].max()).to_numpy(float),
    }


def previous_profile(candles: pd.DataFrame) -> dict[str, Floats]:
    """Return the point of control and the value area of the day before, from 00:00 on.

    :param candles: as :func:`levels` takes them.
    :return: ``val``, ``poc`` and ``vah``; NaN after a day without volume.
    """
    day = _period(candles["date"], _DAY)
    found = {
        start + _DAY: volume_profile(
            *(part[name].to_numpy(float) for name in ("low", "high", "volume"))
        )
        for start, part in candles.groupby(day)
    }
    profiles = pd.DataFrame.from_dict(found, orient="index", columns=["val", "poc", "vah"])
    return {name: day.map(profiles[name]).to_numpy(float) for name in profiles}


def volume_profile(low: Floats, high: Floats, volume: Floats) -> tuple[float, float, float]:
    """Return value area low, point of control and value area high of some candles.

    Each candle's volume is spread evenly from its low to its high, over :data:`ROWS` rows of price.
    The point of control is the middle of the row with the most volume, the lowest of those that
    tie. The value area grows from it by the neighbour with more volume, of two that tie the nearer
    one, until it holds :data:`VALUE_AREA` of all.

    :param low: of each candle, in units of price.
    :param high: of each candle, not below its low.
    :param volume: of each candle, 0 or more.
    :return: three prices; NaN where there is no volume.

    >>> volume_profile(np.array([1.0]), np.array([25.0]), np.array([48.0]))
    (1.0, 1.5, 18.0)
    """
    bottom, top = low.min(), high.max()
    if not volume.sum() > 0:
        return (np.nan, np.nan, np.nan)
    if top == bottom:
        return (bottom, bottom, bottom)
    edges = np.linspace(bottom, top, ROWS + 1)
    # Of each candle, the share of its range that lies below each edge.
    width = np.where(high > low, high - low, 1.0)[:, None]
    below = np.clip((edges - low[:, None]) / width, 0.0, 1.0)
    # A candle without a range has its volume in the row that holds its price.
    at = np.clip(np.searchsorted(edges, low, side="right"), 1, ROWS)
    flat = np.arange(ROWS + 1) >= at[:, None]
    shares = np.diff(np.where((high > low)[:, None], below, flat), axis=1)
    # Rounded: rows that tie do so whatever their last digits are.
    rows = np.round(volume @ shares / volume.sum(), 12)
    first = last = poc = int(rows.argmax())
    while rows[first : last + 1].sum() < VALUE_AREA:
        lower = rows[first - 1] if first > 0 else -1.0
        upper = rows[last + 1] if last < ROWS - 1 else -1.0
        if upper > lower or (upper == lower and last - poc <= poc - first):
            last += 1
        else:
            first -= 1
    return (float(edges[first]), float(edges[poc : poc + 2].mean()), float(edges[last + 1]))


def _period(dates: pd.Series, length: pd.Timedelta) -> pd.Series:
    """Return when each candle's day or week began; NaT where the candles begin within it."""
    start = _MONDAY + (dates - _MONDAY) // length * length
    return start.where(start >= dates.iloc[0]) if len(dates) else start
