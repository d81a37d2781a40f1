"""A moving median over windows of unequal length, compiled.

numpy ranks the values within overlapping blocks; a pointer into the ranking then follows the
middle of the window, a few steps per row. This takes half the time of bottleneck's heaps and hardly
depends on the values.
"""

import numpy as np
from numba import njit

from perp_imbalance.indicators.rolling import Floats, Ints


def moving_median(values: Floats, begins: Ints, longest: int, least: int) -> Floats:
    """Return the median of ``values[begins[i]:i + 1]`` for every row i.

    :param values: finite, in any unit.
    :param begins: the first row of each window; it never decreases and is at most the row itself.
    :param longest: the most values that a window holds.
    :param least: the fewest values that give a median.
    :return: an array of that length, NaN where a window holds fewer than ``least``.

    >>> moving_median(np.array([3.0, 1.0, 2.0, 9.0]), np.array([0, 0, 0, 2]), 3, 2)
    array([nan, 2. , 2. , 5.5])
    """
    # A block is the rows over which a window reaches back, and then those that it answers for.
    longest = min(longest, values.size)
    step = max(longest, 64)
    blocks = -(-values.size // step)
    padded = np.zeros(longest + blocks * step)
    padded[longest : longest + values.size] = values
    # Integers in the order of the values: below 0, all bits but the sign are turned.
    bits = padded.view(np.int64)
    bits = bits ^ ((bits >> 63) & np.iinfo(np.int64).max)
    rows = np.lib.stride_tricks.sliding_window_view(bits, longest + step)[::step]
    # numpy sorts values several times as fast as it finds their order. So a value's last bits,
    # which hardly matter for the order, give way to its place in the block.
    places = (1 << (longest + step).bit_length()) - 1
    orders = rows & ~places
    orders |= np.arange(longest + step)
    orders.sort(axis=1)
    orders &= places
    medians: Floats = _follow(padded, begins, longest, least, orders)
    return medians


@njit(cache=True)
def _rank(values: Floats, order: Ints, ranks: Ints, ranked: Floats) -> None:
    """Write a block's ranks and its values by rank, given their approximate order."""
    for next_place in range(values.size):
        place, row = next_place, order[next_place]
        # Where the last bits do matter.
        while place and ranked[place - 1] > values[row]:
            ranked[place] = ranked[place - 1]
            order[place] = order[place - 1]
            ranks[order[place]] = place
            place -= 1
        ranked[place] = values[row]
        order[place] = row
        ranks[row] = place


@njit(cache=True)
def _follow(padded: Floats, begins: Ints, longest: int, least: int, orders: Ints) -> Floats:
    """Return the medians, given the approximate order of each block's values."""
    result = np.empty(begins.size)
    blocks, width = orders.shape
    step = width - longest
    ranks = np.empty(width, np.int64)
    ranked = np.empty(width)
    inside = np.empty(width, np.bool_)
    for block in range(blocks):
        start = block * step
        _rank(padded[start : start + width], orders[block], ranks, ranked)
        inside[:] = False
        # Row 0 of the block is this row of the series.
        offset = start - longest
        begin = begins[start]
        for row in range(begin, start):
            inside[ranks[row - offset]] = True
        # ``below`` values of the window rank before the place ``middle``.
        middle = below = 0
        for row in range(start, min(start + step, begins.size)):
            for left in range(begin, begins[row]):
                gone = ranks[left - offset]
                inside[gone] = False
                below -= gone < middle
            begin = begins[row]
            new = ranks[row - offset]
            inside[new] = True
            below += new < middle
            size = row + 1 - begin
            wanted = (size - 1) // 2
            while below > wanted:
                middle -= 1
                below -= inside[middle]
            while below < wanted or not inside[middle]:
                below += inside[middle]
                middle += 1
            if size < least:
                result[row] = np.nan
            elif size % 2:
                result[row] = ranked[middle]
            else:
                upper = middle + 1
                while not inside[upper]:
                    upper += 1
                result[row] = (ranked[middle] + ranked[upper]) / 2
    return result
