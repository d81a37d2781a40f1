"""Join the trades of all test parts into one account and compute its statistics."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from freqtrade.data.metrics import (
    calculate_sharpe_from_balance,
)
from pandas import DataFrame
from scipy import stats

from perp_imbalance.indicators.performance import drawdown

#: Value of a unit by day, ``2024-01-31`` as its key.
Growth = dict[str, float]

DAYS_A_YEAR = 365
#: Fewer out-of-sample trades than this say nothing about the next ones.
LEAST_TRADES = 30
TOO_FEW_TRADES = "too few trades for a conclusion"


@dataclass(frozen=True)
class Statistics:
    """Statistics of an account.

    :ivar profit: as a fraction of the initial wallet.
    :ivar drawdown: the largest, as a fraction of the highest equity before it.
    :ivar sharpe: Sharpe ratio of daily returns, annualised; None if it is undefined.
    :ivar sharpe_error: its standard error, annualised.
    :ivar above_zero: probability that the true Sharpe ratio is above 0, without regard to the
        number of trials.
    :ivar expected_best: expected Sharpe ratio of the best of as many trials without skill.
    :ivar deflated: probability that the true Sharpe ratio is above ``expected_best``; this treats
        the account as the best of all trials.
    :ivar unsaid: why there is no Sharpe ratio.
    """

    trades: int | None
    days: int
    profit: float
    drawdown: float
    sharpe: float | None = None
    sharpe_error: float | None = None
    above_zero: float | None = None
    expected_best: float | None = None
    deflated: float | None = None
    unsaid: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def window_equity(
    trades: DataFrame, wallet: float, start: datetime, end: datetime
) -> "pd.Series[float]":
    """Return the wallet at the end of each day; profits count when trades close.

    The first value is the initial wallet, dated the day before.

    :param trades: with ``close_date`` and ``profit_abs``.
    """
    first = pd.Timestamp(start).floor("D")
    last = (pd.Timestamp(end) - pd.Timedelta(1, "s")).floor("D")
    days = pd.date_range(first - pd.Timedelta(1, "D"), last, freq="D")
    profit = pd.Series(0.0, index=days)
    if len(trades):
        closed = pd.to_datetime(trades["close_date"], utc=True, format="ISO8601").dt.floor("D")
        by_day = trades["profit_abs"].astype(float).groupby(closed.to_numpy()).sum()
        by_day.index = pd.DatetimeIndex(by_day.index, tz="UTC")
        # What closes later than the last candle opens, closes on the last day.
        profit = profit.add(
            by_day.groupby(by_day.index.map(lambda day: min(day, last))).sum(), fill_value=0.0
        )
    return wallet + profit.cumsum()


def stitch(
    equities: Sequence["pd.Series[float]"], wallet: float, *, compounding: bool = True
) -> "pd.Series[float]":
    """Return one account made of windows that each began with the same wallet.

    :param compounding: whether profits compound; otherwise each window adds its profit.
    """
    account = equities[0].iloc[:1] * 0 + wallet
    for equity in equities:
        now = account.iloc[-1]
        grown = equity * (now / wallet) if compounding else equity + (now - wallet)
        account = pd.concat([account, grown.iloc[1:]])
    return account


def growth_equity(
    growth: Mapping[str, float], wallet: float, start: datetime, end: datetime
) -> "pd.Series[float]":
    """Return the equity of a wallet that grows with a series of prices."""
    flat = window_equity(DataFrame(), wallet, start, end)
    index = pd.DatetimeIndex(pd.to_datetime(list(growth), utc=True))
    held = pd.Series(list(growth.values()), index=index, dtype=float) * wallet
    found: pd.Series[float] = held.reindex(flat.index).ffill().fillna(wallet)
    return found


def daily_returns(equity: "pd.Series[float]") -> "pd.Series[float]":
    """Return the return of each day."""
    return equity.pct_change().dropna()


def daily_sharpe(equity: "pd.Series[float]") -> float | None:
    """Return the Sharpe ratio of daily returns, not annualised; None if all returns are equal."""
    if equity.min() <= 0 or equity.nunique() < 2 or len(equity) < 3:
        return None
    frame = DataFrame({"date": equity.index, "total_quote": equity.to_numpy()})
    return float(calculate_sharpe_from_balance(frame)) / math.sqrt(DAYS_A_YEAR)


def sharpe_error(ratio: float, returns: int, skew: float, kurtosis: float) -> float:
    """Return the standard error of a Sharpe ratio; returns need not be normal.

    Lo (2002), Mertens (2002): sqrt((1 - skew·SR + (kurtosis - 1)/4·SR²) / (n - 1)).

    :param ratio: Sharpe ratio per return, not annualised.
    :param returns: number of returns.
    :param kurtosis: 3 for normal returns.
    """
    return math.sqrt((1 - skew * ratio + (kurtosis - 1) / 4 * ratio**2) / (returns - 1))


def expected_best(trials: int, deviation: float) -> float:
    """Return the expected highest Sharpe ratio of a number of trials without skill.

    Bailey and López de Prado (2014), "The Deflated Sharpe Ratio".

    :param deviation: standard deviation of the trials' Sharpe ratios.
    """
    if trials < 2:
        return 0.0
    quantile = stats.norm.ppf
    return float(
        deviation
        * (
            (1 - np.euler_gamma) * quantile(1 - 1 / trials)
            + np.euler_gamma * quantile(1 - 1 / (trials * math.e))
        )
    )


def deflated_sharpe(ratio: float, luck: float, error: float) -> float:
    """Return the probability that the true Sharpe ratio exceeds the expected best without skill.

    :param luck: :func:`expected_best` of the trials.
    :param error: :func:`sharpe_error` of the ratio.
    """
    return float(stats.norm.cdf((ratio - luck) / error))


def trial_deviation(
    windows: Sequence[Sequence[float | None]], lengths: Sequence[float], days: float
) -> float:
    """Return the standard deviation of the epochs' Sharpe ratios around the mean of their window.

    It is pooled over windows, since windows differ in their market and epochs of one window only in
    their parameters. It is scaled from the length of the training parts to that of the account,
    since it falls with the square root of time.

    :param lengths: length of each window's training part, in days.
    :param days: length of the account, in days.
    """
    groups = [
        [ratio * math.sqrt(length / days) for ratio in window if ratio is not None]
        for window, length in zip(windows, lengths, strict=True)
    ]
    groups = [group for group in groups if len(group) > 1]
    if not groups:
        return 0.0
    freedom = sum(len(group) - 1 for group in groups)
    return math.sqrt(sum((len(group) - 1) * np.var(group, ddof=1) for group in groups) / freedom)


def describe(
    equity: "pd.Series[float]",
    trades: int | None,
    *,
    trials: int = 1,
    deviation: float = 0.0,
    least_trades: int = LEAST_TRADES,
) -> Statistics:
    """Return the statistics of an account.

    :param trades: number of trades; None for buy and hold.
    :param trials: number of epochs tried to find it; 1 if it was not chosen among several.
    :param deviation: :func:`trial_deviation` of the epochs, per day.
    """
    wallet, days = float(equity.iloc[0]), len(equity) - 1
    said = Statistics(
        trades,
        days,
        float(equity.iloc[-1]) / wallet - 1,
        abs(float(drawdown(equity).min())) / 100.0,
    )
    if trades is not None and trades < least_trades:
        return _with(said, unsaid=f"{TOO_FEW_TRADES}: {trades}, fewer than {least_trades}")
    ratio = daily_sharpe(equity)
    if ratio is None:
        return _with(said, unsaid="no return has a Sharpe ratio here")
    year = math.sqrt(DAYS_A_YEAR)
    returns = daily_returns(equity).to_numpy()
    skew, kurtosis = stats.skew(returns), stats.kurtosis(returns, fisher=False)
    error = sharpe_error(ratio, len(returns), float(skew), float(kurtosis))
    above_zero = deflated_sharpe(ratio, 0.0, error)
    said = _with(said, sharpe=ratio * year, sharpe_error=error * year, above_zero=above_zero)
    if trials < 2:
        return said
    luck = expected_best(trials, deviation)
    deflated = deflated_sharpe(ratio, luck, error)
    return _with(said, expected_best=luck * year, deflated=deflated)


def _with(said: Statistics, **values: Any) -> Statistics:
    return Statistics(**(asdict(said) | values))


def stability(params: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return mean, standard deviation and range of each parameter across windows.

    The mean of a switch is the fraction of windows in which it is on.
    """
    found: dict[str, dict[str, float]] = {}
    for name in sorted({name for values in params for name in values}):
        numbers = [values[name] for values in params if name in values]
        if not all(isinstance(value, (bool, int, float)) for value in numbers):
            continue
        column = np.array(numbers, dtype=float)
        found[name] = {
            "mean": float(column.mean()),
            "stdev": float(column.std(ddof=1)) if len(column) > 1 else 0.0,
            "min": float(column.min()),
            "max": float(column.max()),
        }
    return found
