"""Means over the trades of many pairs, with standard errors clustered by week."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.indicators.thresholds import Thresholds

#: Fewer trades than this have no error to speak of, nor have trades in fewer weeks.
MIN_TRADES, MIN_WEEKS = 20, 10

#: Ends of the classes of size, in bps: of |deviation|, and of the premium itself.
SIZES = (0.0, 5.0, 10.0, 20.0, 30.0, np.inf)
LEVELS = (-np.inf, -30.0, -20.0, -10.0, -5.0, 0.0, 5.0, 10.0, 20.0, 30.0, np.inf)

#: The deviation is that from the median of so many premiums.
DEV_LEN = Thresholds().dev_len

_BPS = 1e4
_WEEK_NS = 7 * 24 * 3_600_000_000_000
# The first day of the epoch was a Thursday.
_MONDAY_NS = 4 * 24 * 3_600_000_000_000


class Mean(NamedTuple):
    """A mean over trades in bps, its t and its 95 % interval; None with too few trades.

    :ivar p: one-sided p-value of a mean of 0 or less.
    """

    trades: int
    weeks: int
    net: float | None
    t: float | None
    low: float | None
    high: float | None
    p: float | None


def weeks_of(times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the week numbers of times in nanoseconds; weeks begin on Monday.

    >>> weeks_of(pd.DatetimeIndex(["2024-01-07", "2024-01-08"]).as_unit("ns").asi8).tolist()
    [2817, 2818]
    """
    return (times - _MONDAY_NS) // _WEEK_NS


def clustered_mean(net: Floats, weeks: NDArray[np.int64]) -> Mean:
    """Return the mean of returns that may be correlated within a week, also across pairs.

    Uses the cluster-robust covariance of statsmodels; t has one degree of freedom less than there
    are weeks.

    :param net: returns, as fractions.
    :param weeks: week number of each return.
    """
    trades, clusters = net.size, np.unique(weeks).size
    mean = float(net.mean()) * _BPS if trades else None
    if trades < MIN_TRADES or clusters < MIN_WEEKS or np.ptp(net) == 0:
        return Mean(trades, clusters, mean, None, None, None, None)
    fit = _fit(net * _BPS, np.ones((trades, 1)), weeks)
    low, high = fit.conf_int()[0]
    t, p = float(fit.tvalues[0]), float(fit.pvalues[0]) / 2
    return Mean(trades, clusters, mean, t, float(low), float(high), p if t > 0 else 1 - p)


def clustered_slope(net: Floats, of: Floats, weeks: NDArray[np.int64]) -> Mean:
    """Return the slope of returns against another figure, in bps per unit of it."""
    known = np.isfinite(of)
    net, of, weeks = net[known], of[known], weeks[known]
    clusters = np.unique(weeks).size
    if net.size < MIN_TRADES or clusters < MIN_WEEKS or np.ptp(of) == 0:
        return Mean(net.size, clusters, None, None, None, None, None)
    fit = _fit(net * _BPS, np.column_stack([np.ones(of.size), of]), weeks)
    low, high = fit.conf_int()[1]
    t, p = float(fit.tvalues[1]), float(fit.pvalues[1]) / 2
    slope = float(fit.params[1])
    return Mean(net.size, clusters, slope, t, float(low), float(high), p if t > 0 else 1 - p)


def _fit(values: Floats, regressors: Floats, weeks: NDArray[np.int64]) -> Any:
    # Late: it takes a second to import, which no other command should pay.
    from statsmodels.regression.linear_model import OLS

    clusters = {"groups": np.unique(weeks, return_inverse=True)[1]}
    return OLS(values, regressors).fit(cov_type="cluster", cov_kwds=clusters, use_t=True)


def classes(values: Floats, ends: Sequence[float]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield classes by size: their name, and which values belong to them.

    >>> [name for name, _ in classes(np.zeros(1), (0.0, 5.0, np.inf))]
    ['0 to 5', '> 5']
    """
    for low, high in pairwise(ends):
        name = f"{low:g} to {high:g}"
        if not np.isfinite(low):
            name = f"< {high:g}"
        elif not np.isfinite(high):
            name = f"> {low:g}"
        with np.errstate(invalid="ignore"):
            yield name, (values >= low) & (values < high)


def lines(table: pd.DataFrame, keys: Sequence[str], values: str = "net") -> list[dict[str, Any]]:
    """Return mean, t and interval of trades, one row for each combination of some columns."""
    found = []
    for names, rows in table.groupby(list(keys), sort=False):
        mean = clustered_mean(rows[values].to_numpy(np.float64), rows["week"].to_numpy(np.int64))
        found.append({**_named(keys, names), **mean._asdict()})
    return found


def _named(keys: Sequence[str], names: Sequence[Any]) -> dict[str, Any]:
    """Return the values that a group shares, as plain Python numbers."""
    return {
        key: name.item() if isinstance(name, np.generic) else name
        for key, name in zip(keys, names, strict=True)
    }


def by_class(
    table: pd.DataFrame, keys: Sequence[str], column: str, ends: Sequence[float]
) -> list[dict[str, Any]]:
    """Return mean, t and interval by classes of a figure of the signal."""
    found = []
    for names, rows in table.groupby(list(keys), sort=False):
        dose = rows[column].to_numpy(np.float64)
        net, weeks = rows["net"].to_numpy(np.float64), rows["week"].to_numpy(np.int64)
        for name, inside in classes(dose, ends):
            if inside.any():
                mean = clustered_mean(net[inside], weeks[inside])
                found.append({**_named(keys, names), column: name, **mean._asdict()})
    return found


def slopes(
    table: pd.DataFrame, keys: Sequence[str], column: str, ends: Sequence[float]
) -> list[dict[str, Any]]:
    """Return the slope of net profit over the classes of a figure of the signal.

    Classes are used because a single huge value could otherwise determine the slope and make its
    error look small.
    """
    found = []
    for names, rows in table.groupby(list(keys), sort=False):
        dose = rows[column].to_numpy(np.float64)
        number = np.where(np.isfinite(dose), np.digitize(dose, ends[1:-1]), np.nan)
        slope = clustered_slope(
            rows["net"].to_numpy(np.float64), number, rows["week"].to_numpy(np.int64)
        )
        found.append({**_named(keys, names), **slope._asdict()})
    return found
