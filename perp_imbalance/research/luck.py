"""The t that the best of many combinations would reach by luck alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.research.trade_figures import Weekly

#: Draws of the weeks' signs: the smallest p they can show is 1 / (draws + 1).
DRAWS = 999

#: A p up to this is called more than luck.
SURE = 0.05

# So many combinations are multiplied at a time.
_BATCH = 1024

#: The method, in words, for help and page.
EXPLAINED = (
    "Were no combination worth anything, each week might as well have had the opposite result. So "
    f"the signs of whole weeks are drawn {DRAWS} times, the same ones for all combinations, which "
    "keeps what they have in common, and each time the highest t of all is kept: the wild cluster "
    "bootstrap of Cameron, Gelbach and Miller (2008) with the maximum of Westfall and Young "
    "(1993). p: how often that highest t reaches the line's own."
)


@dataclass
class Luck:
    """Computes the highest t of all combinations under random signs of the weeks.

    Combinations are added one by one and not stored.

    :param weeks: number of weeks.
    :param draws: number of draws of random signs.
    :ivar best: highest t so far, for each draw.
    :ivar tried: number of combinations so far.
    """

    weeks: int
    draws: int = DRAWS
    seed: int = 0

    def __post_init__(self) -> None:
        """Draw the signs; they depend on the seed only."""
        rng = np.random.default_rng(self.seed)
        self._signs = rng.integers(0, 2, (self.draws, self.weeks)).astype(np.float32) * 2 - 1
        self.best = np.full(self.draws, -np.inf)
        self.tried = 0
        self._held: list[Weekly] = []

    def add(self, weekly: Weekly) -> None:
        """Add a combination that has a t."""
        self.tried += 1
        self._held.append(weekly)
        if len(self._held) == _BATCH:
            self._settle()

    def _settle(self) -> None:
        """Update the highest t of each draw, with the formula of ``clustered_t``."""
        if not self._held:
            return
        # Single precision: twice as quick, and far finer than the draws.
        net, counts = (np.array(of, np.float32).T for of in zip(*self._held, strict=True))
        self._held = []
        trades, clusters = counts.sum(axis=0), np.count_nonzero(counts, axis=0)
        drawn = self._signs @ net
        mean = drawn / trades
        # Errors are drawn returns less the drawn mean; the square of a sign is 1.
        squares = (net**2).sum(axis=0) - 2 * mean * (self._signs @ (net * counts))
        squares += mean**2 * (counts**2).sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            t = drawn / np.sqrt(squares * clusters / (clusters - 1))
        np.fmax(self.best, np.fmax.reduce(t, axis=1), out=self.best)

    def join(self, best: Floats, tried: int) -> None:
        """Add combinations from another process that used the same signs."""
        np.fmax(self.best, best, out=self.best)
        self.tried += tried

    def result(self) -> "Best":
        """Return the highest t of all combinations under luck."""
        self._settle()
        return Best(self.tried, self.best)


class Best(NamedTuple):
    """The highest t of a number of combinations without skill.

    :ivar tried: number of combinations.
    :ivar drawn: highest t of each draw.
    """

    tried: int
    drawn: Floats

    @property
    def expected(self) -> float | None:
        """The mean of the highest t; None without draws."""
        return float(self.drawn.mean()) if self.tried else None

    @property
    def high(self) -> float | None:
        """The 95 % quantile of the highest t."""
        return float(np.quantile(self.drawn, 1 - SURE)) if self.tried else None

    def p(self, t: float) -> float:
        """Return the fraction of draws whose highest t reaches a value.

        >>> Best(1, np.array([0.0, 1.0, 3.0])).p(2.0)
        0.5
        """
        return (1 + int(np.count_nonzero(self.drawn >= t))) / (1 + self.drawn.size)


def said(best: Best, combinations: int, ts: Sequence[float]) -> str:
    """Return a sentence that compares the best row with the best by luck.

    :param combinations: number of all tried combinations, including those with too few trades.
    :param ts: the t of each listed row.
    """
    if best.expected is None or best.high is None:
        return (
            f"{combinations} combinations tried; none has trades and weeks enough to have a t, so "
            "luck cannot be estimated"
        )
    begin = (
        f"{combinations} combinations tried, {best.tried} of them with enough trades: the best of "
        f"as many worthless ones would show t {best.expected:.1f} on average, and above "
        f"{best.high:.1f} one time in twenty"
    )
    if not ts:
        return begin
    top = max(ts)
    p = best.p(top)
    proof = "more than such luck" if p <= SURE else "not more than such luck"
    return f"{begin}; the highest here is {top:.1f}, p {p:.2f}: {proof}"
