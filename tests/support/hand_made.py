"""Hand-made candles and signals, and the trades that the simulation makes of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from perp_imbalance.simulation import (
    REASONS,
    Markets,
    Rules,
    Signals,
    Trades,
    market,
    signals,
)

HOUR = 3_600_000_000_000
FLAT = (100.0, 100.0, 100.0, 100.0)
Candle = tuple[float, float, float, float]
#: One trade at a time with a stake of 100, without a fee.
PLAIN = Rules(fee=0.0, stake_amount=100.0, stoploss=-0.10)


def candles(rows: Sequence[Candle], **rules: Any) -> Markets:
    """Return a pair with a tick of 0.01 and a step of 0.001; a row is open, high, low, close."""
    prices = dict(zip(("open", "high", "low", "close"), np.array(rows).T, strict=True))
    times = np.arange(len(rows)) * HOUR
    return market(times, prices, **{"tick": 0.01, "amount_step": 0.001, **rules})


def flat(count: int, **rules: Any) -> Markets:
    """Return a pair whose price does not move."""
    return candles([FLAT] * count, **rules)


def at_times(pair: Markets, times: Any) -> Markets:
    """Return a pair whose candles open at other times."""
    moved = pair.candles.copy()
    moved["time"] = times
    return pair._replace(candles=moved)


def said(count: int, middle: Sequence[float] | None = None, **rows: Sequence[int]) -> Signals:
    """Return signals on the given rows."""
    given = {}
    for name in ("enter_long", "exit_long", "enter_short", "exit_short"):
        given[name] = np.isin(np.arange(count), rows.get(name, ()))
    return signals(**given, middle=middle)


def outcome(trades: Trades) -> list[tuple[Any, ...]]:
    """Return side, entry row, exit row, reason and rate of each trade."""
    return [
        (*(int(trade[name]) for name in ("side", "entry_row", "exit_row")), *ending(trade))
        for trade in trades
    ]


def ending(trade: Any) -> Any:
    """Return the reason and the rate of a trade's exit."""
    return REASONS[trade["reason"]], float(trade["close_rate"])
