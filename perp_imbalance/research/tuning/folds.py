"""The results of a trial in each fold of time, and the score for its rank."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.research.account import DAYS_A_YEAR
from perp_imbalance.research.pooled import weeks_of
from perp_imbalance.research.threshold_trades import ThresholdTrades
from perp_imbalance.research.tuning.names import LEAST_FOLD_DAYS
from perp_imbalance.simulation import Trades

Ints = NDArray[np.int64]

DAY_NS = 24 * 3_600_000_000_000
#: By so much of its standard deviation across folds a score is below its mean.
PENALTY = 0.5
# A fall that no account of some months avoids: without it the calmest fold would decide.
_LEAST_DRAWDOWN = 0.01


class FoldReturns(NamedTuple):
    """The returns of a trial in one fold.

    :ivar daily: daily returns, as fractions of the wallet.
    :ivar ratios: profit of each trade as a fraction of its stake.
    :ivar weeks: week in which each trade closed.
    """

    daily: Floats
    ratios: Floats
    weeks: Ints


def _sharpe(part: FoldReturns) -> float:
    deviation = float(part.daily.std())
    return float(part.daily.mean()) / deviation * DAYS_A_YEAR**0.5 if deviation > 0 else 0.0


def _profit(part: FoldReturns) -> float:
    return float(part.daily.mean()) * DAYS_A_YEAR


def _calmar(part: FoldReturns) -> float:
    equity = np.cumsum(part.daily)
    fall = np.maximum.accumulate(np.maximum(equity, 0.0)) - equity
    return _profit(part) / max(float(fall.max()), _LEAST_DRAWDOWN)


def _t(part: FoldReturns) -> float:
    """Return the t of the trades' mean, clustered by week."""
    if part.ratios.size < 2:
        return 0.0
    apart = part.ratios - part.ratios.mean()
    sums = np.bincount(part.weeks - part.weeks.min(), apart)
    error = float(np.sqrt(np.square(sums).sum()))
    return float(part.ratios.sum()) / error if error > 0 else 0.0


#: What a search can look for: a figure of each fold, by its name.
OBJECTIVES: dict[str, Callable[[FoldReturns], float]] = {
    "sharpe": _sharpe,
    "profit": _profit,
    "calmar": _calmar,
    "t": _t,
}


class Outcome(NamedTuple):
    """The result of one trial.

    :ivar trades: number of trades.
    :ivar kept: number of trades that lie inside one fold.
    :ivar embargo: longest holding time of a trade, in ns.
    :ivar score: score of the trial; None with too few trades.
    :ivar figures: the objective in each fold.
    :ivar sums: sum of the daily returns of each fold.
    :ivar squares: sum of their squares for each fold.
    :ivar sharpe: Sharpe ratio of the account's daily returns, not annualised; None if they are all
        equal.
    :ivar profit: profit of the account, as a fraction of the wallet.
    """

    trades: int
    kept: int
    embargo: int
    score: float | None
    figures: Floats
    sums: Floats
    squares: Floats
    sharpe: float | None
    profit: float


