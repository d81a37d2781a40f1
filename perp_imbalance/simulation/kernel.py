"""The trades that freqtrade's backtest makes of candles and signals, compiled.

The rules are those of ``freqtrade/optimize/backtesting.py`` and ``persistence/trade_model.py``;
``tests/integration/test_simulation_parity.py`` compares every trade. :func:`run` visits the pairs
in freqtrade's order of time and pair, and only the candles on which something can happen.

All of it stands in one file, which numba keeps compiled beside it: it compiles anew when this file
changes, not when one does that is imported here.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from perp_imbalance.simulation.decimals import (
    round8,
    share_of_amount,
    steps_above,
    steps_below,
    steps_nearest,
    worth,
)
from perp_imbalance.simulation.markets import (
    ENTER_LONG,
    ENTER_SHORT,
    EXIT_LONG,
    EXIT_SHORT,
    Flags,
    Floats,
    Ints,
)

#: Why a trade ended; a trade's ``reason`` is a place in it.
REASONS = ("open", "exit_signal", "stop_on_close", "stop_loss", "liquidation", "force_exit")
_OPEN, _SIGNAL, _ON_CLOSE, _STOP, _LIQUIDATION, _FORCED = range(len(REASONS))

#: A trade. ``pair`` counts from 0; rows are those of its pair; ``scaled_row`` is -1 where no part
#: was closed before; ``amount`` and ``stake`` are what the last exit closed.
TRADE = np.dtype(
    [
        *((name, np.int64) for name in ("pair", "side", "reason")),
        *((name, np.int64) for name in ("entry_row", "exit_row", "scaled_row")),
        *((name, np.float64) for name in ("open_rate", "close_rate", "amount", "stake")),
        *((name, np.float64) for name in ("leverage", "funding", "profit_abs", "profit_ratio")),
    ]
)

_POSITION = np.dtype(
    [
        *((name, np.int64) for name in ("side", "entry_row", "filled_row", "scaled_row")),
        *((name, np.int64) for name in ("order_row", "order_reason")),
        # Prices in ticks of the entry's month, amounts in steps.
        *((name, np.float64) for name in ("tick", "entry", "amount", "order")),
        *((name, np.float64) for name in ("stop", "liquidation", "stake", "leverage")),
        *((name, np.float64) for name in ("spent", "realized", "funding", "funded_amount")),
        # A candle that reaches one of these ends the position.
        *((name, np.float64) for name in ("lower", "upper")),
    ]
)


class Terms(NamedTuple):
    """The rules of a run as the compiled code takes them: see ``Rules``."""

    fee: float
    fee_scale: float
    stoploss: float
    leverage: float
    wallet: float
    stake_amount: float
    tradable_balance_ratio: float
    max_open_trades: int
    scale_out: float
    stop_on_close: float
    max_entry_drift: float
    amount_reserve: float
    liquidation_buffer: float
    exit_timeout: float


_HOUR = 3_600_000_000_000
_OPEN_PRICE, _HIGH, _LOW, _CLOSE, _TICKS = range(5)

Records = NDArray[np.void]
_Function = TypeVar("_Function", bound=Callable[..., Any])


def _compiled(function: _Function) -> _Function:
    """Compile what compiled code alone calls: without wrappers and a cache of its own."""
    options: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    made: _Function = njit(error_model="numpy", **options)(function)
    return made


@_compiled
def _smallest_stake(amounts: Floats, p: int, price: float, stoploss: float, terms: Terms) -> float:
    """Return the smallest stake at leverage 1, with freqtrade's reserve for a stoploss."""
    margin = 1.0 + terms.amount_reserve
    reserve = max(min(margin / (1.0 - stoploss), 1.5), 1.0)
    smallest: float = max(amounts[p, 3] * reserve, amounts[p, 1] * price * margin)
    return smallest


