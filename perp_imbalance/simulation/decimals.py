"""The decimal arithmetic of freqtrade and ccxt, in floats that compiled code can use.

freqtrade multiplies prices and amounts as decimal texts and rounds profits to 8 places. One step of
an amount more or less, or one unit of the eighth place, would be a different trade. So nothing here
is rounded twice: a product is a pair of floats with an exact sum until the final division.
"""

import math
from typing import TypeVar

import numpy as np

from perp_imbalance.simulation.compiling import compiled

#: Powers of ten that a float holds exactly.
_POWERS = np.array([float(10**power) for power in range(23)])
_SPLITTER = 134217729.0
#: From here on, floats have no places behind the point.
_WHOLE = 2.0**52
_Number = TypeVar("_Number", int, float)


@compiled
def lesser(a: _Number, b: _Number) -> _Number:
    """Return the lesser of two numbers; compiles faster than ``min``."""
    return a if a < b else b


@compiled
def greater(a: _Number, b: _Number) -> _Number:
    """Return the greater of two numbers."""
    return a if a > b else b


@compiled
def is_within(low: float, value: float, high: float) -> bool:
    """Return whether a value lies between two others or equals one of them."""
    return (low <= value) & (value <= high)


@compiled
def product(a: float, b: float) -> tuple[float, float]:
    """Return ``a * b`` as two floats whose sum is exact."""
    high = a * b
    scaled = _SPLITTER * a
    a1 = scaled - (scaled - a)
    a2 = a - a1
    scaled = _SPLITTER * b
    b1 = scaled - (scaled - b)
    b2 = b - b1
    return high, ((a1 * b1 - high) + a1 * b2 + a2 * b1) + a2 * b2


@compiled
def quotient(high: float, low: float, divisor: float) -> float:
    """Return ``(high + low) / divisor``, rounded once."""
    first = high / divisor
    back, error = product(first, divisor)
    return first + (((high - back) - error) + low) / divisor


@compiled
def nearest(value: float) -> float:
    """Return the nearest whole number to a value of at least 0; a tie goes to the even one."""
    return (value + _WHOLE) - _WHOLE if value < _WHOLE else value


@compiled
def floored(value: float) -> float:
    """Return the greatest whole number at or below a value."""
    size = value if value >= 0.0 else -value
    steps = nearest(size)
    if value >= 0.0:
        return steps if steps <= size else steps - 1.0
    return -steps if steps >= size else -steps - 1.0


@compiled
def worth(amount: float, price: float, numerator: float, denominator: float) -> float:
    """Return ``amount * price * numerator / denominator``, rounded once.

    :param amount: whole number of steps.
    :param price: whole number of ticks.
    """
    high, low = product(amount, price)
    scaled, error = product(high, numerator)
    return quotient(scaled, error + low * numerator, denominator)


@compiled
def steps_below(value: float, per_unit: float) -> float:
    """Return how many whole steps fit into a value, as ccxt truncates amounts.

    :param per_unit: steps in one unit, a whole number.
    """
    steps = nearest(value * per_unit)
    return steps if steps / per_unit <= value else steps - 1.0


@compiled
def steps_above(value: float, per_unit: float) -> float:
    """Return the fewest steps that reach a value, as freqtrade rounds the stop of a long."""
    steps = nearest(value * per_unit)
    return steps if steps / per_unit >= value else steps + 1.0


@compiled
def steps_nearest(value: float, per_unit: float) -> float:
    """Return the nearest number of steps, as ccxt rounds prices; a tie goes up."""
    below = steps_below(value, per_unit)
    return below + 1.0 if value >= (2.0 * below + 1.0) / (2.0 * per_unit) else below


@compiled
def round8(value: float) -> float:
    """Return a value rounded to 8 places as Python's ``round`` does it."""
    size = value if value >= 0.0 else -value
    high, low = product(size, 1e8)
    steps = nearest(high)
    if high - steps == 0.5 and low > 0.0:
        steps += 1.0
    elif high - steps == -0.5 and low < 0.0:
        steps -= 1.0
    return steps / 1e8 if value >= 0.0 else -steps / 1e8


@compiled
def _digits(value: float) -> tuple[int, int]:
    """Return the digits of a value's ``repr``, and how many of them are decimals.

    Valid for values from 1e-5, such as stakes.
    """
    half_step = math.ldexp(1.0, math.frexp(value)[1] - 54)
    first = math.floor(math.log10(value))
    digits, decimals = 0, 0
    for length in range(15, 18):
        decimals = length - 1 - first if length - 1 > first else 0
        power = _POWERS[decimals]
        high, low = product(value, power)
        below = math.floor(high)
        part = (high - below) + low
        last = floored(part + 0.5)
        digits = below + int(last)
        if -half_step * power < part - last < half_step * power:
            break
    return digits, decimals


@compiled
def share_of_amount(part: float, stake: float, amount: float, per_unit: float) -> float:
    """Return ``part / stake`` of an amount, in whole steps, as freqtrade computes a partial exit.

    freqtrade divides the two stakes as decimal texts, cuts the result after the 18th place and
    truncates to a step. So half of an even number of steps can be one step less.

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
    scale = _POWERS[shift if shift < 22 else 22]
    extra = _POWERS[shift - 22 if shift > 22 else 0]
    above, error = product(above, scale)
    over = over * scale + error
    divisor, beside = product(whole, per_unit)
    beside += rest * per_unit
    first = above / divisor
    back, error = product(first, divisor)
    second = ((((above - back) - error) + over) - first * beside) / divisor
    first, second = first * extra, second * extra
    whole = floored(first)
    second = floored((first - whole) + second + 1e-6)
    return steps_below(quotient(whole, second, 1e18), per_unit)
