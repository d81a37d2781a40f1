"""Compute the trades of freqtrade's backtest from candles and signals, compiled.

The rules are those of ``freqtrade/optimize/backtesting.py``, ``persistence/trade_model.py`` and
``plugins/protections``; ``tests/integration/test_simulation_parity.py`` compares every trade.
:func:`run` visits the pairs in freqtrade's order of time and pair, and only the candles on which
something can happen.

The first call spends most of its time on type inference. Numba infers the field of a record five
times as fast as an element of a table, and a call of ``lesser`` five times as fast as an ``if``
expression; a chained comparison of three values takes longest.
"""

from typing import Any

import numpy as np

from perp_imbalance.simulation.compiling import cached, compiled
from perp_imbalance.simulation.decimals import (
    greater,
    is_within,
    lesser,
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
from perp_imbalance.simulation.records import (
    COOLDOWN,
    DRAWDOWN,
    FORCED,
    GUARD,
    LIQUIDATION,
    ON_CLOSE,
    OPEN,
    SIGNAL,
    STOP,
    Records,
)

_MINUTE, _HOUR, _DAY = 60_000_000_000, 3_600_000_000_000, 86_400_000_000_000
_ENTERS = ENTER_LONG | ENTER_SHORT


@compiled
def _smallest_stake(limits: Any, price: float, stoploss: float, rules: Any) -> float:
    """Return the smallest stake at leverage 1, with freqtrade's reserve for a stoploss."""
    margin = 1.0 + rules.amount_reserve
    reserve = greater(lesser(margin / (1.0 - stoploss), 1.5), 1.0)
    least: float = greater(limits.min_cost * reserve, limits.min_amount * price * margin)
    return least


@compiled
def _stake(
    limits: Any, tiers: Records, rules: Any, p: int, price: float, tied: float, free: float
) -> tuple[float, float]:
    """Return stake and leverage of an entry; the stake is 0 where freqtrade would not enter.

    :param tied: sum of the stakes of open positions.
    :param free: the rest of the wallet.
    """
    available = lesser((tied + free) * rules.tradable_balance_ratio - tied, free)
    stake = rules.stake_amount
    if stake == 0.0:
        stake = lesser((available + tied) / rules.max_open_trades, available)
    if (available < stake) | (stake <= 0.0):
        return 0.0, 1.0
    most, before = tiers[p, 0].leverage, tiers[p, 0].leverage
    for place in range(tiers.shape[1]):
        tier = tiers[p, place]
        if tier.least == np.inf:
            break
        most = tier.leverage
        least = tier.least / before
        if is_within(least, stake, tier.most / most) | (stake < least):
            break
        before = most
    leverage = lesser(rules.leverage, most)
    allowed, of_tier = limits.max_amount * price, np.inf
    for place in range(tiers.shape[1]):
        tier = tiers[p, place]
        if (tier.least < np.inf) & (leverage <= tier.leverage):
            of_tier = tier.most
    allowed = lesser(lesser(allowed, of_tier) / leverage, available)
    least = _smallest_stake(limits, price, 0.05, rules) / leverage
    # A stake below the smallest one is raised by at most 30 %.
    if (least > allowed) | (stake * 1.3 < least):
        return 0.0, leverage
    return lesser(greater(stake, least), allowed), leverage


@compiled
def _enter(
    candle: Any,
    before: Any,
    limits: Any,
    tiers: Records,
    rules: Any,
    positions: Records,
    wallet: Any,
    p: int,
    row: int,
    side: int,
) -> bool:
    """Open a position at the candle's open, if the wallet and the limits allow one."""
    tied, free = 0.0, rules.wallet + wallet.closed
    for place in range(wallet.held):
        other = positions[positions[place].opened]
        tied += other.stake
        free += other.realized
    price, tick, per_unit = candle.open, candle.ticks, limits.per_unit
    stake, leverage = _stake(limits, tiers, rules, p, price, tied, free - tied)
    amount = steps_below(stake / price * leverage, per_unit)
    drift = side * (price / before.close - 1.0)
    # What is not a number allows no entry either.
    if (amount <= 0.0) | (not drift <= rules.max_entry_drift):
        return False
    entry, unit, scale = steps_nearest(price, tick), per_unit * tick, rules.fee_scale
    rate, size = entry / tick, amount / per_unit
    stake = worth(amount, entry, 1.0, unit) / leverage
    # The exchange liquidates by Binance's formula.
    rate_of, less = 0.0, 0.0
    for number in range(tiers.shape[1]):
        tier = tiers[p, number]
        if stake >= tier.least:
            rate_of, less = tier.maintenance, tier.less
    bare = (stake + less - side * size * rate) / (size * rate_of - side * size)
    bare += side * abs(rate - bare) * rules.liquidation_buffer
    stop = rate * (1.0 + side * rules.stoploss / leverage)
    position = positions[p]
    # Where the tiers are not known, neither is a price.
    position.liquidated = 0.0
    if bare > 0.0:
        position.liquidated = steps_nearest(bare, tick) / tick
    position.side = side
    position.entry_row = row
    position.filled_row = row
    position.scaled_row = -1
    position.checked = row - 1
    position.away_row = -1
    position.order_row = -1
    position.tick = tick
    position.entry = entry
    position.amount = amount
    position.funded_amount = amount
    position.stake = stake
    position.leverage = leverage
    position.spent = worth(amount, entry, scale + side * rules.fee, unit * scale)
    position.realized = 0.0
    position.funding = 0.0
    position.lower = -np.inf
    position.upper = np.inf
    if side > 0:
        position.stop = steps_above(stop, tick) / tick
        position.lower = greater(position.stop, position.liquidated)
    else:
        position.stop = steps_below(stop, tick) / tick
        position.upper = position.stop
        if position.liquidated > 0.0:
            position.upper = lesser(position.stop, position.liquidated)
    positions[wallet.held].opened = p
    wallet.held += 1
    return True


@compiled
def _book(
    candles: Records,
    limits: Any,
    funding: Floats,
    rules: Any,
    position: Any,
    row: int,
    amount: float,
    price: float,
) -> None:
    """Book profit and funding of an exit.

    freqtrade counts a funding settlement at the time of an order both for the position before it
    and for the one after it. It updates funding at the start of each hour; until then the amount
    from before the order counts.

    :param amount: closed amount, in steps.
    :param price: exit price, in ticks.
    """
    side, candle, filled = position.side, candles[row], candles[position.filled_row]
    size, paid = position.funded_amount, 0.0
    if candle.time // _HOUR > filled.time // _HOUR:
        size = position.amount
    size /= limits.per_unit
    for event in range(filled.funded_before, candle.funded):
        paid += funding[event] * size
    # What is not a number is no fee.
    if paid != paid:
        paid = 0.0
    fee, scale = side * rules.fee, rules.fee_scale
    unit = limits.per_unit * position.tick * scale
    entered = worth(amount, position.entry, scale + fee, unit)
    left = worth(amount, price, scale - fee, unit) - paid
    position.realized += round8(side * (left - entered))
    position.funding -= side * paid
    position.filled_row = row
    position.funded_amount = position.amount


@compiled
def _scale_out(
    candles: Records,
    limits: Any,
    funding: Floats,
    middle: Floats,
    rules: Any,
    position: Any,
    row: int,
) -> None:
    """Close part of a position when the price returned to the middle Bollinger band.

    Follows the strategy's rule (``indicators.signals.reached_middle``,
    ``order_rules.stake_to_close``) and freqtrade's for partial exits.
    """
    stake, candle = position.stake, candles[row]
    for before in range(position.checked, row - 1):
        if (candles[before].close - middle[before]) * position.side < 0.0:
            position.away_row = before
    position.checked = row - 1
    # freqtrade shows a strategy the last 1000 candles.
    if (position.away_row < position.entry_row - 1) | (position.away_row < row - 1000):
        return
    price, per_unit, tick = candle.open, limits.per_unit, position.tick
    least, part = _smallest_stake(limits, price, 0.1, rules), stake * rules.scale_out
    if (least > 0.0) & (lesser(part, stake - part) < least):
        return
    amount = share_of_amount(part, stake, position.amount, per_unit)
    rest = (position.amount - amount) / per_unit * price
    ticks = steps_nearest(price, tick)
    fills = is_within(candle.low, ticks / tick, candle.high)
    if (amount <= 0.0) | (rest < least) | (not fills):
        return
    _book(candles, limits, funding, rules, position, row, amount, ticks)
    position.amount -= amount
    left = worth(position.amount, position.entry, 1.0, per_unit * tick)
    position.stake = left / position.leverage
    position.scaled_row = row


@compiled
def _is_left(candle: Any, before: Any, rules: Any, position: Any, row: int, signal: int) -> bool:
    """Place an exit order if this candle triggers one; return whether the order is filled.

    The exit signal has priority over the stoploss, even on a candle that crosses the stop price.

    :param signal: signal bits of the previous candle.
    """
    side, tick, rate, level = position.side, position.tick, candle.open, position.stop
    reason, enters, leaves = OPEN, ENTER_LONG, EXIT_LONG
    if side < 0:
        enters, leaves = ENTER_SHORT, EXIT_SHORT
    against = side * (before.close / (position.entry / tick) - 1.0)
    if signal & (enters | leaves) == leaves:
        reason = SIGNAL
    elif (
        (rules.stop_on_close > 0.0) & (row > position.entry_row) & (against <= -rules.stop_on_close)
    ):
        reason = ON_CLOSE
    elif (candle.low <= position.lower) | (candle.high >= position.upper):
        reason = STOP
        inside = level - candle.low
        if side < 0:
            inside = candle.high - level
        if inside < 0.0:
            reason, level = LIQUIDATION, position.liquidated
        # A candle that lies wholly beyond the level is left at its open.
        if is_within(candle.low, level, candle.high):
            rate = level
    if reason != OPEN:
        order = steps_nearest(rate, tick)
        # freqtrade keeps an open order that is the same.
        if (position.order_row < 0) | (position.order != order):
            position.order_row = row
        position.order = order
        position.reason = reason
    # A tick of the entry's month can be coarser than this candle is wide.
    fills = is_within(candle.low, position.order / tick, candle.high)
    is_filled: bool = (position.order_row >= 0) & fills
    return is_filled


@compiled
def _visit(
    candles: Records,
    funding: Floats,
    limits: Any,
    tiers: Records,
    middle: Floats | None,
    rules: Any,
    positions: Records,
    wallet: Any,
    p: int,
    row: int,
    signal: int,
    direction: int,
) -> bool:
    """Enter, reduce and exit a position on a candle; return whether it is to close.

    :param signal: signal bits of the candle before.
    :param direction: the side that may be entered; 0 for none.
    """
    position, candle, before = positions[p], candles[row], candles[row - 1]
    if position.side == 0:
        until = greater(position.no_long, wallet.no_long)
        if direction < 0:
            until = greater(position.no_short, wallet.no_short)
        is_full = (rules.max_open_trades > 0.0) & (wallet.held >= rules.max_open_trades)
        if (direction == 0) | (until > candle.time) | is_full:
            return False
        if not _enter(candle, before, limits, tiers, rules, positions, wallet, p, row, direction):
            return False
    elif position.order_row >= 0:
        waited = (candle.time - candles[position.order_row].time) / 1e9
        if waited >= rules.exit_timeout:
            position.order_row = -1
    if middle is not None:
        leaves = EXIT_LONG
        if position.side < 0:
            leaves = EXIT_SHORT
        is_back = (before.close - middle[row - 1]) * position.side >= 0.0
        is_whole = (position.scaled_row < 0) & (position.order_row < 0)
        if is_whole & is_back & (signal & leaves == 0):
            _scale_out(candles, limits, funding, middle, rules, position, row)
    return _is_left(candle, before, rules, position, row, signal)


@compiled
def _close(
    candles: Records,
    funding: Floats,
    first: int,
    limits: Any,
    rules: Any,
    positions: Records,
    wallet: Any,
    p: int,
    row: int,
    trade: Any,
) -> None:
    """Close a position by its order and write its trade.

    :param first: the pair's first row.
    """
    position = positions[p]
    price, amount, tick = position.order, position.amount, position.tick
    _book(candles, limits, funding, rules, position, row, amount, price)
    trade.pair = p
    trade.side = position.side
    trade.reason = position.reason
    trade.entry_row = position.entry_row - first
    trade.exit_row = row - first
    trade.scaled_row = -1
    if position.scaled_row >= 0:
        trade.scaled_row = position.scaled_row - first
    trade.open_rate = position.entry / tick
    trade.close_rate = price / tick
    trade.amount = amount / limits.per_unit
    trade.stake = position.stake
    trade.leverage = position.leverage
    trade.funding = position.funding
    trade.profit_abs = position.realized
    trade.profit_ratio = position.realized / position.spent * position.leverage
    wallet.count += 1
    wallet.closed += position.realized
    position.side = 0
    kept = 0
    for place in range(wallet.held):
        other = positions[place].opened
        if other != p:
            positions[kept].opened = other
            kept += 1
    wallet.held = kept


@compiled
def _has_fallen(protection: Any, rules: Any, wallet: Any, trades: Records, begin: int) -> bool:
    """Return whether the drawdown of the trades exceeds what MaxDrawdown allows.

    :param begin: number of the first trade; all later ones are included.
    """
    # What freqtrade takes for the balance at the start.
    balance = rules.wallet * rules.tradable_balance_ratio + wallet.closed
    for place in range(begin, wallet.count):
        balance -= trades[place].profit_abs
    if protection.of_equity == 0:
        balance = 0.0
    top, most = balance, 0.0
    for place in range(begin, wallet.count):
        trade = trades[place]
        earned, whole = trade.profit_ratio, 1.0
        if protection.of_equity > 0:
            earned = trade.profit_abs
        balance += earned
        top = greater(top, balance)
        if protection.of_equity > 0:
            whole = top
        fall = (top - balance) / whole
        most = greater(most, fall)
    has_fallen: bool = most > protection.limit
    return has_fallen


@compiled
def _locked_until(
    protection: Any,
    pair: int,
    candles: Records,
    first: Ints,
    rules: Any,
    wallet: Any,
    trades: Records,
) -> int:
    """Return the time until which a protection locks after the last trade; 0 for no lock.

    freqtrade also checks protections after a partial exit. That adds no lock, since all trades
    that count had closed before.

    :param pair: number of the pair that the protection checks; the number of pairs means all.
    """
    last, length, begin, found = trades[wallet.count - 1], wallet.length, wallet.count, 0
    now = candles[first[last.pair] + last.exit_row].time
    since = now - protection.lookback * _MINUTE - protection.lookback_candles * length
    newest = now
    while begin > 0:
        trade = trades[begin - 1]
        ended = candles[first[trade.pair] + trade.exit_row].time
        if ended <= since:
            break
        begin -= 1
        counts = (pair == first.size - 1) | (trade.pair == pair)
        if protection.method == GUARD:
            counts &= (trade.reason == STOP) | (trade.reason == LIQUIDATION)
            counts &= (trade.profit_ratio != 0.0) & (trade.profit_ratio < protection.limit)
            counts &= (protection.per_side == 0) | (trade.side == last.side)
        if counts:
            if found == 0:
                newest = ended
            found += 1
    if (found == 0) | (found < protection.trade_limit):
        return 0
    is_drawdown = protection.method == DRAWDOWN
    if is_drawdown and not _has_fallen(protection, rules, wallet, trades, begin):
        return 0
    until = newest + protection.stop * _MINUTE + protection.stop_candles * length
    if protection.unlock >= 0:
        until = newest // _DAY * _DAY + protection.unlock * _MINUTE
        if until < newest:
            until += _DAY
    # freqtrade locks to the end of the candle.
    end: int = until // length * length + length
    return end


@compiled
def _lock(
    protection: Any,
    candles: Records,
    first: Ints,
    rules: Any,
    position: Any,
    wallet: Any,
    trades: Records,
) -> None:
    """Set the locks of a protection after the last trade.

    :param position: record of that trade's pair.
    """
    trade = trades[wallet.count - 1]
    side, pair = trade.side, trade.pair
    no_long = (protection.per_side == 0) | (side > 0)
    no_short = (protection.per_side == 0) | (side < 0)
    if protection.method != DRAWDOWN:
        until = _locked_until(protection, pair, candles, first, rules, wallet, trades)
        if no_long:
            position.no_long = greater(position.no_long, until)
        if no_short:
            position.no_short = greater(position.no_short, until)
    if (protection.method != COOLDOWN) & (protection.per_pair == 0):
        until = _locked_until(protection, first.size - 1, candles, first, rules, wallet, trades)
        if no_long:
            wallet.no_long = greater(wallet.no_long, until)
        if no_short:
            wallet.no_short = greater(wallet.no_short, until)


@compiled
def _next(  # noqa: C901
    candles: Records,
    events: Records,
    last: int,
    middle: Floats | None,
    rules: Any,
    position: Any,
    row: int,
    end: int,
) -> int:
    """Return the next row, at most ``end``, on which something may happen.

    :param last: number of the event after the pair's last one.
    """
    side, event, wanted = position.side, position.event, _ENTERS
    if side > 0:
        wanted = EXIT_LONG
    elif side < 0:
        wanted = EXIT_SHORT
    while event < last:
        signal = events[event]
        if (signal.row >= row - 1) & (signal.bits & wanted != 0):
            end = lesser(end, signal.row + 1)
            break
        event += 1
    if side == 0:
        return end
    if position.order_row >= 0:
        return row
    lower, upper, on_close = position.lower, position.upper, rules.stop_on_close
    entered, is_whole = position.entry / position.tick, position.scaled_row < 0
    close = candles[row - 1].close
    while row < end:
        candle = candles[row]
        is_over = (candle.low <= lower) | (candle.high >= upper)
        if on_close > 0.0:
            is_over |= side * (close / entered - 1.0) <= -on_close
        if middle is not None:
            is_over |= is_whole & ((close - middle[row - 1]) * side >= 0.0)
        if is_over:
            break
        close = candle.close
        row += 1
    return row


@compiled
def run(  # noqa: C901
    candles: Records,
    funding: Floats,
    first: Ints,
    limits: Records,
    tiers: Records,
    events: Records,
    event_first: Ints,
    middle: Floats | None,
    terms: Records,
    protections: Records,
    positions: Records,
    wallets: Records,
    trades: Records,
) -> int:
    """Write the trades in the order in which they close; return their number.

    The first five arrays are those of ``Markets``.

    :param events: rows of candles with signals, pair by pair.
    :param event_first: number of each pair's first event, and the number of all events.
    :param middle: the middle Bollinger band; None without ``scale_out``, which compiles a
        separate function.
    :param terms: one record of ``RULES``.
    :param positions: working memory, one record per pair.
    :param wallets: working memory, one record; its ``length`` is read.
    :param trades: output, as long as the number of entry signals.
    """
    pairs, steps, start = first.size - 1, 0, candles[0].time
    rules, wallet = terms[0], wallets[0]
    wallet.held = 0
    wallet.count = 0
    wallet.closed = 0.0
    wallet.no_long = 0
    wallet.no_short = 0
    for p in range(pairs):
        start = lesser(start, candles[first[p]].time)
    for p in range(pairs):
        position, row = positions[p], first[p]
        position.side = 0
        position.no_long = 0
        position.no_short = 0
        position.event = event_first[p]
        position.shift = row - (candles[row].time - start) // wallet.length
        position.wake = row + 1
        steps = greater(steps, first[p + 1] - 1 - position.shift)
    while True:
        step = steps + 1
        for p in range(pairs):
            position = positions[p]
            if position.wake < first[p + 1]:
                step = lesser(step, position.wake - position.shift)
        # freqtrade's order: first the pairs with a position, as they were entered.
        is_over, visits = step > steps, wallet.held
        for place in range(visits):
            positions[place].visited = positions[place].opened
        for p in range(pairs):
            if (positions[p].side == 0) & (not is_over):
                positions[visits].visited = p
                visits += 1
        if visits == 0:
            break
        for place in range(visits):
            p = positions[place].visited
            position, limit, begin, end = positions[p], limits[p], first[p], first[p + 1]
            row, signal, direction = step + position.shift, 0, 0
            if is_over:
                row = end - 1
                position.order = steps_nearest(candles[row].open, position.tick)
                position.reason = FORCED
            elif (position.wake != row) | (row >= end):
                continue
            event, last = position.event, event_first[p + 1]
            while event < last:
                if events[event].row >= row - 1:
                    break
                event += 1
            position.event = event
            if event < last and events[event].row == row - 1:
                signal = events[event].bits
            if step < steps:
                if signal & (_ENTERS | EXIT_LONG) == ENTER_LONG:
                    direction = 1
                elif signal & (_ENTERS | EXIT_SHORT) == ENTER_SHORT:
                    direction = -1
            for _ in range(2):
                was = position.side
                if not is_over and not _visit(
                    candles,
                    funding,
                    limit,
                    tiers,
                    middle,
                    rules,
                    positions,
                    wallet,
                    p,
                    row,
                    signal,
                    direction,
                ):
                    break
                trade = trades[wallet.count]
                _close(candles, funding, begin, limit, rules, positions, wallet, p, row, trade)
                for number in range(protections.size):
                    protection = protections[number]
                    _lock(protection, candles, first, rules, position, wallet, trades)
                # Where the other side is signalled, it is entered on the same candle.
                if is_over | (direction == 0) | (was == 0) | (was == direction):
                    break
            position.wake = _next(candles, events, last, middle, rules, position, row + 1, end)
    return int(wallet.count)


@cached
def run_once(
    candles: Records,
    funding: Floats,
    first: Ints,
    limits: Records,
    tiers: Records,
    events: Records,
    event_first: Ints,
    middle: Floats | None,
    terms: Records,
    protections: Records,
    positions: Records,
    wallets: Records,
    trades: Records,
) -> int:
    """Call :func:`run` from Python."""
    return run(
        candles,
        funding,
        first,
        limits,
        tiers,
        events,
        event_first,
        middle,
        terms,
        protections,
        positions,
        wallets,
        trades,
    )


@cached
def summarize(trades: Records, wallet: float) -> tuple[int, int, float, float, float, float, float]:
    """Return the values of ``Statistics``."""
    count, wins = trades.size, 0
    profit = ratios = gained = lost = spread = drawdown = 0.0
    balance = top = wallet
    for place in range(count):
        trade = trades[place]
        ratios += trade.profit_ratio
        balance += trade.profit_abs
        profit += trade.profit_abs
        top = greater(top, balance)
        drawdown = greater(drawdown, (top - balance) / top)
        if trade.profit_abs > 0.0:
            wins += 1
            gained += trade.profit_abs
        else:
            lost -= trade.profit_abs
    mean, t, factor = 0.0, 0.0, 0.0
    if count:
        mean = ratios / count
    for place in range(count):
        spread += (trades[place].profit_ratio - mean) ** 2
    if spread > 0.0:
        t = mean / (spread / (count - 1) / count) ** 0.5
    if gained > 0.0:
        factor = gained / lost
    return count, wins, profit, mean, t, factor, drawdown