@_compiled
def _stake(
    amounts: Floats,
    tiers: Floats,
    terms: Terms,
    p: int,
    price: float,
    tied: float,
    free: float,
) -> tuple[float, float]:
    """Return stake and leverage of an entry; stake 0 where freqtrade enters nothing.

    :param tied: stakes of the open positions.
    :param free: what the wallet holds beside them.
    """
    available = min((tied + free) * terms.tradable_balance_ratio - tied, free)
    stake = terms.stake_amount
    if stake == 0.0:
        stake = min((available + tied) / terms.max_open_trades, available)
    if available < stake or stake <= 0.0:
        return 0.0, 1.0
    most, before = tiers[p, 0, 3], 0.0
    for tier in range(tiers.shape[1]):
        if np.isinf(tiers[p, tier, 0]):
            break
        most = tiers[p, tier, 3]
        least = tiers[p, tier, 0] / (before if before > 0.0 else most)
        before = most
        if least <= stake <= tiers[p, tier, 1] / most or stake < least:
            break
    leverage = min(terms.leverage, most)
    greatest = amounts[p, 2] * price
    for tier in range(tiers.shape[1] - 1, -1, -1):
        if not np.isinf(tiers[p, tier, 0]) and leverage <= tiers[p, tier, 3]:
            greatest = min(greatest, tiers[p, tier, 1])
            break
    least = _smallest_stake(amounts, p, price, 0.05, terms) / leverage
    allowed = min(greatest / leverage, available)
    # A stake below the smallest one is raised by at most 30 %.
    if least > allowed or stake * 1.3 < least:
        return 0.0, leverage
    return min(max(stake, least), allowed), leverage


@_compiled
def _liquidation(
    amount: float, rate: float, side: int, stake: float, tiers: Floats, p: int
) -> float:
    """Return the price at which the exchange liquidates, by Binance's formula."""
    place = 0
    for tier in range(tiers.shape[1]):
        if stake >= tiers[p, tier, 0]:
            place = tier
    margin = stake + tiers[p, place, 4] - side * amount * rate
    bare: float = margin / (amount * tiers[p, place, 2] - side * amount)
    return bare


@_compiled
def _enter(
    prices: Floats,
    amounts: Floats,
    tiers: Floats,
    terms: Terms,
    positions: Records,
    opened: Ints,
    counts: Ints,
    closed: Floats,
    p: int,
    row: int,
    side: int,
) -> None:
    """Open a position at the candle's open, if the wallet and the limits allow one."""
    tied, realized = 0.0, 0.0
    for place in range(counts[0]):
        tied += positions[opened[place]].stake
        realized += positions[opened[place]].realized
    free = terms.wallet + (closed[0] + realized) - tied
    price, tick, per_unit = prices[_OPEN_PRICE, row], prices[_TICKS, row], amounts[p, 0]
    stake, leverage = _stake(amounts, tiers, terms, p, price, tied, free)
    amount = steps_below(stake / price * leverage, per_unit)
    drift = side * (price / prices[_CLOSE, row - 1] - 1.0)
    if amount <= 0.0 or not drift <= terms.max_entry_drift:
        return
    position = positions[p]
    position.side = side
    position.entry_row = row
    position.filled_row = row
    position.scaled_row = -1
    position.order_row = -1
    position.tick = tick
    position.amount = amount
    position.funded_amount = amount
    position.leverage = leverage
    position.entry = steps_nearest(price, tick)
    position.realized = 0.0
    position.funding = 0.0
    unit = per_unit * tick
    position.stake = worth(amount, position.entry, 1.0, unit) / leverage
    fee, scale = terms.fee, terms.fee_scale
    position.spent = worth(amount, position.entry, scale + side * fee, unit * scale)
    rate = position.entry / tick
    distance = abs(terms.stoploss / leverage)
    bare = _liquidation(amount / per_unit, rate, side, position.stake, tiers, p)
    bare = max(bare + side * abs(rate - bare) * terms.liquidation_buffer, 0.0)
    position.liquidation = steps_nearest(bare, tick) / tick
    if side > 0:
        position.stop = steps_above(rate * (1.0 - distance), tick) / tick
        position.lower = max(position.stop, position.liquidation)
        position.upper = np.inf
    else:
        position.stop = steps_below(rate * (1.0 + distance), tick) / tick
        nearest = position.liquidation if position.liquidation > 0.0 else np.inf
        position.lower = -np.inf
        position.upper = min(position.stop, nearest)
    opened[counts[0]] = p
    counts[0] += 1


