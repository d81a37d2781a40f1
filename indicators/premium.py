"""The premium of a perp over its spot, from prices that were really traded."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from perp_imbalance.errors import DataError
from perp_imbalance.indicators.rolling import Bools, Floats

#: A pair whose median price ratio is further than this from 1 is two coins.
MAX_PRICE_RATIO_ERROR = 0.2

#: A premium beyond this is an error of the feed. ZEC stood at 15 % in April 2025, and liquidation
#: wicks go deeper.
MAX_PREMIUM = 0.5

#: Spot candles are refused as the perp's own when this share of them has the perp's close.
MAX_EQUAL_SHARE = 0.9

# Two closes that differ by less than this are one, written with another scale.
_EQUAL = 1e-12

# numpy multiplies several times faster than pandas converts.
_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


def traded_close(candles: pd.DataFrame, *, by_volume: bool = True) -> Floats:
    """Return the closes at which something was traded, NaN elsewhere.

    freqtrade fills missing candles with flat ones of volume 0; beside a moving perp such a frozen
    spot price looks exactly like an extreme premium. A candle with a volume was traded, even if
    its four prices are the close before.

    Source: ``docs/reference/signal.md``, rule 1.

    :param candles: columns ``close`` and ``volume``; of an index ``open``, ``high`` and ``low``.
    :param by_volume: False for an index, which has no volume: of it only the four prices tell that
        a candle was filled in.
    :return: closes; NaN where not finite, not above 0, or of a candle that is not fresh.

    >>> traded_close(pd.DataFrame({"close": [2.0, 2.0], "volume": [5.0, 0.0]}))
    array([ 2., nan])
    """
    close = candles["close"].to_numpy(dtype=np.float64)
    fresh: Bools = close > 0
    fresh &= close < np.inf
    if by_volume:
        fresh &= candles["volume"].to_numpy(dtype=np.float64) > 0
    else:
        fresh[filled_rows(candles, close)] = False
    if fresh.all():
        return close
    close = close.copy()
    close[~fresh] = np.nan
    return close


def filled_rows(candles: pd.DataFrame, close: Floats) -> NDArray[np.int64]:
    """Return the rows whose four prices are all the close before: filled in, most likely.

    :param candles: ``open``, ``high`` and ``low``, else none is found.
    :param close: their closes.
    """
    same = np.flatnonzero(close[1:] == close[:-1]) + 1
    if not same.size or not {"open", "high", "low"}.issubset(candles):
        return np.empty(0, np.int64)
    for name in ("open", "high", "low"):
        same = same[candles[name].to_numpy(dtype=np.float64)[same] == close[same]]
    return same


def believable_close(perp: pd.DataFrame, spot_close: Floats, fraction: Floats) -> Floats:
    """Return the perp's closes that were traded and are no error of the feed, NaN elsewhere.

    :param perp: candles, columns ``close`` and ``volume``.
    :param spot_close: fresh closes of its spot pair.
    :param fraction: the premium of each; NaN beside two fresh closes is an error of the feed.
    """
    close = traded_close(perp)
    absurd: Bools = np.isnan(fraction)
    absurd &= np.isfinite(spot_close)
    return np.where(absurd, np.nan, close) if absurd.any() else close


def open_times(candles: pd.DataFrame, name: str) -> NDArray[np.int64]:
    """Return the opening times in nanoseconds since 1970.

    :param candles: column ``date``, timezone-aware.
    :param name: what these candles are, for the message.
    :raises DataError: if the times do not rise strictly.
    """
    dates = pd.DatetimeIndex(candles["date"].array, copy=False)
    times = dates.asi8 * _NANOSECONDS[dates.unit]
    if times.size > 1 and not (times[1:] > times[:-1]).all():
        raise DataError(
            f"the {name} candles are not in order of time or repeat one: "
            "sort them by date and drop duplicates"
        )
    return times


def on_rows_of(rows: NDArray[np.int64], times: NDArray[np.int64], values: Floats) -> Floats:
    """Return the value of the same time for every row, NaN where there is none. Fills nothing.

    :param rows: opening times to fill, rising.
    :param times: opening times of ``values``, rising.
    """
    if rows.size == times.size and (rows == times).all():
        return values
    if times.size == 0:
        return np.full(rows.size, np.nan)
    # A merge of two sorted lists; a binary search for every row takes twice as long.
    _, at, _ = pd.Index(times).join(pd.Index(rows), how="right", return_indexers=True)
    if at is None:
        return values
    result = values[at]
    result[at < 0] = np.nan
    return result


def premium(perp_close: Floats, spot_close: Floats, scale: float = 1.0) -> Floats:
    """Return ``(perp_close / scale - spot_close) / spot_close``, a fraction.

    Source: ``spec.md``, "Columns".

    :param perp_close: fresh closes of the perp.
    :param spot_close: fresh closes of its spot pair.
    :param scale: coins in one unit of the perp (1000 for 1000PEPE).
    :return: NaN where either close is.

    >>> premium(np.array([1010.0]), np.array([1.0]), 1000)
    array([0.01])
    """
    coin_price = perp_close if scale == 1.0 else perp_close / scale
    fraction = coin_price - spot_close
    fraction /= spot_close
    return fraction


def mask_outliers(fraction: Floats) -> Floats:
    """Return the premiums without those that only an error of a feed can be.

    A price ten times too high is not an extreme premium.

    Source: ``docs/reference/signal.md``, rule 1.

    >>> mask_outliers(np.array([0.01, 9.0]))
    array([0.01,  nan])
    """
    absurd: Bools = np.abs(fraction) > MAX_PREMIUM
    if not absurd.any():
        return fraction
    return np.where(absurd, np.nan, fraction)


def price_ratio(fraction: Floats) -> float:
    """Return the median of ``perp_close / scale / spot_close``; NaN if no row has both.

    Near 1 for the same coin, anything for two that only share a name.

    :param fraction: the premiums, which are that ratio less 1.

    >>> price_ratio(np.array([0.25, np.nan]))
    1.25
    """
    finite = fraction[np.isfinite(fraction)]
    return 1.0 + float(np.median(finite)) if finite.size else float("nan")


def is_same_coin(ratio: float) -> bool:
    """Tell whether a price ratio lets perp and spot be the same coin; NaN does not."""
    return abs(ratio - 1.0) <= MAX_PRICE_RATIO_ERROR


def is_perp_itself(fraction: Floats) -> bool:
    """Tell whether what was given as spot are the candles of the perp.

    Some requests and some downloaders bring the perp's candles under the spot pair's name. Two
    markets of one coin have the same close now and then, not on nearly every candle.

    :param fraction: the premiums.

    >>> is_perp_itself(np.array([0.0, 0.0, np.nan]))
    True
    """
    finite = fraction[np.isfinite(fraction)]
    return bool(finite.size) and float(np.mean(np.abs(finite) < _EQUAL)) >= MAX_EQUAL_SHARE
