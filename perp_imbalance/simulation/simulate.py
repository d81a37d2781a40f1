"""From markets, signals and rules to trades and their statistics."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perp_imbalance.errors import DataError
from perp_imbalance.simulation.kernel import NUMBERS, POSITION, TRADE, Terms, run, summarize
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
from perp_imbalance.simulation.zones import run_many

# Trades that are held at a time, unless one pair of thresholds may make more.
_ROOM = 65_536

# Numba's types do not count arguments that are unpacked.
_run: Callable[..., int] = run
_run_many: Callable[..., int] = run_many

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
    values = rules._asdict() | {"fee": fee, "fee_scale": scale}
    numbers = np.array([float(values[name]) for name in NUMBERS])
    return Terms(numbers, protection_rows(rules.protections), rules.scale_out > 0.0)


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
    events = np.flatnonzero(signals.flags)
    bits = signals.flags[events].astype(np.int64)
    trades = np.empty(int(np.count_nonzero(bits & (ENTER_LONG | ENTER_SHORT))), TRADE)
    count = _run(
        *markets,
        events,
        bits,
        events.searchsorted(markets.first),
        signals.middle if terms.scales_out else None,
        terms.numbers,
        terms.protections,
        *scratch(markets, trades.size),
        *columns_of(trades),
    )
    return trades[:count]


class Zones(NamedTuple):
    """What signals of any thresholds are made of, of the pairs of :class:`Markets` in their order.

    :ivar z: z-scores; a pair's last rows are those of its market, and before them may stand others.
    :ivar is_stale: 1 where so many candles without a premium end that a bias ends.
    :ivar gates: bits ``ENTER_LONG`` and ``ENTER_SHORT`` where a gate passes; a row a gate.
    :ivar first: of every pair and of the end, the first row of ``z``.
    :ivar only_flips: entry mode ``flip`` in place of ``zone``.
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
    """Yield the trades of many pairs of thresholds, some at a time: memory is bounded.

    :param levels: ``enter_z`` and ``exit_z``, a row each.
    :param chosen: the gates that must pass, a row each; -1 is none.
    :param middle: the middle of the bands, for ``scale_out``.
    :return: trades one after the other, and where those of each end. The next take their place.
    """
    extremes = np.flatnonzero(np.abs(zones.z) >= levels[:, 0].min())
    trades = np.empty(max(zones.z.size, _ROOM), TRADE)
    ends, begin = np.zeros(len(levels), np.int64), 0
    memory = (*np.empty((2, zones.z.size), np.int64), np.empty(zones.first.size, np.int64))
    while begin < len(levels):
        done = _run_many(
            *markets,
            middle if rules.scales_out else None,
            rules.numbers,
            rules.protections,
            zones.z,
            zones.is_stale,
            zones.gates,
            zones.first,
            extremes,
            extremes.searchsorted(zones.first),
            levels,
            chosen,
            zones.only_flips,
            begin,
            *memory,
            *scratch(markets, zones.z.size),
            *columns_of(trades),
            ends,
        )
        yield trades, ends[begin:done]
        begin = done


def statistics(trades: Trades, wallet: float) -> Statistics:
    """Return what trades earned.

    :param wallet: balance before the first trade.

    >>> statistics(np.zeros(0, TRADE), 1000.0).trades
    0
    """
    return Statistics(*summarize(*columns_of(trades), wallet))


def columns_of(trades: Trades) -> tuple[Ints, Floats]:
    """Return the memory of trades as whole numbers and as numbers with a point, a row each."""
    shape = (trades.size, TRADE.itemsize // 8)
    return trades.view(np.int64).reshape(shape), trades.view(np.float64).reshape(shape)


def scratch(markets: Markets, trades: int) -> tuple[int | Floats | Ints, ...]:
    """Return the length of a candle in ns and the memory that a run works in.

    :param trades: most trades of a run.
    """
    pairs = markets.first.size - 1
    lengths = [
        int(markets.times[row + 1] - markets.times[row])
        for row, end in zip(markets.first, markets.first[1:], strict=False)
        if end - row > 1
    ]
    return (
        lengths[-1] if lengths else 1,
        np.empty((pairs, POSITION)),
        *(np.empty(pairs, np.int64) for _ in range(5)),
        np.empty((pairs + 1, 2), np.int64),
        np.empty(trades, np.int64),
    )