@_compiled
def _book(
    times: Ints,
    amounts: Floats,
    funding: Floats,
    funded: Ints,
    terms: Terms,
    position: Any,
    p: int,
    row: int,
    amount: float,
    price: float,
) -> None:
    """Book profit and funding of an exit.

    freqtrade counts a settlement at the time of an order for the position before and after it,
    and looks at funding again when an hour begins: until then, with the amount of before.

    :param amount: steps that are closed.
    :param price: ticks at which they are.
    """
    side, size = position.side, position.funded_amount / amounts[p, 0]
    if times[row] // _HOUR > times[position.filled_row] // _HOUR:
        size = position.amount / amounts[p, 0]
    paid = 0.0
    for event in range(funded[position.filled_row, 0], funded[row, 1]):
        paid += funding[event] * size
    earned = 0.0 if np.isnan(paid) else -side * paid
    fee, scale = terms.fee, terms.fee_scale
    unit = amounts[p, 0] * position.tick * scale
    entered = worth(amount, position.entry, scale + side * fee, unit)
    left = worth(amount, price, scale - side * fee, unit) + side * earned
    position.realized += round8(side * (left - entered))
    position.funding += earned
    position.filled_row = row
    position.funded_amount = position.amount


@_compiled
def _close(
    times: Ints,
    amounts: Floats,
    funding: Floats,
    funded: Ints,
    first: Ints,
    terms: Terms,
    positions: Records,
    opened: Ints,
    counts: Ints,
    closed: Floats,
    trades: Records,
    p: int,
    row: int,
) -> None:
    """Close a position by its order and write its trade."""
    position = positions[p]
    price = position.order
    _book(times, amounts, funding, funded, terms, position, p, row, position.amount, price)
    trade = trades[counts[1]]
    trade.pair = p
    trade.side = position.side
    trade.reason = position.order_reason
    trade.entry_row = position.entry_row - first[p]
    trade.exit_row = row - first[p]
    trade.scaled_row = position.scaled_row - first[p] if position.scaled_row >= 0 else -1
    trade.open_rate = position.entry / position.tick
    trade.close_rate = price / position.tick
    trade.amount = position.amount / amounts[p, 0]
    trade.stake = position.stake
    trade.leverage = position.leverage
    trade.funding = position.funding
    trade.profit_abs = position.realized
    trade.profit_ratio = position.realized / position.spent * position.leverage
    counts[1] += 1
    closed[0] += position.realized
    position.side = 0
    kept = 0
    for place in range(counts[0]):
        if opened[place] != p:
            opened[kept] = opened[place]
            kept += 1
    counts[0] = kept


@_compiled
def _scale_out(
    times: Ints,
    prices: Floats,
    amounts: Floats,
    funding: Floats,
    funded: Ints,
    middle: Floats,
    terms: Terms,
    position: Any,
    p: int,
    row: int,
) -> None:
    """Close part of a position whose price came back to the middle of its bands.

    The strategy's rule (``indicators.signals.reached_middle``, ``order_rules.stake_to_close``) and
    freqtrade's for partial exits.
    """
    side = position.side
    # freqtrade shows a strategy the last 1000 candles.
    begin = max(position.entry_row - 1, row - 1000)
    for before in range(row - 2, begin - 1, -1):
        if (prices[_CLOSE, before] - middle[before]) * -side > 0.0:
            break
    else:
        return
    price, per_unit = prices[_OPEN_PRICE, row], amounts[p, 0]
    least = _smallest_stake(amounts, p, price, 0.1, terms)
    part = position.stake * terms.scale_out
    if least > 0.0 and min(part, position.stake - part) < least:
        return
    amount = share_of_amount(part, position.stake, position.amount, per_unit)
    rest = (position.amount - amount) / per_unit * price
    ticks = steps_nearest(price, position.tick)
    fills = prices[_LOW, row] <= ticks / position.tick <= prices[_HIGH, row]
    if amount <= 0.0 or rest < least or not fills:
        return
    _book(times, amounts, funding, funded, terms, position, p, row, amount, ticks)
    position.amount -= amount
    left = worth(position.amount, position.entry, 1.0, per_unit * position.tick)
    position.stake = left / position.leverage
    position.scaled_row = row


