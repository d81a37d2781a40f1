"""The records that the compiled code reads and writes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Records = NDArray[np.void]

#: Why a trade ended; a trade's ``reason`` is a place in it.
REASONS = ("open", "exit_signal", "stop_on_close", "stop_loss", "liquidation", "force_exit")
OPEN, SIGNAL, ON_CLOSE, STOP, LIQUIDATION, FORCED = range(len(REASONS))

#: The protections that are simulated; a protection's ``method`` is a place in it.
METHODS = ("StoplossGuard", "MaxDrawdown", "CooldownPeriod")
GUARD, DRAWDOWN, COOLDOWN = range(len(METHODS))


def _record(whole: str = "", parts: str = "") -> "np.dtype[np.void]":
    """Return a record type: integer fields first, then float fields."""
    fields: list[Any] = [(name, np.int64) for name in whole.split()]
    return np.dtype(fields + [(name, np.float64) for name in parts.split()])


#: A trade. ``pair`` counts from 0; rows are those of its pair; ``scaled_row`` is -1 where no part
#: was closed before; ``amount`` and ``stake`` are what the last exit closed.
TRADE = _record(
    "pair side reason entry_row exit_row scaled_row",
    "open_rate close_rate amount stake leverage funding profit_abs profit_ratio",
)

#: A candle: when it opens in ns, how many settlements of funding lie before that and how many with
#: those at it, prices, and how many ticks there are in one unit of the price in its month.
CANDLE = _record("time funded_before funded", "open high low close ticks")

#: What the exchange asks of a pair's orders: steps in one unit, smallest and largest amount,
#: smallest worth.
LIMIT = _record(parts="per_unit min_amount max_amount min_cost")

#: A tier of leverage: least and greatest notional, maintenance margin rate, maximum leverage,
#: maintenance amount. Unused ones begin at infinity.
TIER = _record(parts="least most maintenance leverage less")

#: A candle with signals: its row and its bits.
EVENT = _record("row bits")

#: The rules of a run: see ``Rules``. The fee is a fraction.
RULES = _record(
    parts="fee fee_scale stoploss leverage wallet stake_amount tradable_balance_ratio "
    "max_open_trades scale_out stop_on_close max_entry_drift amount_reserve liquidation_buffer "
    "exit_timeout"
)

#: A protection. Times are in minutes and in candles, of which one is 0; ``unlock`` is a minute of
#: the day, or -1.
PROTECTION = _record(
    "method lookback lookback_candles stop stop_candles unlock per_pair per_side of_equity",
    "trade_limit limit",
)

#: A pair and its position, if ``side`` is not 0. Prices are in ticks of the entry's month, amounts
#: in steps; a candle that reaches ``lower`` or ``upper`` ends it. The pair sleeps until row
#: ``wake``, on which something may happen; ``event`` is its next signal and ``shift`` the row that
#: it would have at the start. Until ``no_long`` and ``no_short`` nothing is entered. ``opened`` and
#: ``visited`` do not belong to the pair: pairs with a position in the order of entry, pairs in the
#: order in which they are visited. ``away_row`` is the last row before ``checked`` on which the
#: price was beyond the middle of its bands.
POSITION = _record(
    "side entry_row filled_row scaled_row order_row reason wake event shift no_long no_short "
    "opened visited checked away_row",
    "tick entry amount order stop liquidated stake leverage spent realized funding funded_amount "
    "lower upper",
)

#: All pairs: open positions, trades, the length of a candle in ns, and the profit of all trades.
WALLET = _record("held count length no_long no_short", "closed")
