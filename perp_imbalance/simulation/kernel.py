"""The trades that freqtrade's backtest makes of candles and signals, compiled.

The rules are those of ``freqtrade/optimize/backtesting.py``, ``persistence/trade_model.py`` and
``plugins/protections``; ``tests/integration/test_simulation_parity.py`` compares every trade.
:func:`run` visits the pairs in freqtrade's order of time and pair, and only the candles on which
something can happen.

Numba compiles what a first call needs in a second or two, and keeps it beside this file. Most of
that second goes into finding types, so what stands here is plain: arrays of numbers with named
columns, few functions, no ``min`` and ``max``. It compiles anew when this file changes, not when
one does that is imported here.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from perp_imbalance.simulation.decimals import (
    compiled,
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
# Its columns, all of 8 bytes.
_T_PAIR, _T_SIDE, _T_REASON, _T_ENTRY, _T_EXIT, _T_SCALED = range(6)
_T_OPEN_RATE, _T_CLOSE_RATE, _T_AMOUNT, _T_STAKE = range(6, 10)
_T_LEVERAGE, _T_FUNDING, _T_PROFIT, _T_RATIO = range(10, 14)

# The columns of a position. Prices are in ticks of the entry's month, amounts in steps; a candle
# that reaches ``_LOWER`` or ``_UPPER`` ends it.
_SIDE, _ENTRY_ROW, _FILLED_ROW, _SCALED_ROW, _ORDER_ROW, _REASON = range(6)
_TICK, _ENTRY, _AMOUNT, _ORDER, _STOP_RATE, _LIQUIDATED, _STAKE, _LEVERAGE = range(6, 14)
_SPENT, _REALIZED, _FUNDING, _FUNDED_AMOUNT, _LOWER, _UPPER = range(14, 20)
#: How many they are.
POSITION = 20


class Terms(NamedTuple):
    """The rules of a run as the compiled code takes them: see ``Rules``.

    :ivar numbers: in the order of :data:`NUMBERS`.
    :ivar protections: a row each, in the order of :data:`PROTECTION`.
    :ivar scales_out: whether the middle of the bands matters.
    """

    numbers: Floats
    protections: Floats
    scales_out: bool


#: What ``Terms.numbers`` holds.
NUMBERS = (
    *("fee", "fee_scale", "stoploss", "leverage", "wallet", "stake_amount"),
    *("tradable_balance_ratio", "max_open_trades", "scale_out", "stop_on_close"),
    *("max_entry_drift", "amount_reserve", "liquidation_buffer", "exit_timeout"),
)
_FEE, _FEE_SCALE, _STOPLOSS, _MOST_LEVERAGE, _WALLET, _STAKE_AMOUNT = range(6)
_BALANCE_RATIO, _SLOTS, _SCALE_OUT, _STOP_ON_CLOSE = range(6, 10)
_MAX_DRIFT, _RESERVE, _BUFFER, _TIMEOUT = range(10, 14)

#: What a row of ``Terms.protections`` holds. Times are in minutes and in candles, of which one is
#: 0; ``unlock`` is a minute of the day, or -1.
PROTECTION = (
    *("method", "lookback", "lookback_candles", "stop", "stop_candles", "unlock"),
    *("trade_limit", "limit", "per_pair", "per_side", "of_equity"),
)
_METHOD, _LOOKBACK, _LOOKBACK_CANDLES, _STOP_TIME, _STOP_CANDLES, _UNLOCK = range(6)
_TRADE_LIMIT, _LIMIT, _PER_PAIR, _PER_SIDE, _OF_EQUITY = range(6, 11)
#: The protections that are simulated; a row's ``method`` is a place in it.
METHODS = ("StoplossGuard", "MaxDrawdown", "CooldownPeriod")
_GUARD, _DRAWDOWN, _COOLDOWN = range(len(METHODS))

_MINUTE, _HOUR, _DAY = 60_000_000_000, 3_600_000_000_000, 86_400_000_000_000
_OPEN_PRICE, _HIGH, _LOW, _CLOSE, _TICKS = range(5)
_ENTERS = ENTER_LONG | ENTER_SHORT
_ENDLESS = np.inf


@compiled
def _smallest_stake(amounts: Floats, p: int, price: float, stoploss: float, terms: Floats) -> float:
    """Return the smallest stake at leverage 1, with freqtrade's reserve for a stoploss."""
    margin = 1.0 + terms[_RESERVE]
    reserve = margin / (1.0 - stoploss)
    reserve = 1.0 if reserve < 1.0 else reserve if reserve < 1.5 else 1.5
    of_cost, of_amount = amounts[p, 3] * reserve, amounts[p, 1] * price * margin
    least: float = of_cost if of_cost > of_amount else of_amount
    return least


