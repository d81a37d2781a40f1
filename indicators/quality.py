"""How much of a z-score is noise from coarse price ticks or missing candles."""

import math

import numpy as np
import pandas as pd

from perp_imbalance.indicators.premium import traded_close
from perp_imbalance.indicators.rolling import Bools, Floats, rolling_mean_stdev

# Without a spot price there is no premium, and without a premium no entry.
WARN_WITHOUT_SPOT, MAX_WITHOUT_SPOT = 0.05, 0.5

# Ratios of tick to the premium's standard deviation. From 1 on, one tick alone moves z by 1. On
# real 5m candles of PEPE the ratio was 1.95 in January 2024: a tick of 86 bps, a deviation of 44.
# In May, with a tick of 12 bps, the deviation was 7: nearly all of January's premium was rounding.
# BTC and ETH of 2020 to 2024 stay below 0.3.
WARN_TICK_NOISE, MAX_TICK_NOISE = 1.0, 1.9

_PRICES = ["open", "high", "low", "close"]
_DIGITS, _MOST_DECIMALS = 13, 18


def without_spot(perp: pd.DataFrame, fraction: Floats) -> float:
    """Return the share of the perp's traded candles that have no spot price."""
    traded: Bools = np.isfinite(traded_close(perp))
    if not traded.any():
        return math.nan
    return float(np.mean(np.isnan(fraction[traded])))


def max_tick_noise(enter_z: float) -> float:
    """Return the tick noise above which z measures rounding; at most ``enter_z``.

    >>> max_tick_noise(1.3), max_tick_noise(2.0)
    (1.3, 1.9)
    """
    return min(MAX_TICK_NOISE, enter_z)


def premium_stdev(fraction: Floats, len_prem: int) -> float:
    """Return the standard deviation that z usually divides by.

    The median over all windows, so that one extreme hour does not hide a coarse tick. With fewer
    premiums than a window, the standard deviation of all of them.
    """
    windows = rolling_mean_stdev(fraction, len_prem).stdev
    windows = windows[np.isfinite(windows)]
    if windows.size:
        return float(np.median(windows))
    finite = fraction[np.isfinite(fraction)]
    return float(np.std(finite)) if finite.size else math.nan


def tick_size(candles: pd.DataFrame, precision: float) -> float:
    """Return the step in which prices move, which may be coarser than the exchange's tick.

    :param candles: columns ``open``, ``high``, ``low``, ``close``.
    :param precision: the tick that the exchange states.
    """
    # One by one: pandas takes ten times as long to pick four columns at once.
    prices = [candles[name].to_numpy(dtype=np.float64) for name in _PRICES]
    decimals = most_decimals(np.concatenate(prices))
    # Whole numbers have no decimals to count.
    return max(precision, 10.0**-decimals) if decimals else precision


def most_decimals(prices: Floats) -> int:
    """Return how many decimals the prices need, as freqtrade's ``get_tick_size_over_time`` does.

    freqtrade's function formats every price as text, which takes 20 ms per series; a scan reads
    900 series.

    >>> most_decimals(np.array([0.125, 3.0]))
    3
    """
    prices = np.abs(prices[np.isfinite(prices)])
    # From the 14th significant digit on, a float says nothing of how it was written.
    tolerance = prices * 10.0**-_DIGITS
    for decimals in range(_MOST_DECIMALS):
        rest = np.abs(np.round(prices, decimals) - prices) > tolerance
        if not rest.any():
            return decimals
        prices, tolerance = prices[rest], tolerance[rest]
    return _MOST_DECIMALS


def relative_tick(candles: pd.DataFrame, precision: float, prices: Floats) -> float:
    """Return the tick as a fraction of the median price.

    :param prices: closes, NaN where not traded; at least one is finite.
    """
    return tick_size(candles, precision) / float(np.median(prices[np.isfinite(prices)]))


def tick_noise(tick: float, stdev: float) -> float:
    """Return how much one tick moves z: the tick divided by the premium's standard deviation.

    :param tick: the coarser tick of perp and spot, as a fraction of the price.
    :param stdev: as :func:`premium_stdev` returns it.
    """
    return tick / stdev if stdev else math.inf
