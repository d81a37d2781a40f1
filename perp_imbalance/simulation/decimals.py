"""Decimal arithmetic as freqtrade and ccxt do it, in floats that compiled code can use.

freqtrade multiplies prices and amounts as decimal texts and rounds profits to 8 places. One step of
an amount, or one unit of the eighth place, would be a different trade, so nothing here is rounded
twice: a product is kept as a pair of floats whose sum is exact, until one division ends it.

Numba keeps compiled code beside the file and does not look whether an imported file changed: touch
``kernel.py`` after a change here.
"""

import numpy as np
from numba import njit

#: Powers of ten that a float holds exactly.
_POWERS = np.array([float(10**power) for power in range(23)])
_SPLITTER = 134217729.0


@njit(cache=True)
def product(a: float, b: float) -> tuple[float, float]:
    """Return ``a * b`` as two floats whose sum is exact.

    >>> product(0.1, 3.0)
    (0.30000000000000004, -2.7755575615628914e-17)
    """
    high = a * b
    scaled = _SPLITTER * a
    a1 = scaled - (scaled - a)
    a2 = a - a1
    scaled = _SPLITTER * b
    b1 = scaled - (scaled - b)
    b2 = b - b1
    return high, ((a1 * b1 - high) + a1 * b2 + a2 * b1) + a2 * b2


@njit(cache=True)
def quotient(high: float, low: float, divisor: float) -> float:
    """Return ``(high + low) / divisor``, rounded once."""
    first = high / divisor
    back, error = product(first, divisor)
    return first + (((high - back) - error) + low) / divisor


@njit(cache=True)
def worth(amount: float, price: float, numerator: float, denominator: float) -> float:
    """Return ``amount * price * numerator / denominator``, rounded once.

    :param amount: whole number of steps.
    :param price: whole number of ticks.

    >>> worth(3.0, 10.0, 9995.0, 1000000.0)
    0.29985
    """
    high, low = product(amount, price)
    scaled, error = product(high, numerator)
    return quotient(scaled, error + low * numerator, denominator)


@njit(cache=True)
def steps_below(value: float, per_unit: float) -> float:
    """Return how many whole steps fit into a value, as ccxt truncates amounts.

    :param per_unit: steps in one unit, a whole number.

    >>> steps_below(0.3, 10.0), steps_below(0.29999, 10.0)
    (3.0, 2.0)
    """
    nearest: float = np.rint(value * per_unit)
    return nearest if nearest / per_unit <= value else nearest - 1.0


@njit(cache=True)
def steps_above(value: float, per_unit: float) -> float:
    """Return the fewest steps that reach a value, as freqtrade rounds the stop of a long.

    >>> steps_above(0.3, 10.0), steps_above(0.30000000000000004, 10.0)
    (3.0, 4.0)
    """
    nearest: float = np.rint(value * per_unit)
    return nearest if nearest / per_unit >= value else nearest + 1.0


@njit(cache=True)
def steps_nearest(value: float, per_unit: float) -> float:
    """Return the nearest number of steps, the upper one of two, as ccxt rounds prices.

    >>> steps_nearest(0.25, 10.0), steps_nearest(0.2499, 10.0)
    (3.0, 2.0)
    """
    below = steps_below(value, per_unit)
    return below + 1.0 if value >= (2.0 * below + 1.0) / (2.0 * per_unit) else below


@njit(cache=True)
def round8(value: float) -> float:
    """Return a value rounded to 8 places as Python's ``round`` does it.

    >>> round8(2.675e-6), round8(1.000000005)
    (2.67e-06, 1.0)
    """
    high, low = product(value, 1e8)
    nearest: float = np.rint(high)
    if high - nearest == 0.5 and low > 0.0:
        nearest += 1.0
    elif high - nearest == -0.5 and low < 0.0:
        nearest -= 1.0
    return nearest / 1e8


@njit(cache=True)
def _digits(value: float) -> tuple[int, int]:
    """Return the digits of a value's ``repr``, and how many of them are decimals.

    For values from 1e-5 on: a stake.
    """
    half_step = (np.nextafter(value, np.inf) - value) / 2.0
    first = int(np.floor(np.log10(value)))
    digits, decimals = 0, 0
    for length in range(15, 18):
        decimals = max(length - 1 - first, 0)
        power = _POWERS[decimals]
        high, low = product(value, power)
        below = np.floor(high)
        part = (high - below) + low
        digits = int(below) + int(np.rint(part))
        if abs(part - np.rint(part)) < half_step * power:
            break
    return digits, decimals


@njit(cache=True)
def share_of_amount(part: float, stake: float, amount: float, per_unit: float) -> float:
    """Return ``part / stake`` of an amount, in whole steps, as freqtrade computes a partial exit.

    It divides the two stakes as decimal texts, cuts after the 18th place, and truncates to a step:
    half of an even number of steps can come out as one step less.

    :param part: stake of the part.
    :param stake: stake of the position.
    :param amount: steps of the position.
    """
    part_digits, part_decimals = _digits(part)
    stake_digits, stake_decimals = _digits(stake)
    high = float(part_digits)
    above, over = product(high, amount)
    over += float(part_digits - int(high)) * amount
    whole = float(stake_digits)
    rest = float(stake_digits - int(whole))
    # The quotient at 18 places: first its float, then what that leaves.
    shift = 18 + stake_decimals - part_decimals
    scale = _POWERS[min(shift, 22)]
    extra = _POWERS[max(shift - 22, 0)]
    above, error = product(above, scale)
    over = over * scale + error
    divisor, beside = product(whole, per_unit)
    beside += rest * per_unit
    first = above / divisor
    back, error = product(first, divisor)
    second = ((((above - back) - error) + over) - first * beside) / divisor
    first, second = first * extra, second * extra
    whole = np.floor(first)
    second = np.floor((first - whole) + second + 1e-6)
    return steps_below(quotient(whole, second, 1e18), per_unit)