@compiled
def _stake(
    amounts: Floats,
    tiers: Floats,
    terms: Floats,
    p: int,
    price: float,
    tied: float,
    free: float,
) -> tuple[float, float]:
    """Return stake and leverage of an entry; stake 0 where freqtrade enters nothing.

    :param tied: stakes of the open positions.
    :param free: what the wallet holds beside them.
    """
    available = (tied + free) * terms[_BALANCE_RATIO] - tied
    available = available if available < free else free
    stake = terms[_STAKE_AMOUNT]
    if stake == 0.0:
        stake = (available + tied) / terms[_SLOTS]
        stake = stake if stake < available else available
    if available < stake or stake <= 0.0:
        return 0.0, 1.0
    most, before = tiers[p, 0, 3], 0.0
    for tier in range(tiers.shape[1]):
        if tiers[p, tier, 0] == _ENDLESS:
            break
        most = tiers[p, tier, 3]
        least = tiers[p, tier, 0] / (before if before > 0.0 else most)
        before = most
        if least <= stake <= tiers[p, tier, 1] / most or stake < least:
            break
    leverage = terms[_MOST_LEVERAGE] if terms[_MOST_LEVERAGE] < most else most
    allowed = amounts[p, 2] * price
    for tier in range(tiers.shape[1] - 1, -1, -1):
        if tiers[p, tier, 0] != _ENDLESS and leverage <= tiers[p, tier, 3]:
            allowed = tiers[p, tier, 1] if tiers[p, tier, 1] < allowed else allowed
            break
    least = _smallest_stake(amounts, p, price, 0.05, terms) / leverage
    allowed = allowed / leverage
    allowed = allowed if allowed < available else available
    # A stake below the smallest one is raised by at most 30 %.
    if least > allowed or stake * 1.3 < least:
        return 0.0, leverage
    stake = stake if stake > least else least
    return (stake if stake < allowed else allowed), leverage


