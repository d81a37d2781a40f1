"""Confidence intervals of a mean over events, by a block bootstrap over time."""

from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from perp_imbalance.indicators.rolling import Bools, Floats

#: Ends of the interval, as shares of what is drawn.
_ENDS = (0.025, 0.975)

#: How the intervals are made, in words, for help and page.
EXPLAINED = (
    "Intervals are of a block bootstrap, about the mean, made wider as Student's t is where few "
    "blocks hold events, and by what events of neighbouring blocks share of their time."
)


# The draws of a group of candles are the same for all that happened on them: what an evidence has
# of groups, a few MB each.
@lru_cache(16)
def _weights(blocks: int, draws: int, seed: int) -> NDArray[np.float64]:
    """Return how often each draw contains each block."""
    rng = np.random.default_rng(seed)
    share = np.full(blocks, 1 / blocks)
    return rng.multinomial(blocks, share, size=draws).astype(np.float64)


class Bootstrap:
    """Block bootstrap that draws blocks of time with all their events and their drift.

    Overlapping events and volatile weeks thereby stay together.

    :param known: the candles of a group whose returns are known.
    :param rows: the events' candles among them, without duplicates.
    :param horizon: candles for which each event is held.
    :param block: candles per block, at least ``horizon``.
    :ivar event_blocks: number of blocks with any event.
    """

    def __init__(
        self,
        known: Bools,
        rows: NDArray[np.int64],
        horizon: int,
        *,
        block: int,
        draws: int,
        seed: int,
    ) -> None:
        candles = np.flatnonzero(known)
        # Blocks count the candles of the group, not the calendar: a regime is made of pieces.
        self._blocks = -(-candles.size // block)
        self._candles, self._rows, self._horizon = candles, rows, horizon
        self._of_candle = np.arange(candles.size) // block
        self._of_row = np.searchsorted(candles, rows) // block
        self.event_blocks = np.unique(self._of_row).size
        self._weights = _weights(self._blocks, draws, seed)

    def of(self, values: Floats, *, against_drift: bool) -> tuple[float, float]:
        """Return the 95 % interval of the events' mean, minus the drift if asked."""
        means = self._means(values[self._rows], self._of_row)
        found = float(values[self._rows].mean())
        if against_drift:
            means = means - self._means(values[self._candles], self._of_candle)
            found -= float(values[self._candles].mean())
        low, high = np.nanquantile(means, _ENDS)
        wider = self.widening
        return found - (found - float(low)) * wider, found + (float(high) - found) * wider

    @cached_property
    def widening(self) -> float:
        """Factor by which the interval is widened beyond the quantiles of the draws.

        With few blocks that hold events the draws vary too little. They also ignore that events on
        both sides of a block border share candles; this is corrected by the variance of the number
        of events held on each candle.
        """
        blocks = self.event_blocks
        few = stats.t.ppf(_ENDS[1], blocks - 1) / stats.norm.ppf(_ENDS[1])
        few *= np.sqrt(blocks / (blocks - 1))
        # No event is held beyond the next block, so those of every second one share nothing.
        held = [self._held(self._rows[self._of_row % 2 == odd]) for odd in (0, 1)]
        apart = sum(np.square(of).sum() for of in held)
        return float(few * np.sqrt(np.square(held[0] + held[1]).sum() / apart))

    def _held(self, rows: NDArray[np.int64]) -> Floats:
        """Return, for each candle, how many events have an open position."""
        changes = np.zeros(int(self._candles[-1]) + self._horizon + 1)
        changes[rows] += 1
        changes[rows + self._horizon] -= 1
        held: Floats = np.cumsum(changes)
        return held

    def _means(self, values: Floats, blocks: NDArray[np.int64]) -> Floats:
        sums = np.bincount(blocks, values, self._blocks)
        counts = np.bincount(blocks, minlength=self._blocks).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            means: Floats = (self._weights @ sums) / (self._weights @ counts)
        return means
