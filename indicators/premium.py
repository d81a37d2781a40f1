"""The premium of a perp over its spot pair, from traded prices only."""

from typing import Literal, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from perp_imbalance.errors import DataError
from perp_imbalance.indicators.rolling import Bools, Floats

_Number = TypeVar("_Number", np.float64, np.int64)

#: freqtrade's name for the type of the candles beside the perp's: prices of spot or of the
#: exchange's index, or the premium itself.
Source = Literal["spot", "index", "premiumIndex"]

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
_UNIT_DIGITS = {"s": 11, "ms": 14, "us": 17, "ns": 99}
_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


def traded_close(candles: pd.DataFrame, *, by_volume: bool = True) -> Floats:
    """Return the closes at which something was traded, NaN elsewhere.

    freqtrade fills missing candles with flat ones of volume 0. While the perp moves, such a frozen
    spot price looks like an extreme premium. A candle with volume was traded, even if all four of
    its prices equal the previous close.

    Source: ``docs/reference/signal.md``, rule 1.

    :param candles: columns ``close`` and ``volume``; of an index ``open``, ``high`` and ``low``.
    :param by_volume: False for an index, which has no volume: a candle whose four prices equal the
        previous close then counts as filled in.
    :return: closes; NaN where not finite, not above 0, or not traded.

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


def source_values(candles: pd.DataFrame, source: Source | Literal["futures"]) -> Floats:
    """Return the value of a premium source on each row: a price, or the premium itself.

    :param source: the type of the candles.
    :return: NaN where a candle was not traded, or filled in.
    """
    if source == "premiumIndex":
        return index_premium(candles)
    return traded_close(candles, by_volume=source != "index")


def index_premium(candles: pd.DataFrame) -> Floats:
    """Return the premiums that an exchange publishes as candles, NaN where they were filled in.

    The premium index is exactly 0 while the index price lies inside the spread of the order book.
    A candle of zeros after a close of 0 may be real or filled in; the premium is 0 in both cases.

    Source: ``docs/reference/signal.md``, "The premium index".

    :param candles: column ``close``, fractions; ``open``, ``high`` and ``low`` show which candles
        were filled in.

    >>> flat = pd.DataFrame({name: [0.0, 0.0, 1e-4, 1e-4] for name in ("open", "high", "low")})
    >>> index_premium(flat.assign(close=flat["open"]))
    array([0.    , 0.    , 0.0001,    nan])
    """
    close = candles["close"].to_numpy(dtype=np.float64)
    filled = filled_rows(candles, close)
    unknown: Bools = ~np.isfinite(close)
    unknown[filled[close[filled] != 0.0]] = True
    return np.where(unknown, np.nan, close) if unknown.any() else close


def filled_rows(candles: pd.DataFrame, close: Floats) -> NDArray[np.int64]:
    """Return the rows whose four prices all equal the previous close, so most likely filled in.

    :param candles: columns ``open``, ``high`` and ``low``; without them no row is found.
    :param close: their closes.
    """
    same = np.flatnonzero(close[1:] == close[:-1]) + 1
    if not same.size or not {"open", "high", "low"}.issubset(candles):
        return np.empty(0, np.int64)
    for name in ("open", "high", "low"):
        same = same[candles[name].to_numpy(dtype=np.float64)[same] == close[same]]
    return same


def believable_close(perp: pd.DataFrame, spot_close: Floats, fraction: Floats) -> Floats:
    """Return the perp's traded closes without errors of the data feed, NaN elsewhere.

    :param perp: candles, columns ``close`` and ``volume``.
    :param spot_close: traded closes of its spot pair.
    :param fraction: the premiums; a NaN where both closes are known marks an error of the feed.
    """
    close = traded_close(perp)
    absurd: Bools = np.isnan(fraction)
    absurd &= np.isfinite(spot_close)
    return np.where(absurd, np.nan, close) if absurd.any() else close


def open_times(candles: pd.DataFrame, name: str) -> NDArray[np.int64]:
    """Return the opening times in nanoseconds since 1970.

    :param candles: column ``date``, timezone-aware.
    :param name: name of these candles in error messages.
    :raises DataError: if the dates are not strictly increasing datetimes with a time zone.
    """
    check_dates(candles, name)
    dates = pd.DatetimeIndex(candles["date"].array, copy=False)
    times = dates.asi8 * _NANOSECONDS[dates.unit]
    # A missing date is less than any other, so only the first can be one that rises to the next.
    if dates[:1].hasnans:
        raise DataError(f"the {name} candles have a row without a date: drop it")
    if times.size > 1 and not (times[1:] > times[:-1]).all():
        raise DataError(
            f"the {name} candles are not in order of time or repeat one: "
            "sort them by date and drop duplicates"
        )
    return times


def check_candles(candles: pd.DataFrame, name: str) -> None:
    """Raise unless the columns of the signal can be computed from these candles.

    :param candles: from any source: freqtrade, ccxt, a file.
    :param name: name of these candles in error messages.
    :raises DataError: naming the column that is missing or has the wrong type.
    """
    for column in ("date", "close", "volume"):
        if column not in candles:
            raise DataError(f"the {name} candles lack the column {column}{_hint(candles, column)}")
    check_dates(candles, name)
    for column in ("close", "volume"):
        try:
            # Costs nothing where they are numbers.
            candles[column].to_numpy(dtype=np.float64)
        except (TypeError, ValueError):
            raise DataError(
                f"the {name} candles have no numbers in the column {column}: "
                "convert them with pd.to_numeric"
            ) from None


def _hint(candles: pd.DataFrame, column: str) -> str:
    """Return how to make a missing column from the existing ones."""
    if column == "date" and isinstance(candles.index, pd.DatetimeIndex):
        return ': make it of the index with reset_index(names="date")'
    if column == "date" and "timestamp" in candles and len(candles):
        return f": make it of timestamp with {_conversion(candles, 'timestamp')}"
    alike = [name for name in candles if str(name).lower() == column]
    return f": rename {alike[0]}" if alike else ""


def _conversion(candles: pd.DataFrame, column: str) -> str:
    """Return the call that converts a column of numbers or text to datetimes."""
    values, unit = candles[column], ""
    if pd.api.types.is_numeric_dtype(values):
        # Seconds since 1970 have ten digits.
        digits = len(f"{values.max():.0f}")
        name = next(name for name, most in _UNIT_DIGITS.items() if digits <= most)
        unit = f'unit="{name}", '
    return f'pd.to_datetime(candles["{column}"], {unit}utc=True)'


def check_dates(candles: pd.DataFrame, name: str) -> None:
    """Raise unless the column ``date`` holds datetimes with a time zone; it may be empty.

    :raises DataError: with the call that converts it.
    """
    dtype = candles["date"].dtype
    if isinstance(dtype, pd.DatetimeTZDtype) or candles.empty:
        return
    if dtype.kind == "M":
        what, how = "dates without a time zone", 'candles["date"].dt.tz_localize("UTC")'
    else:
        kind = "numbers" if pd.api.types.is_numeric_dtype(dtype) else "no datetimes"
        what, how = f"{kind} in the column date", _conversion(candles, "date")
    raise DataError(f"the {name} candles have {what}: convert them with {how}")


class Grid:
    """The rows that candles would have if none were missing.

    freqtrade fills missing candles, other sources do not; windows are lengths of time.

    :param times: opening times of the candles, in any unit, rising.
    :param memory: a longer gap is shortened to this many candles plus one.

    >>> grid = Grid(np.array([0, 60, 180]), 459)
    >>> grid.fill(np.array([1.0, 2.0, 3.0]))
    array([ 1.,  2., nan,  3.])
    >>> grid.pick(grid.fill(np.array([1.0, 2.0, 3.0])))
    array([1., 2., 3.])
    """

    def __init__(self, times: NDArray[np.int64], memory: int) -> None:
        self._rows: NDArray[np.int64] | None = None
        if times.size > 2 and times[-1] - times[0] != (times[1] - times[0]) * (times.size - 1):
            steps = np.diff(times)
            candles = np.minimum(steps // steps.min(), memory + 1)
            self._rows = np.append(0, np.cumsum(candles))

    def fill(self, values: Floats) -> Floats:
        """Return the values with a NaN for each missing candle."""
        if self._rows is None:
            return values
        filled = np.full(self._rows[-1] + 1, np.nan)
        filled[self._rows] = values
        return filled

    def pick(self, values: NDArray[_Number]) -> NDArray[_Number]:
        """Return the values of the existing candles from filled values."""
        return values if self._rows is None else values[self._rows]


def on_rows_of(rows: NDArray[np.int64], times: NDArray[np.int64], values: Floats) -> Floats:
    """Return the value with the same time for each row, NaN where there is none.

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

    Source: ``docs/reference/signal.md``, "Columns".

    :param perp_close: traded closes of the perp.
    :param spot_close: traded closes of its spot pair.
    :param scale: coins in one unit of the perp (1000 for 1000PEPE).
    :return: fractions, NaN where either close is NaN.

    >>> premium(np.array([1010.0]), np.array([1.0]), 1000)
    array([0.01])
    """
    coin_price = perp_close if scale == 1.0 else perp_close / scale
    fraction = coin_price - spot_close
    fraction /= spot_close
    return fraction


def mask_outliers(fraction: Floats) -> Floats:
    """Return the premiums with errors of the data feed set to NaN.

    A price ten times too high is an error, not an extreme premium.

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

    Near 1 for the same coin, any number for two coins that only share a name.

    :param fraction: the premiums, which equal this ratio minus 1.

    >>> price_ratio(np.array([0.25, np.nan]))
    1.25
    """
    finite = fraction[np.isfinite(fraction)]
    return 1.0 + float(np.median(finite)) if finite.size else float("nan")


def is_same_coin(ratio: float) -> bool:
    """Return whether a price ratio is near enough to 1 for the same coin; False for NaN."""
    return abs(ratio - 1.0) <= MAX_PRICE_RATIO_ERROR


def is_perp_itself(fraction: Floats) -> bool:
    """Return whether the candles given as spot are those of the perp.

    Some requests and downloaders return the perp's candles under the spot pair's name. Two markets
    of one coin have equal closes now and then, but not on nearly every candle.

    :param fraction: the premiums.

    >>> is_perp_itself(np.array([0.0, 0.0, np.nan]))
    True
    """
    finite = fraction[np.isfinite(fraction)]
    return bool(finite.size) and float(np.mean(np.abs(finite) < _EQUAL)) >= MAX_EQUAL_SHARE