@compiled
def _enter(
    prices: Floats,
    amounts: Floats,
    tiers: Floats,
    terms: Floats,
    positions: Floats,
    p: int,
    row: int,
    side: float,
    tied: float,
    free: float,
) -> bool:
    """Open a position at the candle's open, if the wallet and the limits allow one."""
    price, tick, per_unit = prices[_OPEN_PRICE, row], prices[_TICKS, row], amounts[p, 0]
    stake, leverage = _stake(amounts, tiers, terms, p, price, tied, free)
    amount = steps_below(stake / price * leverage, per_unit)
    drift = side * (price / prices[_CLOSE, row - 1] - 1.0)
    if amount <= 0.0 or not drift <= terms[_MAX_DRIFT]:
        return False
    entry = steps_nearest(price, tick)
    rate, unit, scale = entry / tick, per_unit * tick, terms[_FEE_SCALE]
    stake = worth(amount, entry, 1.0, unit) / leverage
    # The exchange liquidates by Binance's formula.
    place = 0
    for tier in range(tiers.shape[1]):
        if stake >= tiers[p, tier, 0]:
            place = tier
    size = amount / per_unit
    bare = stake + tiers[p, place, 4] - side * size * rate
    bare = bare / (size * tiers[p, place, 2] - side * size)
    away = rate - bare if rate > bare else bare - rate
    bare += side * away * terms[_BUFFER]
    # Where the tiers are not known, neither is a price.
    liquidated = steps_nearest(bare, tick) / tick if bare > 0.0 else 0.0
    distance = side * terms[_STOPLOSS] / leverage
    stop = rate * (1.0 + distance)
    stop = (steps_above(stop, tick) if side > 0.0 else steps_below(stop, tick)) / tick
    positions[p, _SIDE] = side
    positions[p, _ENTRY_ROW] = row
    positions[p, _FILLED_ROW] = row
    positions[p, _SCALED_ROW] = -1.0
    positions[p, _ORDER_ROW] = -1.0
    positions[p, _TICK] = tick
    positions[p, _ENTRY] = entry
    positions[p, _AMOUNT] = amount
    positions[p, _FUNDED_AMOUNT] = amount
    positions[p, _STAKE] = stake
    positions[p, _LEVERAGE] = leverage
    positions[p, _SPENT] = worth(amount, entry, scale + side * terms[_FEE], unit * scale)
    positions[p, _REALIZED] = 0.0
    positions[p, _FUNDING] = 0.0
    positions[p, _STOP_RATE] = stop
    positions[p, _LIQUIDATED] = liquidated
    nearest = stop
    if liquidated > 0.0 and side * (liquidated - stop) > 0.0:
        nearest = liquidated
    positions[p, _LOWER] = nearest if side > 0.0 else -_ENDLESS
    positions[p, _UPPER] = _ENDLESS if side > 0.0 else nearest
    return True


