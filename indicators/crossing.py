"""Where a series crosses a level; repeated crossings within a quiet period count once."""

import numpy as np
import numpy.typing as npt

from perp_imbalance.indicators.rolling import Floats


def crossings(values: Floats, level: float, quiet: int) -> npt.NDArray[np.int8]:
    """Return the side, +1 or -1, on each row where a series goes beyond a level on that side.

    A row counts if none of the ``quiet`` rows before it was beyond the level on the same side. A
    NaN repeats the last known value. The result on a row depends on that row and earlier ones
    only, and not on where the series begins: a row with fewer than ``quiet`` known rows before
    it never counts.

    :param values: one value per row, NaN where unknown.
    :param level: above 0, in the unit of the values; a value at ``level`` or above, or at
        ``-level`` or below, is beyond it.
    :param quiet: at least 1.
    :return: int8 of the values' shape, 0 where nothing is crossed.

    >>> crossings(np.array([0.0, 3.0, 1.0, 3.0, 0.0, 0.0, -3.0]), 2.0, 2).tolist()
    [0, 0, 0, 0, 0, 0, -1]
    """
    sides = np.zeros(len(values), np.int8)
    known = np.isfinite(values)
    if not known.any():
        return sides
    rows = np.arange(len(values))
    first = int(known.argmax())
    held = values[np.maximum.accumulate(np.where(known, rows, first))]
    ready = rows >= first + quiet
    for side in (1, -1):
        beyond = side * held >= level
        # How many rows were beyond before each row.
        total = np.concatenate([[0], np.cumsum(beyond)])[:-1]
        before = total - total[np.maximum(rows - quiet, 0)]
        sides[beyond & (before == 0) & ready] = side
    return sides
