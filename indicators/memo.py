"""A cache of results: hyperopt asks for the same columns in every epoch.

freqtrade sends each epoch to a worker with a new copy of the strategy, so this module holds the
cache. A result is found by the contents of the array it was computed from.
"""

from collections.abc import Callable, Hashable
from hashlib import blake2b
from typing import Any, TypeVar

from cachetools import LRUCache, cached

from perp_imbalance.indicators.rolling import Floats

#: What one process keeps of each function, in bytes: some 40 years of hourly z-scores.
KEPT_BYTES = 64 * 2**20

_Arrays = TypeVar("_Arrays", bound=tuple[Floats, ...])


def _content(values: Floats, *numbers: float) -> Hashable:
    return values.size, blake2b(values.tobytes(), digest_size=16).digest(), numbers


def _size(arrays: tuple[Any, ...]) -> int:
    return sum(array.nbytes for array in arrays)


def memoize(function: Callable[..., _Arrays]) -> Callable[..., _Arrays]:
    """Return a function that caches its results up to a fixed amount of memory.

    :param function: takes an array and numbers; returns a tuple of arrays.
    :return: the cached function; the arrays it returns are shared and read-only.

    >>> from perp_imbalance.indicators.zscore import z_score
    >>> kept = memoize(z_score)
    >>> kept(np.array([0.0, 2.0, 4.0]), 2, 1) is kept(np.array([0.0, 2.0, 4.0]), 2, 1)
    True
    """

    @cached(LRUCache(KEPT_BYTES, getsizeof=_size), key=_content)
    def compute(values: Floats, *numbers: float) -> _Arrays:
        arrays = function(values, *numbers)
        for array in arrays:
            array.setflags(write=False)
        return arrays

    return compute