@dataclass(frozen=True)
class Folds:
    """A time range divided into folds of equal length, with the rules for scoring trials.

    :param start: begin of the range, in ns.
    :param days: length of the range, in days.
    :param count: number of folds.
    :param objective: one of :data:`OBJECTIVES`.
    :param least_trades: a trial with fewer trades is not ranked.
    :raises SettingsError: if the folds are too short, or their number is odd.
    """

    start: int
    days: int
    count: int
    objective: str = "sharpe"
    least_trades: int = 30

    def __post_init__(self) -> None:
        """Refuse values that give no folds."""
        if self.count % 2 or not 4 <= self.count <= 16:
            raise SettingsError(f"--folds is {self.count}, it must be an even number from 4 to 16")
        if self.days < self.count * LEAST_FOLD_DAYS:
            raise SettingsError(
                f"{self.days} days to search on are too few for {self.count} folds of at least "
                f"{LEAST_FOLD_DAYS} days: take a longer time, or fewer folds"
            )

    @property
    def ends(self) -> Ints:
        """The days on which folds begin, and the day after the last fold."""
        return np.rint(np.linspace(0, self.days, self.count + 1)).astype(np.int64)

    @property
    def lengths(self) -> Floats:
        """The length of each fold in days."""
        return np.diff(self.ends).astype(np.float64)

    def outcome(self, trades: Trades, times: list[Ints], wallet: float) -> Outcome:
        """Return the outcome of trades.

        A trade counts in a fold if it opens and closes inside the fold, and opens later after the
        fold's begin than the longest trade lasts. So no position affects two folds.

        :param trades: records of ``TRADE`` in the order in which they close.
        :param times: opening times of each pair's candles, in ns.
        :param wallet: balance before the first trade.
        """
        opened, closed = (_times(trades, times, name) for name in ("entry_row", "exit_row"))
        before = wallet + np.cumsum(trades["profit_abs"]) - trades["profit_abs"]
        returns = trades["profit_abs"] / np.maximum(before, 1e-9)
        day = np.clip((closed - self.start) // DAY_NS, 0, self.days - 1)
        held = int((closed - opened).max()) if trades.size else 0
        bounds = self.start + self.ends * DAY_NS
        fold = np.clip(bounds.searchsorted(opened, "right") - 1, 0, self.count - 1)
        begins = np.where(fold > 0, bounds[fold] + held, self.start)
        # The last candle's trades may close with the last fold's end.
        is_last = fold == self.count - 1
        kept = (opened >= begins) & ((closed < bounds[fold + 1]) | is_last)
        daily = np.bincount(day[kept], returns[kept], self.days).astype(np.float64)
        weeks = weeks_of(closed)
        figure = OBJECTIVES[self.objective]
        parts = [
            FoldReturns(daily[begin:end], trades["profit_ratio"][inside], weeks[inside])
            for number, (begin, end) in enumerate(zip(self.ends, self.ends[1:], strict=False))
            for inside in (kept & (fold == number),)
        ]
        figures = np.array([figure(part) for part in parts])
        return Outcome(
            trades=trades.size,
            kept=int(np.count_nonzero(kept)),
            embargo=held,
            score=score_of(figures) if trades.size >= self.least_trades else None,
            figures=figures,
            sums=np.array([part.daily.sum() for part in parts]),
            squares=np.array([np.square(part.daily).sum() for part in parts]),
            sharpe=_account_sharpe(
                np.bincount(day, trades["profit_abs"], self.days).astype(np.float64), wallet
            ),
            profit=float(trades["profit_abs"].sum()) / wallet,
        )


def score_of(figures: Floats) -> float:
    """Return the mean of the folds' figures minus half of their standard deviation.

    >>> score_of(np.array([1.0, 3.0]))
    1.5
    """
    return float(figures.mean() - PENALTY * figures.std())


def chosen_ahead(outcomes: list[Outcome]) -> list[tuple[int, int]]:
    """Return the trial that the earlier folds would have chosen, for each fold of the second half.

    :return: pairs of the number of a fold and the number of the trial.
    """
    ranked = [number for number, outcome in enumerate(outcomes) if outcome.score is not None]
    if not ranked:
        return []
    figures = np.array([outcomes[number].figures for number in ranked])
    count = figures.shape[1]
    found = []
    for fold in range(count // 2, count):
        past = figures[:, :fold]
        scores = past.mean(axis=1) - PENALTY * past.std(axis=1)
        found.append((fold, ranked[int(np.argmax(scores))]))
    return found


class Evaluator:
    """Computes trials on one set of pairs.

    :param trades: the pairs with their trades.
    """

    def __init__(self, trades: ThresholdTrades, folds: Folds) -> None:
        self._trades, self._folds = trades, folds

    def __call__(self, trials: Iterable[Thresholds]) -> Iterator[Outcome]:
        """Return the outcome of each trial."""
        times, wallet = self._trades.times, self._trades.rules.wallet
        for trades in self._trades.each(trials):
            yield self._folds.outcome(trades, times, wallet)


def _times(trades: Trades, times: list[Ints], row: str) -> Ints:
    """Return the opening times of the candles in a column of trades."""
    found = np.zeros(trades.size, np.int64)
    for pair, of_pair in enumerate(times):
        inside = trades["pair"] == pair
        found[inside] = of_pair[trades[row][inside]]
    return found


def _account_sharpe(profits: Floats, wallet: float) -> float | None:
    """Return the daily Sharpe ratio of an account, equal to ``account.daily_sharpe``."""
    equity = wallet + np.concatenate([[0.0], np.cumsum(profits)])
    if equity.min() <= 0 or np.ptp(equity) == 0:
        return None
    returns = equity[1:] / equity[:-1] - 1.0
    return float(returns.mean() / returns.std())
