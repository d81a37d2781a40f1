"""Compute trades and their statistics from markets, signals and rules."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perp_imbalance.errors import DataError
from perp_imbalance.simulation.kernel import run_once, summarize
from perp_imbalance.simulation.markets import (
    ENTER_LONG,
    ENTER_SHORT,
    Flags,
    Floats,
    Ints,
    Markets,
    Rules,
    Signals,
    check_rules,
    fee_fraction,
)
from perp_imbalance.simulation.protections import protection_rows
from perp_imbalance.simulation.records import EVENT, POSITION, RULES, TRADE, WALLET, Records
from perp_imbalance.simulation.zones import run_many

# Trades that are held at a time, unless one pair of thresholds may make more.
_ROOM = 65_536

# Numba's types do not count arguments that are unpacked.
_run: Callable[..., int] = run_once
_run_many: Callable[..., int] = run_many

#: An array of ``TRADE``.
Trades = NDArray[np.void]


class Terms(NamedTuple):
    """The rules of a run in the form that the compiled code needs.

    :ivar rules: one record of ``RULES``.
    :ivar protections: records of ``PROTECTION``.
    :ivar scales_out: whether the middle Bollinger band is needed.
    """

    rules: Records
    protections: Records
    scales_out: bool


class Statistics(NamedTuple):
    """The statistics of a run.

    :ivar profit: sum of the trades' profits, in the stake currency.
    :ivar mean_ratio: mean profit of a trade as a fraction of its stake.
    :ivar t: ``mean_ratio`` divided by its standard error, for independent trades.
    :ivar drawdown: largest drawdown of the closed balance, as a fraction of its maximum.
    """

    trades: int
    wins: int
    profit: float
    mean_ratio: float
    t: float
    profit_factor: float
    drawdown: float


def terms_of(rules: Rules) -> Terms:
    """Check rules and return them in the form that the compiled code needs.

    :raises SettingsError: if they cannot be simulated.
    """
    check_rules(rules)
    fee, scale = fee_fraction(rules.fee)
    values = rules._asdict() | {"fee": fee, "fee_scale": scale}
    record = np.empty(1, RULES)
    for name in RULES.names or ():
        record[name] = values[name]
    return Terms(record, protection_rows(rules.protections), rules.scale_out > 0.0)


def simulate(markets: Markets, signals: Signals, rules: Rules | Terms) -> Trades:
    """Return the trades that freqtrade's backtest makes, in the order in which they close.

    :param markets: one pair, or several that share a wallet, from ``join``.
    :param rules: the rules, or the result of :func:`terms_of` for many runs with the same rules.
    :raises DataError: if there is not exactly one signal per candle.
    :raises SettingsError: if the rules cannot be simulated.
    """
    terms = terms_of(rules) if isinstance(rules, Rules) else rules
    rows = markets.candles.size
    if signals.flags.size != rows or signals.middle.size != rows:
        raise DataError(f"{signals.flags.size} signals do not fit to {rows} candles")
    at = np.flatnonzero(signals.flags)
    events = np.empty(at.size, EVENT)
    events["row"], events["bits"] = at, signals.flags[at]
    entries = int(np.count_nonzero(events["bits"] & (ENTER_LONG | ENTER_SHORT)))
    trades = np.empty(entries, TRADE)
    count = _run(
        *markets,
        events,
        at.searchsorted(markets.first),
        signals.middle if terms.scales_out else None,
        terms.rules,
        terms.protections,
        *_memory(markets),
        trades,
    )
    return trades[:count]


class Zones(NamedTuple):
    """The inputs of signals for any thresholds, for the pairs of :class:`Markets` in their order.

    :ivar z: z-scores; the last rows of a pair match its market, earlier rows may precede them.
    :ivar is_stale: 1 where a run of candles without a premium ends a bias.
    :ivar gates: bits ``ENTER_LONG`` and ``ENTER_SHORT`` where a gate passes; one row per gate.
    :ivar first: each pair's first row of ``z``, and the number of all rows.
    :ivar only_flips: True for entry mode ``flip``, False for ``zone``.
    """

    z: Floats
    is_stale: Flags
    gates: Flags
    first: Ints
    only_flips: bool


def simulate_many(
    markets: Markets,
    zones: Zones,
    levels: Floats,
    chosen: Ints,
    rules: Terms,
    middle: Floats | None = None,
) -> Iterator[tuple[Trades, Ints]]:
    """Yield the trades of many sets of thresholds in batches, so that memory is bounded.

    :param levels: ``enter_z`` and ``exit_z``, one row per set.
    :param chosen: the gates that must pass, one row per set; -1 for none.
    :param middle: the middle Bollinger band, for ``scale_out``.
    :return: trades of a batch, and where those of each set end. The next batch overwrites them.
    """
    extremes = np.flatnonzero(np.abs(zones.z) >= levels[:, 0].min())
    extreme_first, event_first = extremes.searchsorted(zones.first), zones.first.copy()
    trades, events = np.empty(max(zones.z.size, _ROOM), TRADE), np.empty(zones.z.size, EVENT)
    ends, begin = np.zeros(len(levels), np.int64), 0
    while begin < len(levels):
        done = _run_many(
            *markets,
            middle if rules.scales_out else None,
            rules.rules,
            rules.protections,
            *zones,
            extremes,
            extreme_first,
            levels,
            chosen,
            begin,
            events,
            event_first,
            *_memory(markets),
            trades,
            ends,
        )
        yield trades, ends[begin:done]
        begin = done


def statistics(trades: Trades, wallet: float) -> Statistics:
    """Return the statistics of trades.

    :param wallet: balance before the first trade.

    >>> statistics(np.zeros(0, TRADE), 1000.0).trades
    0
    """
    return Statistics(*summarize(trades, wallet))


def _memory(markets: Markets) -> tuple[Records, Records]:
    """Return the working memory of a run, with the length of a candle set."""
    long = np.flatnonzero(np.diff(markets.first) > 1)
    wallet = np.zeros(1, WALLET)
    wallet["length"] = 1
    if long.size:
        row = markets.first[long[0]]
        wallet["length"] = np.diff(markets.times[row : row + 2])
    return np.zeros(len(markets.limits), POSITION), wallet
