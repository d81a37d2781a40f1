"""Check orders as Binance does, and refuse them with Binance's messages."""

from decimal import Decimal
from typing import NoReturn

from perp_imbalance.replay.binance import MIN_NOTIONAL
from perp_imbalance.replay.query import RequestError
from perp_imbalance.replay.testing.matching import triggers
from perp_imbalance.replay.testing.prices import Price, Steps
from perp_imbalance.replay.testing.records import BUY, SELL, OrderRequest

ORDER_TYPES = frozenset({"LIMIT", "MARKET"})
ALGO_TYPES = frozenset({"STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"})
TIMES_IN_FORCE = frozenset({"GTC", "IOC", "FOK", "GTX"})


def refuse(code: int, message: str) -> NoReturn:
    """Raise Binance's refusal."""
    raise RequestError(code, message)


def no_such_order(*, sent: bool) -> RequestError:
    """Return the error for an unknown order, or for cancelling an order that is closed."""
    if sent:
        return RequestError(-2011, "Unknown order sent.")
    return RequestError(-2013, "Order does not exist.")


def check_values(request: OrderRequest, steps: Steps) -> None:
    """Raise if side, type, steps or time in force of an order are invalid.

    :raises RequestError: as Binance refuses it
    """
    if request.side not in (BUY, SELL):
        refuse(-1117, "Invalid side.")
    if request.time_in_force not in TIMES_IN_FORCE:
        refuse(-1115, "Invalid timeInForce.")
    if request.type in ("LIMIT", "STOP", "TAKE_PROFIT"):
        check_price(request.price, steps.price)
    if not request.close_position:
        check_quantity(request.quantity, steps.amount)


def check_price(price: Decimal, tick: Decimal) -> None:
    """Raise unless a price is above 0 and a multiple of the tick."""
    if price <= 0:
        refuse(-4001, "Price less than 0.")
    if price % tick:
        refuse(-4014, "Price not increased by tick size.")


def check_quantity(quantity: Decimal, step: Decimal) -> None:
    """Raise unless a quantity is above 0 and a multiple of the step."""
    if quantity <= 0:
        refuse(-4003, "Quantity less than or equal to zero.")
    if quantity % step:
        refuse(-1111, "Precision is over the maximum defined for this asset.")


def check_order(request: OrderRequest, taken_at: Decimal | None, closable: Decimal) -> None:
    """Raise if an order cannot be placed.

    :param taken_at: the price at which the order would fill at once; None if it would not
    :param closable: amount of the position that the order could close
    :raises RequestError: as Binance refuses it
    """
    if request.type in ALGO_TYPES:
        refuse(
            -4120,
            "Order type not supported for this endpoint. "
            "Please use the Algo Order API endpoints instead.",
        )
    if request.type not in ORDER_TYPES:
        refuse(-1116, "Invalid orderType.")
    if request.reduce_only and not closable:
        refuse(-2022, "ReduceOnly Order is rejected.")
    if taken_at is None and request.type == "MARKET":
        refuse(-1112, "No orders on book for symbol.")
    if taken_at is None and request.time_in_force == "FOK":
        refuse(
            -5021,
            "Due to the order could not be filled immediately, the FOK order has been rejected.",
        )
    if taken_at is not None and request.time_in_force == "GTX":
        refuse(
            -5022,
            "Due to the order could not be executed as maker, "
            "the Post Only order will be rejected.",
        )
    worth = request.quantity * (request.price or taken_at or Decimal(0))
    if not request.reduce_only and worth < Decimal(MIN_NOTIONAL):
        refuse(
            -4164,
            f"Order's notional must be no smaller than {MIN_NOTIONAL} "
            "(unless you choose reduce only).",
        )


def check_algo(request: OrderRequest, price: Price, tick: Decimal) -> None:
    """Raise if a conditional order cannot be placed.

    :raises RequestError: as Binance refuses it
    """
    if request.type not in ALGO_TYPES:
        refuse(-1116, "Invalid orderType.")
    check_price(request.trigger_price, tick)
    if triggers(request, price):
        refuse(-2021, "Order would immediately trigger.")


def check_margin(needed: Decimal, available: Decimal) -> None:
    """Raise if an order needs more margin than is free."""
    if needed > available:
        refuse(-2019, "Margin is insufficient.")
