"""An account at the replay exchange: wallet, positions and orders, filled by the replayed market.

It has no thread: each request first brings it up to the current time. Positions are liquidated
only when a test asks for it, see :mod:`.forced`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from itertools import count
from typing import NamedTuple, TypeVar

from perp_imbalance.replay.overlay import DUMMY_KEY, DUMMY_SECRET
from perp_imbalance.replay.query import RequestError
from perp_imbalance.replay.testing.matching import (
    price_against,
    reaches,
    trigger_price_in,
    triggers,
)
from perp_imbalance.replay.testing.order_checks import (
    check_algo,
    check_margin,
    check_order,
    check_price,
    check_quantity,
    check_values,
    no_such_order,
    refuse,
)
from perp_imbalance.replay.testing.prices import Candle, Funding, Prices
from perp_imbalance.replay.testing.records import (
    BUY,
    CANCELED,
    COMMISSION,
    EXPIRED,
    FILLED,
    FINISHED,
    FUNDING_FEE,
    PARTIALLY_FILLED,
    REALIZED_PNL,
    SELL,
    ZERO,
    AlgoOrder,
    Fill,
    Income,
    Order,
    OrderRequest,
    Position,
    money,
)
from perp_imbalance.replay.testing.signing import Credentials

DUMMY = Credentials(DUMMY_KEY, DUMMY_SECRET)
# Binance's fees of a new account.
MAKER_FEE, TAKER_FEE = Decimal("0.0002"), Decimal("0.0005")
NEVER = float("inf")

Item = TypeVar("Item", Order, AlgoOrder)


@dataclass(frozen=True)
class AccountTerms:
    """The initial state of an account.

    :ivar wallet: in USDT
    :ivar credentials: key and secret for signing requests
    :ivar hedge_mode: whether the account reports hedge mode; it behaves as in one-way mode
    :ivar multi_assets: whether the account reports multi-assets mode
    """

    wallet: Decimal = Decimal(1000)
    credentials: Credentials = DUMMY
    maker_fee: Decimal = MAKER_FEE
    taker_fee: Decimal = TAKER_FEE
    hedge_mode: bool = False
    multi_assets: bool = False


class Split(NamedTuple):
    """A partial fill: a fraction of the order at once, the rest some ms later or never."""

    share: Decimal
    rest_after: float


class Account:
    """One account, futures only, in one-way mode.

    :param terms: the initial state
    :param prices: the market
    """

    def __init__(self, terms: AccountTerms, prices: Prices) -> None:
        self.terms = terms
        self.prices = prices
        self.wallet = terms.wallet
        self.positions: dict[str, Position] = {}
        self.orders: list[Order] = []
        self.algos: list[AlgoOrder] = []
        self.fills: list[Fill] = []
        self.incomes: list[Income] = []
        #: Raised on every order that would open a position, until it is set to None again.
        self.refusal: RequestError | None = None
        self._ids = count(1)
        self._settled = 0
        self._split: Split | None = None

    def split_next_entry(self, share: float, rest_after_ms: float = NEVER) -> None:
        """Fill only a fraction of the next order that opens a position; the rest later or never."""
        self._split = Split(Decimal(str(share)), rest_after_ms)

    def position(self, symbol: str) -> Position:
        """Return the position of a perp; its size may be 0."""
        return self.positions.setdefault(symbol, Position(symbol))

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Return the orders in the book."""
        return [order for order in self.orders if order.is_open and _of(order, symbol)]

    def open_algos(self, symbol: str | None = None) -> list[AlgoOrder]:
        """Return the conditional orders that are not triggered yet."""
        return [algo for algo in self.algos if algo.is_open and _of(algo, symbol)]

    def available(self, now: int) -> Decimal:
        """Return the balance that is free for new positions."""
        free = self.wallet - self.orders_margin(None)
        for position in self.positions.values():
            if position.isolated:
                free -= position.margin
            elif position.amount:
                mark = self.prices.at(position.symbol, now).mark
                free += position.unrealized(mark) - position.initial_margin(mark)
        return max(ZERO, free)

    def orders_margin(self, symbol: str | None) -> Decimal:
        """Return the margin that open orders reserve."""
        kept = ZERO
        for order in self.open_orders(symbol):
            if not order.request.reduce_only:
                position = self.position(order.request.symbol)
                opening = max(ZERO, order.left - position.closable(order.request))
                kept += opening * order.price / position.leverage
        return kept

    def place(self, request: OrderRequest, now: int) -> Order:
        """Accept an order, and fill the part that the current quote fills.

        :raises RequestError: as Binance refuses it
        """
        self.settle(now)
        closable = self.position(request.symbol).closable(request)
        entry = not request.reduce_only and not closable
        if entry and self.refusal is not None:
            raise self.refusal
        check_values(request, self.prices.steps(request.symbol, now))
        price = self.prices.at(request.symbol, now)
        taken_at = price_against(request.direction, request.price, price)
        check_order(request, taken_at, closable)
        self._check_margin(request, taken_at or request.price, now)
        order = self._new_order(request, now)
        if taken_at is not None:
            split, self._split = (self._split, None) if entry else (None, self._split)
            part = order.left if split is None else self._share(order, split, now)
            self._fill(order, part, taken_at, now)
        if order.is_open and not order.held_until and request.time_in_force == "IOC":
            self._close(order, EXPIRED, now)
        return order

    def place_algo(self, request: OrderRequest, now: int) -> AlgoOrder:
        """Accept a conditional order.

        :raises RequestError: as Binance refuses it
        """
        self.settle(now)
        steps = self.prices.steps(request.symbol, now)
        check_values(request, steps)
        check_algo(request, self.prices.at(request.symbol, now), steps.price)
        algo = AlgoOrder(next(self._ids), request, now, now)
        self.algos.append(algo)
        return algo

    def change(self, order: Order, quantity: Decimal, price: Decimal, now: int) -> Order:
        """Change price and quantity of an open order.

        :raises RequestError: as Binance refuses it
        """
        self.settle(now)
        if not order.is_open or quantity <= order.executed:
            refuse(-5027, "No need to modify the order.")
        steps = self.prices.steps(order.request.symbol, now)
        check_price(price, steps.price)
        check_quantity(quantity, steps.amount)
        order.quantity, order.price, order.updated = quantity, price, now
        self._match(now)
        return order

    def cancel(self, order: Order, now: int) -> Order:
        """Cancel an open order."""
        self.settle(now)
        if not order.is_open:
            raise no_such_order(sent=True)
        self._close(order, CANCELED, now)
        return order

    def cancel_algo(self, algo: AlgoOrder, now: int) -> AlgoOrder:
        """Cancel a conditional order."""
        self.settle(now)
        if not algo.is_open:
            raise no_such_order(sent=True)
        algo.status, algo.updated = CANCELED, now
        return algo

    def force(
        self, request: OrderRequest, price: Decimal, now: int, fee: Decimal | None = None
    ) -> Order:
        """Cancel all orders of a perp and fill a forced order, with the taker fee."""
        self.settle(now)
        for order in self.open_orders(request.symbol):
            self.cancel(order, now)
        for algo in self.open_algos(request.symbol):
            self.cancel_algo(algo, now)
        order = self._new_order(request, now)
        self._fill(order, order.left, price, now, self.terms.taker_fee if fee is None else fee)
        return order

    def find(self, order_id: int | None, client_id: str | None, symbol: str) -> Order:
        """Return an order by its id or its client order id."""
        return _found(self.orders, order_id, client_id, symbol)

    def find_algo(self, algo_id: int | None, client_id: str | None) -> AlgoOrder:
        """Return a conditional order by its id or its client order id."""
        return _found(self.algos, algo_id, client_id, None)

    def settle(self, now: int) -> None:
        """Process all market events since the last request."""
        if now <= self._settled:
            return
        for _, symbol, event in self._events(now):
            if isinstance(event, Funding):
                self._charge(symbol, event)
            else:
                self._live_through(symbol, event)
        self._settled = now
        self._match(now)
        for position in self.positions.values():
            if position.amount and not self._is_traded(position.symbol):
                self._end_contract(position, now)

    def _is_traded(self, symbol: str) -> bool:
        listed = self.prices.symbols().get(symbol)
        return listed is not None and listed.status == "TRADING"

    def _end_contract(self, position: Position, now: int) -> None:
        """Close the position of a perp that has been delisted, at the mark price."""
        price = self.prices.at(position.symbol, now).mark
        side = SELL if position.amount > 0 else BUY
        values = (position.symbol, side, "LIMIT", abs(position.amount), price, "IOC")
        request = OrderRequest(*values, client_id=f"settlement_autoclose-{now}")
        self.force(request, price, now)

    def _events(self, now: int) -> list[tuple[tuple[int, int], str, Candle | Funding]]:
        """Return events of perps with orders or a position; candles precede funding."""
        symbols = {symbol for symbol, position in self.positions.items() if position.amount}
        symbols |= {order.request.symbol for order in self.open_orders()}
        symbols |= {algo.request.symbol for algo in self.open_algos()}
        events: list[tuple[tuple[int, int], str, Candle | Funding]] = []
        for symbol in sorted(symbols):
            candles = self.prices.candles(symbol, self._settled, now)
            events += [((candle.end, 0), symbol, candle) for candle in candles]
            fundings = self.prices.fundings(symbol, self._settled, now)
            events += [((funding.time, 1), symbol, funding) for funding in fundings]
        return sorted(events, key=lambda event: event[:2])

    def _charge(self, symbol: str, funding: Funding) -> None:
        position = self.position(symbol)
        if not position.amount:
            return
        amount = money(-position.amount * funding.mark * funding.rate)
        if position.isolated:
            position.margin += amount
        self.book(symbol, FUNDING_FEE, amount, funding.time)

    def _live_through(self, symbol: str, candle: Candle) -> None:
        """Fill the orders that a candle reached, stops first."""
        for algo in self.open_algos(symbol):
            reached = trigger_price_in(algo.request, candle)
            if reached is not None:
                self._trigger(algo, reached, candle.end)
        for order in self.open_orders(symbol):
            if order.held_until <= candle.end and reaches(order, candle):
                self._fill(order, order.left, order.price, candle.end, maker=True)

    def _match(self, now: int) -> None:
        """Fill the orders that the current quote fills."""
        for algo in self.open_algos():
            price = self.prices.at(algo.request.symbol, now)
            if triggers(algo.request, price):
                taken_at = price.ask if algo.request.direction > 0 else price.bid
                self._trigger(algo, taken_at, now)
        for order in self.open_orders():
            price = self.prices.at(order.request.symbol, now)
            limit = price_against(order.request.direction, order.price, price)
            if limit is not None and order.held_until <= now:
                self._fill(order, order.left, order.price or limit, now, maker=True)

    def _trigger(self, algo: AlgoOrder, price: Decimal, now: int) -> None:
        """Place the order of a triggered conditional order, at the prices of its trigger."""
        request = algo.request
        algo.triggered = algo.updated = now
        position = self.position(request.symbol)
        if (request.reduce_only or request.close_position) and not position.closable(request):
            algo.status = EXPIRED
            return
        algo.status = FINISHED
        algo.order = self._new_order(request, now)
        if request.close_position:
            algo.order.quantity = position.closable(request)
        if not request.price or (price - request.price) * request.direction <= 0:
            self._fill(algo.order, algo.order.left, price, now)

    def _new_order(self, request: OrderRequest, now: int) -> Order:
        order = Order(next(self._ids), request, now, now, request.price, request.quantity)
        self.orders.append(order)
        return order

    def _check_margin(self, request: OrderRequest, price: Decimal, now: int) -> None:
        if request.reduce_only:
            return
        position = self.position(request.symbol)
        opening = max(ZERO, request.quantity - position.closable(request))
        fee = self.terms.taker_fee
        check_margin(opening * price * (1 / Decimal(position.leverage) + fee), self.available(now))

    def _share(self, order: Order, split: Split, now: int) -> Decimal:
        """Return the part of an order that fills first, on a step; delay the rest."""
        step = self.prices.steps(order.request.symbol, now).amount
        order.held_until = now + split.rest_after
        return (order.quantity * split.share / step).to_integral_value(ROUND_DOWN) * step

    def _fill(
        self,
        order: Order,
        quantity: Decimal,
        price: Decimal,
        now: int,
        fee: Decimal | None = None,
        *,
        maker: bool = False,
    ) -> None:
        request = order.request
        position = self.position(request.symbol)
        if request.reduce_only:
            quantity = min(quantity, position.closable(request))
        if quantity:
            realized = money(position.change(quantity * request.direction, price))
            if fee is None:
                fee = self.terms.maker_fee if maker else self.terms.taker_fee
            commission = money(quantity * price * fee)
            position.updated = now
            order.executed += quantity
            order.quote += quantity * price
            fill = Fill(next(self._ids), order, now, price, quantity, commission, realized, maker)
            self.fills.append(fill)
            self.book(request.symbol, COMMISSION, -commission, now, fill.id)
            if realized:
                self.book(request.symbol, REALIZED_PNL, realized, now, fill.id)
        order.updated = now
        if not order.left:
            order.status = FILLED
        elif request.reduce_only and not position.closable(request):
            order.status = EXPIRED
        elif order.executed:
            order.status = PARTIALLY_FILLED

    def _close(self, order: Order, status: str, now: int) -> None:
        order.status, order.updated = status, now

    def book(
        self, symbol: str, kind: str, amount: Decimal, now: int, trade: int | None = None
    ) -> None:
        """Change the wallet and record the reason."""
        self.wallet += amount
        self.incomes.append(Income(next(self._ids), symbol, kind, amount, now, trade))


def _of(item: Order | AlgoOrder, symbol: str | None) -> bool:
    return symbol is None or item.request.symbol == symbol


def _found(
    items: Iterable[Item], number: int | None, client_id: str | None, symbol: str | None
) -> Item:
    for item in items:
        named = item.id == number if number is not None else item.request.client_id == client_id
        if named and _of(item, symbol):
            return item
    raise no_such_order(sent=False)