@_compiled
def _order(prices: Floats, flags: int, terms: Terms, position: Any, row: int) -> None:
    """Order the exit of a position, if something ends it on this candle.

    The exit signal comes before the stoploss, even where the candle goes through it.

    :param flags: the signals of the candle before.
    """
    side = position.side
    enters, leaves = (ENTER_LONG, EXIT_LONG) if side > 0 else (ENTER_SHORT, EXIT_SHORT)
    rate, high, low = prices[_OPEN_PRICE, row], prices[_HIGH, row], prices[_LOW, row]
    reason = _OPEN
    if flags & leaves and not flags & enters:
        reason = _SIGNAL
    elif terms.stop_on_close > 0.0 and row > position.entry_row:
        entered = position.entry / position.tick
        if side * (prices[_CLOSE, row - 1] / entered - 1.0) <= -terms.stop_on_close:
            reason = _ON_CLOSE
    if reason == _OPEN and (low <= position.lower or high >= position.upper):
        stopped = position.stop >= low if side > 0 else position.stop <= high
        reason = _STOP if stopped else _LIQUIDATION
        level = position.stop if stopped else position.liquidation
        # A candle that lies wholly beyond the level is left at its open.
        if low <= level <= high:
            rate = level
    if reason != _OPEN:
        position.order = steps_nearest(rate, position.tick)
        position.order_row = row
        position.order_reason = reason


@_compiled
def _direction(flags: int) -> int:
    """Return the side that a candle's signals enter, 0: none."""
    if flags & ENTER_LONG and not flags & (EXIT_LONG | ENTER_SHORT):
        return 1
    if flags & ENTER_SHORT and not flags & (EXIT_SHORT | ENTER_LONG):
        return -1
    return 0


@_compiled
def _is_back(prices: Floats, flags: Flags, middle: Floats, position: Any, row: int) -> bool:
    """Tell whether an unscaled position's price stands at the middle of its bands, or beyond."""
    leaves = EXIT_LONG if position.side > 0 else EXIT_SHORT
    if position.scaled_row >= 0 or position.order_row >= 0 or flags[row - 1] & leaves:
        return False
    is_back: bool = (prices[_CLOSE, row - 1] - middle[row - 1]) * position.side >= 0.0
    return is_back


@_compiled
def _next_close(
    prices: Floats, flags: Flags, middle: Floats, terms: Terms, position: Any, row: int, end: int
) -> int:
    """Do what :func:`_next` does for a position that closed candles may end or reduce."""
    side, lower, upper = position.side, position.lower, position.upper
    leaves = EXIT_LONG if side > 0 else EXIT_SHORT
    entered, against = position.entry / position.tick, -terms.stop_on_close
    scales = terms.scale_out > 0.0
    while row < end:
        if flags[row - 1] & leaves or prices[_LOW, row] <= lower or prices[_HIGH, row] >= upper:
            break
        if against < 0.0 and side * (prices[_CLOSE, row - 1] / entered - 1.0) <= against:
            break
        if scales and _is_back(prices, flags, middle, position, row):
            break
        row += 1
    return row


@_compiled
def _next(
    prices: Floats, flags: Flags, middle: Floats, terms: Terms, position: Any, row: int, end: int
) -> int:
    """Return the first row from here on, at most ``end``, on which something may happen."""
    side = position.side
    if side == 0:
        while row < end and not flags[row - 1] & (ENTER_LONG | ENTER_SHORT):
            row += 1
        return row
    if position.order_row >= 0:
        return row
    if terms.stop_on_close > 0.0 or (terms.scale_out > 0.0 and position.scaled_row < 0):
        return _next_close(prices, flags, middle, terms, position, row, end)
    if side > 0:
        lower = position.lower
        while row < end and not flags[row - 1] & EXIT_LONG and prices[_LOW, row] > lower:
            row += 1
    else:
        upper = position.upper
        while row < end and not flags[row - 1] & EXIT_SHORT and prices[_HIGH, row] < upper:
            row += 1
    return row


