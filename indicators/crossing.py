"""Where a series crosses a level, each crossing once however it trembles there."""

import numpy as np
import numpy.typing as npt

from perp_imbalance.indicators.rolling import Floats


def crossings(values: Floats, level: float, quiet: int) -> npt.NDArray[np.int8]:
    """Return the side, +1 or -1, on each row where a series goes beyond a level on that side.

    A row counts where the ``quiet`` rows before it were not beyond the level on the same side. An
    unknown value leaves the series where it was. The answer on a row depends on rows up to it
    alone, and not on where the series begins: without ``quiet`` known rows before it, none counts.

    :param values: one value a row, NaN where it is not known.
    :param level: above 0, in the unit of the values; beyond are ``level`` and more, ``-level`` and
        less.
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
