"""Close positions without the bot: by hand, by liquidation, by auto-deleveraging.

The client order id marks orders of the exchange itself: ``autoclose-…`` for a liquidation,
``adl_autoclose`` for an auto-deleveraging. They have the form that ccxt documents
(``fetch_my_liquidations``): a LIMIT order, IOC, at the bankruptcy price, filled at a better price.
"""

from decimal import ROUND_DOWN, ROUND_UP, Decimal

from perp_imbalance.replay.testing.account import Account
from perp_imbalance.replay.testing.account_answers import liquidation_price
from perp_imbalance.replay.testing.brackets import maintenance
from perp_imbalance.replay.testing.order_checks import refuse
from perp_imbalance.replay.testing.records import (
    BUY,
    INSURANCE_CLEAR,
    SELL,
    ZERO,
    Order,
    OrderRequest,
    Position,
)

WHOLE = Decimal(1)


def close_by_hand(account: Account, symbol: str, now: int, share: Decimal = WHOLE) -> Order:
    """Close a position, or a fraction of it, as its owner does on the exchange's website.

    Open orders stay.
    """
    position = _held(account, symbol)
    quantity = _part(account, position, share, now)
    request = OrderRequest(symbol, _closing(position), "MARKET", quantity, reduce_only=True)
    return account.place(request, now)


def liquidate(account: Account, symbol: str, now: int) -> Order:
    """Close an isolated position at its liquidation price, so that all of its margin is lost.

    Open orders of the perp are cancelled first.
    """
    position = _held(account, symbol)
    pair = account.prices.symbols()[symbol].pair
    share, deduction = maintenance(pair, abs(position.amount * position.entry_price))
    price = _rounded(account, liquidation_price(position, share, deduction), position, now)
    bankruptcy = position.entry_price - position.margin / position.amount
    limit = _rounded(account, bankruptcy, position, now)
    name = f"autoclose-{now}000001"
    before, margin = account.wallet, position.margin
    order = account.force(_request(position, position.amount, name, limit), price, now)
    account.book(symbol, INSURANCE_CLEAR, -max(ZERO, margin + account.wallet - before), now)
    return order


def deleverage(account: Account, symbol: str, now: int, share: Decimal = WHOLE) -> Order:
    """Close a position, or a fraction of it, by auto-deleveraging.

    There is no fee. The mark price is used in place of the bankruptcy price of the other side. Open
    orders of the perp are cancelled.
    """
    position = _held(account, symbol)
    quantity = _part(account, position, share, now).copy_sign(position.amount)
    price = account.prices.at(symbol, now).mark
    return account.force(_request(position, quantity, "adl_autoclose", price), price, now, fee=ZERO)


def _held(account: Account, symbol: str) -> Position:
    position = account.position(symbol)
    if not position.amount:
        refuse(-2022, "ReduceOnly Order is rejected.")
    return position


def _closing(position: Position) -> str:
    return SELL if position.amount > 0 else BUY


def _part(account: Account, position: Position, share: Decimal, now: int) -> Decimal:
    step = account.prices.steps(position.symbol, now).amount
    return (abs(position.amount) * share / step).to_integral_value(ROUND_UP) * step


def _rounded(account: Account, price: Decimal, position: Position, now: int) -> Decimal:
    """Return a price rounded to a tick, at least one tick, to the worse side for a position."""
    tick = account.prices.steps(position.symbol, now).price
    ticks = (price / tick).to_integral_value(ROUND_DOWN if position.amount > 0 else ROUND_UP)
    return max(WHOLE, ticks) * tick


def _request(position: Position, amount: Decimal, name: str, price: Decimal) -> OrderRequest:
    return OrderRequest(
        *(position.symbol, _closing(position), "LIMIT", abs(amount), price),
        time_in_force="IOC",
        client_id=name,
    )
