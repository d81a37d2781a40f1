"""Hold every entry for a fixed number of candles, regardless of exit signals."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from perp_imbalance.indicators.premium import open_times
from perp_imbalance.indicators.signals import SIDES
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.research.pair_history import PairHistory
from perp_imbalance.research.screen import Screen
from perp_imbalance.simulation import TRADE, Trades
from perp_imbalance.strategy.settings import Settings


class HeldEntries:
    """Pairs whose entries are held for one horizon, with the interface of ``ThresholdTrades``.

    There is no wallet, and trades may overlap. Entries whose horizon ends after the last candle are
    left out.

    :param horizon: candles for which an entry is held.
    :param cost: fees of entry and exit together, as a fraction.
    :ivar pairs: names of the pairs.
    :ivar times: opening times of each pair's candles, from the first that can be traded.
    """

    def __init__(
        self, histories: Sequence[PairHistory], settings: Settings, horizon: int, cost: float
    ) -> None:
        self.pairs = [history.match.perp for history in histories]
        self._horizon, self._sides = horizon, settings.entered_sides
        self._begins = [history.begin for history in histories]
        self._screens = [Screen(history, settings, (horizon,), cost) for history in histories]
        self.times = [open_times(history.perp, "perp")[history.begin :] for history in histories]

    def trades(self, thresholds: Thresholds) -> Trades:
        """Return the trades with a stake of 1, in the order in which they end."""
        found = [np.zeros(0, TRADE)]
        for pair, (screen, begin) in enumerate(zip(self._screens, self._begins, strict=True)):
            for side in self._sides:
                rows = screen.entries_of(thresholds, side)
                net = screen.earned[side][0][rows]
                is_known = np.isfinite(net)
                held = np.zeros(int(np.count_nonzero(is_known)), TRADE)
                held["pair"], held["side"] = pair, SIDES[side]
                held["profit_ratio"] = net[is_known]
                # Signalled on a row, entered on the next.
                held["entry_row"] = rows[is_known] - begin + 1
                held["exit_row"] = held["entry_row"] + self._horizon
                found.append(held)
        held = np.concatenate(found)
        return held[np.argsort(held["exit_row"], kind="stable")]

    def each(self, combinations: Iterable[Thresholds]) -> Iterator[Trades]:
        """Yield the trades of many combinations."""
        return map(self.trades, combinations)
