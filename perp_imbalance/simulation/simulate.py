"""From markets, signals and rules to trades and their statistics."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perp_imbalance.errors import DataError
from perp_imbalance.simulation.kernel import TRADE, Terms, run, summarize
from perp_imbalance.simulation.markets import (
    ENTER_LONG,
    ENTER_SHORT,
    Markets,
    Rules,
    Signals,
    check_rules,
    fee_fraction,
)

#: An array of ``TRADE``.
Trades = NDArray[np.void]


class Statistics(NamedTuple):
    """What a run earned.

    :ivar profit: sum of the trades, in the stake currency.
    :ivar mean_ratio: mean profit of a trade as share of its stake.
    :ivar t: that mean divided by its standard error, trades taken as independent.
    :ivar drawdown: largest fall of the closed balance, as share of its height.
    """

    trades: int
    wins: int
    profit: float
    mean_ratio: float
    t: float
    profit_factor: float
    drawdown: float


def terms_of(rules: Rules) -> Terms:
    """Return checked rules as the compiled code takes them.

    :raises SettingsError: if they cannot be simulated.
    """
    check_rules(rules)
    fee, scale = fee_fraction(rules.fee)
    names = set(Terms._fields) - {"fee", "fee_scale", "max_open_trades"}
    numbers: dict[str, Any] = {name: float(getattr(rules, name)) for name in names}
    slots = int(rules.max_open_trades)
    return Terms(fee=fee, fee_scale=scale, max_open_trades=slots, **numbers)


def simulate(markets: Markets, signals: Signals, rules: Rules | Terms) -> Trades:
    """Return the trades that freqtrade's backtest makes, in the order in which they close.

    :param markets: one pair or, by ``join``, several that share a wallet.
    :param rules: for many runs with the same ones, what :func:`terms_of` makes of them.
    :raises DataError: if there is not one signal a candle.
    :raises SettingsError: if the rules cannot be simulated.
    """
    terms = terms_of(rules) if isinstance(rules, Rules) else rules
    rows = markets.times.size
    if signals.flags.size != rows or signals.middle.size != rows:
        raise DataError(f"{signals.flags.size} signals do not fit to {rows} candles")
    room = int(np.count_nonzero(signals.flags & (ENTER_LONG | ENTER_SHORT)))
    trades = np.empty(room, TRADE)
    return trades[: run(*markets, *signals, terms, trades)]


def statistics(trades: Trades, wallet: float) -> Statistics:
    """Return what trades earned.

    :param wallet: balance before the first trade.

    >>> statistics(np.zeros(0, TRADE), 1000.0).trades
    0
    """
    return Statistics(*summarize(trades, wallet))