@compiled
def _book(
    times: Ints,
    amounts: Floats,
    funding: Floats,
    funded: Ints,
    terms: Floats,
    positions: Floats,
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
    side, filled = positions[p, _SIDE], int(positions[p, _FILLED_ROW])
    size = positions[p, _FUNDED_AMOUNT] / amounts[p, 0]
    if times[row] // _HOUR > times[filled] // _HOUR:
        size = positions[p, _AMOUNT] / amounts[p, 0]
    paid = 0.0
    for event in range(funded[filled, 0], funded[row, 1]):
        paid += funding[event] * size
    # What is not a number is no fee.
    earned = -side * paid if paid == paid else 0.0
    fee, scale = terms[_FEE], terms[_FEE_SCALE]
    unit = amounts[p, 0] * positions[p, _TICK] * scale
    entered = worth(amount, positions[p, _ENTRY], scale + side * fee, unit)
    left = worth(amount, price, scale - side * fee, unit) + side * earned
    positions[p, _REALIZED] += round8(side * (left - entered))
    positions[p, _FUNDING] += earned
    positions[p, _FILLED_ROW] = row
    positions[p, _FUNDED_AMOUNT] = positions[p, _AMOUNT]


@compiled
def _scale_out(
    times: Ints,
    prices: Floats,
    amounts: Floats,
    funding: Floats,
    funded: Ints,
    middle: Floats,
    terms: Floats,
    positions: Floats,
    p: int,
    row: int,
) -> None:
    """Close part of a position whose price came back to the middle of its bands.

    The strategy's rule (``indicators.signals.reached_middle``, ``order_rules.stake_to_close``) and
    freqtrade's for partial exits.
    """
    side, stake = positions[p, _SIDE], positions[p, _STAKE]
    # freqtrade shows a strategy the last 1000 candles.
    begin = int(positions[p, _ENTRY_ROW]) - 1
    begin = begin if begin > row - 1000 else row - 1000
    for before in range(row - 2, begin - 1, -1):
        if (prices[_CLOSE, before] - middle[before]) * -side > 0.0:
            break
    else:
        return
    price, per_unit, tick = prices[_OPEN_PRICE, row], amounts[p, 0], positions[p, _TICK]
    least = _smallest_stake(amounts, p, price, 0.1, terms)
    part = stake * terms[_SCALE_OUT]
    if least > 0.0 and (part < least or stake - part < least):
        return
    amount = share_of_amount(part, stake, positions[p, _AMOUNT], per_unit)
    rest = (positions[p, _AMOUNT] - amount) / per_unit * price
    ticks = steps_nearest(price, tick)
    fills = prices[_LOW, row] <= ticks / tick <= prices[_HIGH, row]
    if amount <= 0.0 or rest < least or not fills:
        return
    _book(times, amounts, funding, funded, terms, positions, p, row, amount, ticks)
    positions[p, _AMOUNT] -= amount
    left = worth(positions[p, _AMOUNT], positions[p, _ENTRY], 1.0, per_unit * tick)
    positions[p, _STAKE] = left / positions[p, _LEVERAGE]
    positions[p, _SCALED_ROW] = row


@compiled
def _lock(  # noqa: C901
    protections: Floats,
    candle: int,
    wallet: float,
    closed: float,
    ends: Ints,
    whole: Ints,
    parts: Floats,
    count: int,
    locks: Ints,
) -> None:
    """Lock what the protections lock after the last of the trades.

    Those that freqtrade looks at after part of a position was closed lock nothing anew: the trades
    behind it were all there when the last of them closed.

    :param wallet: what freqtrade takes for the balance at the start.
    :param closed: profit of all trades.
    :param ends: when each trade ended.
    :param locks: until when entries are locked, by pair and side, all pairs last; is changed.
    """
    last, everywhere = count - 1, locks.shape[0] - 1
    now, pair, side = ends[last], whole[last, _T_PAIR], whole[last, _T_SIDE]
    for number in range(protections.shape[0]):
        method = int(protections[number, _METHOD])
        since = (
            now
            - int(protections[number, _LOOKBACK]) * _MINUTE
            - int(protections[number, _LOOKBACK_CANDLES]) * candle
        )
        for scope in range(2):
            # Of one pair, then of all.
            if (scope == 0 and method == _DRAWDOWN) or (
                scope == 1 and (method == _COOLDOWN or protections[number, _PER_PAIR] > 0.0)
            ):
                continue
            begin, found, newest = count, 0, 0
            while begin > 0 and ends[begin - 1] > since:
                begin -= 1
                counts = scope == 1 or whole[begin, _T_PAIR] == pair
                if method == _GUARD and counts:
                    reason, ratio = whole[begin, _T_REASON], parts[begin, _T_RATIO]
                    counts = ratio != 0.0 and ratio < protections[number, _LIMIT]
                    if reason < _STOP or reason > _LIQUIDATION:
                        counts = False
                    if protections[number, _PER_SIDE] > 0.0 and whole[begin, _T_SIDE] != side:
                        counts = False
                if counts:
                    newest = newest if found > 0 else ends[begin]
                    found += 1
            if found == 0 or found < protections[number, _TRADE_LIMIT]:
                continue
            if method == _DRAWDOWN:
                balance, column = wallet + closed, _T_PROFIT
                for place in range(begin, count):
                    balance -= parts[place, _T_PROFIT]
                if protections[number, _OF_EQUITY] == 0.0:
                    balance, column = 0.0, _T_RATIO
                top, most = balance, 0.0
                for place in range(begin, count):
                    balance += parts[place, column]
                    top = top if top > balance else balance
                    fall = (top - balance) / (top if protections[number, _OF_EQUITY] > 0.0 else 1.0)
                    most = most if most > fall else fall
                if not most > protections[number, _LIMIT]:
                    continue
            until = (
                newest
                + int(protections[number, _STOP_TIME]) * _MINUTE
                + int(protections[number, _STOP_CANDLES]) * candle
            )
            if protections[number, _UNLOCK] >= 0.0:
                until = newest // _DAY * _DAY + int(protections[number, _UNLOCK]) * _MINUTE
                until = until if until >= newest else until + _DAY
            # freqtrade locks to the end of the candle.
            until = until // candle * candle + candle
            place = everywhere if scope == 1 else pair
            for other in range(2):
                is_meant = protections[number, _PER_SIDE] == 0.0 or other == (0 if side > 0 else 1)
                if is_meant and locks[place, other] < until:
                    locks[place, other] = until


@njit(cache=True, error_model="numpy")
def run(  # noqa: C901
    times: Ints,
    prices: Floats,
    funding: Floats,
    funded: Ints,
    first: Ints,
    amounts: Floats,
    tiers: Floats,
    event_rows: Ints,
    event_bits: Ints,
    event_first: Ints,
    middle: Floats | None,
    terms: Floats,
    protections: Floats,
    candle: int,
    positions: Floats,
    opened: Ints,
    visited: Ints,
    wake: Ints,
    events: Ints,
    shift: Ints,
    locks: Ints,
    ends: Ints,
    whole: Ints,
    parts: Floats,
) -> int:
    """Write the trades in the order in which they close; return how many there are.

    The first seven arrays are those of ``Markets``.

    :param event_rows: the candles that have signals, of each pair in order.
    :param event_bits: the signals of each.
    :param event_first: of every pair and of the end, the first event.
    :param middle: the middle of the bands; None, which is another function, without ``scale_out``.
    :param candle: its length in ns.
    :param positions: of :func:`~perp_imbalance.simulation.simulate.scratch`, with all up to
        ``ends``: memory to work in. ``opened``: pairs with a position in the order of entry;
        ``visited``: pairs in the order in which they are; ``wake``: each pair sleeps until the
        row on which something may happen to it; ``events``: its next event; ``shift``: the row
        that it would have at the start; ``locks``, ``ends``: as for :func:`_lock`.
    :param whole: room for as many trades as there are entry signals; a ``TRADE`` is a row.
    :param parts: the same memory as numbers with a point.
    """
    pairs, count, held, closed, steps = first.size - 1, 0, 0, 0.0, 0
    start = times[0]
    for p in range(pairs):
        start = start if start < times[first[p]] else times[first[p]]
    for p in range(pairs):
        positions[p, _SIDE] = 0.0
        shift[p] = first[p] - (times[first[p]] - start) // candle
        wake[p], events[p] = first[p] + 1, event_first[p]
        steps = steps if steps > first[p + 1] - 1 - shift[p] else first[p + 1] - 1 - shift[p]
    for p in range(pairs + 1):
        locks[p, 0], locks[p, 1] = 0, 0
    slots, on_close = terms[_SLOTS], terms[_STOP_ON_CLOSE]
    while True:
        step = steps + 1
        for p in range(pairs):
            if wake[p] < first[p + 1] and wake[p] - shift[p] < step:
                step = wake[p] - shift[p]
        is_over = step > steps
        # freqtrade's order: first the pairs with a position, as they were entered.
        visits = held
        for place in range(held):
            visited[place] = opened[place]
        for p in range(pairs):
            if positions[p, _SIDE] == 0.0 and not is_over:
                visited[visits] = p
                visits += 1
        if visits == 0:
            break
        for place in range(visits):
            p = visited[place]
            end, row = first[p + 1], step + shift[p]
            if is_over:
                row = end - 1
            elif wake[p] != row or row >= end:
                continue
            last, event, signal = event_first[p + 1], events[p], 0
            while event < last and event_rows[event] < row - 1:
                event += 1
            events[p] = event
            if event < last and event_rows[event] == row - 1:
                signal = event_bits[event]
            direction = 0.0
            if signal & _ENTERS == ENTER_LONG and not signal & EXIT_LONG:
                direction = 1.0
            elif signal & _ENTERS == ENTER_SHORT and not signal & EXIT_SHORT:
                direction = -1.0
            for _ in range(2):
                was = positions[p, _SIDE]
                if is_over:
                    positions[p, _ORDER] = steps_nearest(
                        prices[_OPEN_PRICE, row], positions[p, _TICK]
                    )
                    positions[p, _REASON] = _FORCED
                else:
                    if was == 0.0:
                        if direction == 0.0 or step == steps or not (slots <= 0.0 or held < slots):
                            break
                        other = 0 if direction > 0.0 else 1
                        if locks[p, other] > times[row] or locks[pairs, other] > times[row]:
                            break
                        tied, free = 0.0, terms[_WALLET] + closed
                        for number in range(held):
                            tied += positions[opened[number], _STAKE]
                            free += positions[opened[number], _REALIZED]
                        if not _enter(
                            prices,
                            amounts,
                            tiers,
                            terms,
                            positions,
                            p,
                            row,
                            direction,
                            tied,
                            free - tied,
                        ):
                            break
                        opened[held] = p
                        held += 1
                    elif positions[p, _ORDER_ROW] >= 0.0:
                        waited = times[row] - times[int(positions[p, _ORDER_ROW])]
                        if waited / 1e9 >= terms[_TIMEOUT]:
                            positions[p, _ORDER_ROW] = -1.0
                    side, tick = positions[p, _SIDE], positions[p, _TICK]
                    enters, leaves = ENTER_LONG, EXIT_LONG
                    if side < 0.0:
                        enters, leaves = ENTER_SHORT, EXIT_SHORT
                    if middle is not None and (
                        positions[p, _SCALED_ROW] < 0.0
                        and positions[p, _ORDER_ROW] < 0.0
                        and not signal & leaves
                        and (prices[_CLOSE, row - 1] - middle[row - 1]) * side >= 0.0
                    ):
                        _scale_out(
                            times,
                            prices,
                            amounts,
                            funding,
                            funded,
                            middle,
                            terms,
                            positions,
                            p,
                            row,
                        )
                    # The exit signal comes before the stoploss, even where the candle goes
                    # through it.
                    high, low, rate = prices[_HIGH, row], prices[_LOW, row], 0.0
                    reason = _OPEN
                    if signal & leaves and not signal & enters:
                        reason = _SIGNAL
                    elif on_close > 0.0 and row > positions[p, _ENTRY_ROW]:
                        entered = positions[p, _ENTRY] / tick
                        if side * (prices[_CLOSE, row - 1] / entered - 1.0) <= -on_close:
                            reason = _ON_CLOSE
                    if reason == _OPEN and (
                        low <= positions[p, _LOWER] or high >= positions[p, _UPPER]
                    ):
                        reason, rate = _STOP, positions[p, _STOP_RATE]
                        if (rate < low) if side > 0.0 else (rate > high):
                            reason, rate = _LIQUIDATION, positions[p, _LIQUIDATED]
                    if reason != _OPEN:
                        # A candle that lies wholly beyond the level is left at its open.
                        if not low <= rate <= high:
                            rate = prices[_OPEN_PRICE, row]
                        order = steps_nearest(rate, tick)
                        # freqtrade keeps an open order that is the same.
                        if positions[p, _ORDER_ROW] < 0.0 or positions[p, _ORDER] != order:
                            positions[p, _ORDER_ROW] = row
                        positions[p, _ORDER] = order
                        positions[p, _REASON] = reason
                    # A tick of the entry's month can be coarser than this candle is wide.
                    if positions[p, _ORDER_ROW] < 0.0 or not (
                        low <= positions[p, _ORDER] / tick <= high
                    ):
                        break
                price, amount = positions[p, _ORDER], positions[p, _AMOUNT]
                _book(times, amounts, funding, funded, terms, positions, p, row, amount, price)
                profit, scaled = positions[p, _REALIZED], int(positions[p, _SCALED_ROW])
                whole[count, _T_PAIR] = p
                whole[count, _T_SIDE] = int(positions[p, _SIDE])
                whole[count, _T_REASON] = int(positions[p, _REASON])
                whole[count, _T_ENTRY] = int(positions[p, _ENTRY_ROW]) - first[p]
                whole[count, _T_EXIT] = row - first[p]
                whole[count, _T_SCALED] = scaled - first[p] if scaled >= 0 else -1
                parts[count, _T_OPEN_RATE] = positions[p, _ENTRY] / positions[p, _TICK]
                parts[count, _T_CLOSE_RATE] = price / positions[p, _TICK]
                parts[count, _T_AMOUNT] = amount / amounts[p, 0]
                parts[count, _T_STAKE] = positions[p, _STAKE]
                parts[count, _T_LEVERAGE] = positions[p, _LEVERAGE]
                parts[count, _T_FUNDING] = positions[p, _FUNDING]
                parts[count, _T_PROFIT] = profit
                parts[count, _T_RATIO] = profit / positions[p, _SPENT] * positions[p, _LEVERAGE]
                ends[count] = times[row]
                count += 1
                closed += profit
                positions[p, _SIDE] = 0.0
                kept = 0
                for number in range(held):
                    if opened[number] != p:
                        opened[kept] = opened[number]
                        kept += 1
                held = kept
                if protections.shape[0] > 0:
                    wallet = terms[_WALLET] * terms[_BALANCE_RATIO]
                    _lock(protections, candle, wallet, closed, ends, whole, parts, count, locks)
                # Where the other side is signalled, it is entered on the same candle.
                if is_over or direction == 0.0 or was == 0.0 or was == direction:
                    break
            # The next row on which something may happen.
            side, row = positions[p, _SIDE], row + 1
            wanted = _ENTERS
            if side != 0.0:
                wanted = EXIT_LONG if side > 0.0 else EXIT_SHORT
            while event < last and (event_rows[event] < row - 1 or not event_bits[event] & wanted):
                event += 1
            limit = end
            if event < last and event_rows[event] + 1 < end:
                limit = event_rows[event] + 1
            if side == 0.0:
                row = limit
            elif positions[p, _ORDER_ROW] < 0.0:
                lower, upper = positions[p, _LOWER], positions[p, _UPPER]
                against = -_ENDLESS
                if on_close > 0.0:
                    against = -on_close
                entered = positions[p, _ENTRY] / positions[p, _TICK]
                is_whole = positions[p, _SCALED_ROW] < 0.0
                while row < limit and prices[_LOW, row] > lower and prices[_HIGH, row] < upper:
                    close = prices[_CLOSE, row - 1]
                    if on_close > 0.0 and side * (close / entered - 1.0) <= against:
                        break
                    if middle is not None and is_whole and (close - middle[row - 1]) * side >= 0.0:
                        break
                    row += 1
            wake[p] = row
    return count


@njit(cache=True, error_model="numpy")
def summarize(
    whole: Ints, parts: Floats, wallet: float
) -> tuple[int, int, float, float, float, float, float]:
    """Return the values of ``Statistics``."""
    count, wins = whole.shape[0], 0
    profit = ratios = gained = lost = spread = drawdown = 0.0
    balance = top = wallet
    for place in range(count):
        earned = parts[place, _T_PROFIT]
        ratios += parts[place, _T_RATIO]
        balance += earned
        profit += earned
        top = top if top > balance else balance
        fall = (top - balance) / top
        drawdown = drawdown if drawdown > fall else fall
        if earned > 0.0:
            wins += 1
            gained += earned
        else:
            lost -= earned
    mean = ratios / count if count else 0.0
    for place in range(count):
        spread += (parts[place, _T_RATIO] - mean) ** 2
    t = mean / (spread / (count - 1) / count) ** 0.5 if spread > 0.0 else 0.0
    factor = gained / lost if lost > 0.0 else _ENDLESS if gained > 0.0 else 0.0
    return count, wins, profit, mean, t, factor, drawdown