@njit(cache=True, error_model="numpy")
def run(  # noqa: C901
    times: Ints,
    prices: Floats,
    funding: Floats,
    funded: Ints,
    first: Ints,
    amounts: Floats,
    tiers: Floats,
    flags: Flags,
    middle: Floats,
    terms: Terms,
    trades: Records,
) -> int:
    """Write the trades in the order in which they close; return how many there are.

    The arrays are those of ``Markets`` and ``Signals``.

    :param trades: room for as many as there are entry signals.
    """
    pairs = first.size - 1
    positions = np.zeros(pairs, _POSITION)
    # Pairs with a position in the order of entry; how many they are, and the trades; their profit.
    opened, counts, closed = np.empty(pairs, np.int64), np.zeros(2, np.int64), np.zeros(1)
    start, stop, candle = times[0], times[0], 1
    for p in range(pairs):
        start = min(start, times[first[p]])
        stop = max(stop, times[first[p + 1] - 1])
        if first[p + 1] - first[p] > 1:
            candle = times[first[p] + 1] - times[first[p]]
    # The row that each pair would have at the start.
    shift = np.empty(pairs, np.int64)
    for p in range(pairs):
        shift[p] = first[p] - (times[first[p]] - start) // candle
    steps = (stop - start) // candle
    # Each pair sleeps until the row on which something may happen to it.
    wake, visited = np.empty(pairs, np.int64), np.empty(2 * pairs, np.int64)
    for p in range(pairs):
        end = first[p + 1]
        wake[p] = _next(prices, flags, middle, terms, positions[p], first[p] + 1, end)
    while True:
        step = steps + 1
        for p in range(pairs):
            if wake[p] < first[p + 1]:
                step = min(step, wake[p] - shift[p])
        if step > steps:
            break
        # freqtrade's order: first the pairs with a position, as they were entered.
        visits = counts[0]
        for place in range(visits):
            visited[place] = opened[place]
        for p in range(pairs):
            if positions[p].side == 0:
                visited[visits] = p
                visits += 1
        for place in range(visits):
            p = visited[place]
            row = step + shift[p]
            if wake[p] != row or row >= first[p + 1]:
                continue
            signal, position = flags[row - 1], positions[p]
            direction = _direction(signal)
            for _ in range(2):
                was = position.side
                if was == 0:
                    has_slot = terms.max_open_trades <= 0 or counts[0] < terms.max_open_trades
                    if direction != 0 and step < steps and has_slot:
                        _enter(
                            prices,
                            amounts,
                            tiers,
                            terms,
                            positions,
                            opened,
                            counts,
                            closed,
                            p,
                            row,
                            direction,
                        )
                    if position.side == 0:
                        break
                elif position.order_row >= 0:
                    waited = (times[row] - times[position.order_row]) / 1e9
                    if waited >= terms.exit_timeout:
                        position.order_row = -1
                if terms.scale_out > 0.0 and _is_back(prices, flags, middle, position, row):
                    _scale_out(
                        times, prices, amounts, funding, funded, middle, terms, position, p, row
                    )
                _order(prices, signal, terms, position, row)
                if position.order_row < 0:
                    break
                # A tick of the entry's month can be coarser than this candle is wide.
                price = position.order / position.tick
                if not prices[_LOW, row] <= price <= prices[_HIGH, row]:
                    break
                _close(
                    times,
                    amounts,
                    funding,
                    funded,
                    first,
                    terms,
                    positions,
                    opened,
                    counts,
                    closed,
                    trades,
                    p,
                    row,
                )
                # Where the other side is signalled, it is entered on the same candle.
                if direction == 0 or was == 0 or was == direction:
                    break
            wake[p] = _next(prices, flags, middle, terms, position, row + 1, first[p + 1])
    while counts[0] > 0:
        p = opened[0]
        position, row = positions[p], first[p + 1] - 1
        position.order = steps_nearest(prices[_OPEN_PRICE, row], position.tick)
        position.order_reason = _FORCED
        _close(
            times,
            amounts,
            funding,
            funded,
            first,
            terms,
            positions,
            opened,
            counts,
            closed,
            trades,
            p,
            row,
        )
    return int(counts[1])


@njit(cache=True, error_model="numpy")
def summarize(trades: Records, wallet: float) -> tuple[int, int, float, float, float, float, float]:
    """Return the values of ``Statistics``."""
    count, wins = trades.size, 0
    profit = ratios = gained = lost = spread = drawdown = 0.0
    balance = top = wallet
    for trade in trades:
        ratios += trade.profit_ratio
        balance += trade.profit_abs
        profit += trade.profit_abs
        top = max(top, balance)
        drawdown = max(drawdown, (top - balance) / top)
        if trade.profit_abs > 0.0:
            wins += 1
            gained += trade.profit_abs
        else:
            lost -= trade.profit_abs
    mean = ratios / count if count else 0.0
    for trade in trades:
        spread += (trade.profit_ratio - mean) ** 2
    t = mean / np.sqrt(spread / (count - 1) / count) if spread > 0.0 else 0.0
    factor = gained / lost if lost > 0.0 else np.inf if gained > 0.0 else 0.0
    return count, wins, profit, mean, t, factor, drawdown
