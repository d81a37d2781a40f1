"""Decide when an order is filled and at what price, by a simple model.

An order that was open during any part of a candle is filled if the candle reached its price, since
candles do not show when they reached it.
"""

from decimal import Decimal

from perp_imbalance.replay.testing.prices import Candle, Price
from perp_imbalance.replay.testing.records import BUY, Order, OrderRequest


def price_against(direction: int, limit: Decimal, price: Price) -> Decimal | None:
    """Return the price at which an order fills at once; None if it does not.

    :param direction: 1 for a buy, -1 for a sell
    :param limit: the order's price, 0 for a market order
    """
    other = price.ask if direction > 0 else price.bid
    if not other or (limit and (other - limit) * direction > 0):
        return None
    return other


def reaches(order: Order, candle: Candle) -> bool:
    """Return whether a candle reached the price of an open order."""
    if order.request.side == BUY:
        return candle.low <= order.price
    return candle.high >= order.price


def triggers(request: OrderRequest, price: Price) -> bool:
    """Return whether the current prices trigger a conditional order."""
    seen = price.mark if request.by_mark else price.last
    return bool(seen) and (seen - request.trigger_price) * _way(request) >= 0


def trigger_price_in(request: OrderRequest, candle: Candle) -> Decimal | None:
    """Return the price at which a candle triggered a conditional order; None if it did not.

    This is the trigger price, or the candle's open if that is already beyond it.
    """
    high, low = candle.high, candle.low
    if request.by_mark:
        high, low = candle.mark_high, candle.mark_low
    rising = _way(request) > 0
    if not (high >= request.trigger_price if rising else low <= request.trigger_price):
        return None
    beyond = (max if rising else min)(request.trigger_price, candle.open)
    return min(max(beyond, candle.low), candle.high)


def _way(request: OrderRequest) -> int:
    """Return 1 if a rising price triggers the order (a buy stop or a sell take-profit), else -1."""
    return -request.direction if request.type.startswith("TAKE_PROFIT") else request.direction
