"""Forward returns of the perp after a signal, net of fees and funding."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perp_imbalance.research.pair_history import PairHistory


class ForwardReturns(NamedTuple):
    """One row per horizon, one column per signal candle; NaN where the candles end before the exit.

    :ivar horizons: candles for which a position is held.
    :ivar move: return of the perp's price, a fraction.
    :ivar funding: funding that a long pays, a fraction.
    """

    horizons: tuple[int, ...]
    move: NDArray[np.float64]
    funding: NDArray[np.float64]

    def of_side(self, side: int, cost: float) -> NDArray[np.float64]:
        """Return the net returns of a position, as fractions of the stake.

        :param side: 1 for long, -1 for short.
        :param cost: fees of entry and exit together, as a fraction.
        """
        return side * (self.move - self.funding) - cost


def forward_returns(candles: PairHistory, horizons: Sequence[int]) -> ForwardReturns:
    """Return the returns of holding the perp from the candle after a signal.

    A signal is known when its candle closes. The position begins at the open of the next candle, as
    in freqtrade's backtest, and ends at the open ``horizon`` candles later.

    :param horizons: candles to hold, each at least 1.
    """
    opens = candles.perp["open"].to_numpy(dtype=np.float64)
    rows = opens.size
    # Funding that falls on the opening of a candle is paid by who held the position before it.
    paid = np.concatenate([[0.0], np.cumsum(candles.funding)])
    move = np.full((len(horizons), rows), np.nan)
    funding = np.full((len(horizons), rows), np.nan)
    for row, horizon in enumerate(horizons):
        signals = rows - 1 - horizon
        if signals <= 0:
            continue
        begin, end = opens[1 : 1 + signals], opens[1 + horizon : 1 + horizon + signals]
        move[row, :signals] = end / begin - 1
        first = np.arange(1, 1 + signals)
        funding[row, :signals] = paid[first + horizon + 1] - paid[first + 1]
    return ForwardReturns(tuple(horizons), move, funding)
