"""Figures of the trades of one combination of thresholds, fast enough for a grid."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.research.pooled import MIN_TRADES, MIN_WEEKS, weeks_of
from perp_imbalance.simulation import Trades

_BPS = 1e4
_WEEKS_A_YEAR = 365 / 7
_NAN = float("nan")

Ints = NDArray[np.int64]


class Figures(NamedTuple):
    """Figures of trades; NaN with too few trades or without a wallet.

    :ivar weeks: number of weeks with an entry.
    :ivar net_bps: mean profit of a trade after fees and funding, in bps of its stake.
    :ivar t: t of that mean, clustered by week across pairs.
    :ivar profit_pct: profit in percent of the initial wallet.
    :ivar sharpe: Sharpe ratio of weekly returns, annualised.
    :ivar drawdown_pct: largest drawdown of the closed balance, in percent of its maximum.
    :ivar profit_factor: sum of gains divided by sum of losses; infinite without a loss.
    :ivar won: fraction of trades with a profit.
    """

    trades: int
    weeks: int
    net_bps: float
    t: float
    profit_pct: float
    sharpe: float
    drawdown_pct: float
    profit_factor: float
    won: float


class Weekly(NamedTuple):
    """Sum of returns and number of trades by week of entry."""

    net: Floats
    trades: Floats


class Calendar:
    """The weeks of the rows of several pairs, counted from one first week.

    :param times: opening times of each pair's candles, in ns.
    :param first: number of the first week, see :func:`weeks_of`.
    :param weeks: number of weeks.
    :ivar begins: each pair's first row in the concatenated rows of all pairs.
    """

    def __init__(self, times: Sequence[Ints], first: int, weeks: int) -> None:
        self.weeks = weeks
        self.begins = np.cumsum([0, *(of.size for of in times)])[:-1]
        self._of_row = weeks_of(np.concatenate(times)) - first

    def weeks_of(self, trades: Trades, row: str) -> Ints:
        """Return the week number of each trade.

        :param row: ``entry_row`` or ``exit_row``.
        """
        found: Ints = self._of_row[self.begins[trades["pair"]] + trades[row]]
        return found

    def weekly(self, trades: Trades) -> Weekly:
        """Return the returns of trades by week of entry."""
        weeks = self.weeks_of(trades, "entry_row")
        net: Floats = np.bincount(weeks, trades["profit_ratio"], self.weeks).astype(np.float64)
        return Weekly(net, np.bincount(weeks, minlength=self.weeks).astype(np.float64))


def span_of(times: Sequence[Ints]) -> tuple[int, int]:
    """Return the first week of several pairs' rows and the number of weeks."""
    first, last = (weeks_of(np.array(ends)) for ends in zip(*_ends(times), strict=True))
    return int(first.min()), int(last.max() - first.min()) + 1


def _ends(times: Sequence[Ints]) -> list[tuple[int, int]]:
    return [(int(of[0]), int(of[-1])) for of in times]


def clustered_t(weekly: Weekly) -> float:
    """Return the t of the mean of a trade, with errors clustered by week.

    It equals that of ``pooled.clustered_mean``, which uses statsmodels. NaN with fewer than
    ``MIN_TRADES`` trades, or fewer than ``MIN_WEEKS`` weeks with a trade.

    >>> clustered_t(Weekly(np.ones(3), np.ones(3)))
    nan
    """
    trades, clusters = float(weekly.trades.sum()), int(np.count_nonzero(weekly.trades))
    if trades < MIN_TRADES or clusters < MIN_WEEKS:
        return _NAN
    mean = float(weekly.net.sum()) / trades
    errors = weekly.net - mean * weekly.trades
    variance = float(errors @ errors) * clusters / (clusters - 1)
    return mean * trades / variance**0.5 if variance > 0 else _NAN


def figures_of(trades: Trades, weekly: Weekly, calendar: Calendar, wallet: float | None) -> Figures:
    """Return the figures of trades.

    :param trades: in the order in which they close.
    :param weekly: result of :meth:`Calendar.weekly`.
    :param wallet: balance before the first trade; None if the trades share no wallet.
    """
    count = trades.size
    if not count:
        return Figures(0, 0, _NAN, _NAN, _NAN if wallet is None else 0.0, *[_NAN] * 4)
    net = trades["profit_ratio"]
    profit, sharpe, drawdown = _NAN, _NAN, _NAN
    made = net
    if wallet is not None:
        made = trades["profit_abs"]
        balance = wallet + np.cumsum(made)
        highest = np.maximum(np.maximum.accumulate(balance), wallet)
        drawdown = float((1.0 - balance / highest).max()) * 100.0
        profit = (float(balance[-1]) / wallet - 1.0) * 100.0
        closed = np.bincount(calendar.weeks_of(trades, "exit_row"), made, calendar.weeks)
        sharpe = _weekly_sharpe(closed.astype(np.float64), wallet)
    gains = float(made[made > 0].sum())
    losses = gains - float(made.sum())
    return Figures(
        count,
        int(np.count_nonzero(weekly.trades)),
        float(weekly.net.sum()) / count * _BPS,
        clustered_t(weekly),
        profit,
        sharpe,
        drawdown,
        gains / losses if losses > 0 else float("inf"),
        int(np.count_nonzero(net > 0)) / count,
    )


def _weekly_sharpe(made: Floats, wallet: float) -> float:
    """Return the annualised Sharpe ratio of weeks; NaN if the wallet was lost or never changed."""
    balance = wallet + np.cumsum(made)
    before = balance - made
    if made.size < 2 or before.min() <= 0:
        return _NAN
    returns = made / before
    spread = float(returns.std(ddof=1))
    return float(returns.mean()) / spread * _WEEKS_A_YEAR**0.5 if spread > 0 else _NAN
