"""Records of an account: orders, fills, incomes and positions."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

ZERO = Decimal(0)
#: What Binance books money in.
CENT = Decimal("1e-8")
#: Binance's leverage of a perp that nobody has set one for.
DEFAULT_LEVERAGE = 20

BUY, SELL = "BUY", "SELL"
NEW, PARTIALLY_FILLED, FILLED = "NEW", "PARTIALLY_FILLED", "FILLED"
CANCELED, EXPIRED = "CANCELED", "EXPIRED"
# Only algo orders have these.
FINISHED, REJECTED = "FINISHED", "REJECTED"

FUNDING_FEE, COMMISSION, REALIZED_PNL = "FUNDING_FEE", "COMMISSION", "REALIZED_PNL"
# What is left of a liquidated position's margin.
INSURANCE_CLEAR = "INSURANCE_CLEAR"


def money(value: Decimal) -> Decimal:
    """Round an amount of money to the precision of the wallet."""
    return value.quantize(CENT, ROUND_HALF_UP)


@dataclass(frozen=True)
class OrderRequest:
    """An order request.

    :ivar price: 0 for a market order
    :ivar trigger_price: 0 for an order without a condition
    :ivar by_mark: whether the order is triggered by the mark price rather than the traded price
    """

    symbol: str
    side: str
    type: str
    quantity: Decimal
    price: Decimal = ZERO
    time_in_force: str = "GTC"
    reduce_only: bool = False
    client_id: str = ""
    trigger_price: Decimal = ZERO
    by_mark: bool = False
    close_position: bool = False

    @property
    def direction(self) -> int:
        """1 for a buy, -1 for a sell."""
        return 1 if self.side == BUY else -1


@dataclass
class Order:
    """An order, open or closed.

    :ivar held_until: the rest of the order is not filled before this time, in ms
    """

    id: int
    request: OrderRequest
    time: int
    updated: int
    price: Decimal
    quantity: Decimal
    status: str = NEW
    executed: Decimal = ZERO
    quote: Decimal = ZERO
    held_until: float = 0

    @property
    def is_open(self) -> bool:
        """Whether the order can still be filled."""
        return self.status in (NEW, PARTIALLY_FILLED)

    @property
    def left(self) -> Decimal:
        """The amount that is not filled."""
        return self.quantity - self.executed

    @property
    def average(self) -> Decimal:
        """The average fill price; 0 if nothing is filled."""
        return self.quote / self.executed if self.executed else ZERO


@dataclass
class AlgoOrder:
    """A conditional order, which places another order when it is triggered."""

    id: int
    request: OrderRequest
    time: int
    updated: int
    status: str = NEW
    triggered: int = 0
    order: Order | None = None

    @property
    def is_open(self) -> bool:
        """Whether the order is not triggered yet."""
        return self.status == NEW


@dataclass(frozen=True)
class Fill:
    """A trade of the account."""

    id: int
    order: Order
    time: int
    price: Decimal
    quantity: Decimal
    commission: Decimal
    realized: Decimal
    maker: bool


@dataclass(frozen=True)
class Income:
    """A change of the wallet."""

    id: int
    symbol: str
    type: str
    amount: Decimal
    time: int
    trade: int | None = None


@dataclass
class Position:
    """The position of one perp in one-way mode.

    :ivar amount: in coins of the perp, negative for a short
    :ivar margin: the isolated margin
    """

    symbol: str
    amount: Decimal = ZERO
    entry_price: Decimal = ZERO
    margin: Decimal = ZERO
    isolated: bool = False
    leverage: int = DEFAULT_LEVERAGE
    updated: int = 0

    def closable(self, request: OrderRequest) -> Decimal:
        """Return the amount of the position that an order could close."""
        return max(ZERO, -self.amount * request.direction)

    def change(self, amount: Decimal, price: Decimal) -> Decimal:
        """Add a signed amount bought or sold at a price; return the realized profit."""
        closed = ZERO
        if self.amount * amount < 0:
            closed = min(abs(amount), abs(self.amount)).copy_sign(self.amount)
        realized = closed * (price - self.entry_price)
        if closed:
            self.margin -= self.margin * closed / self.amount
            self.amount -= closed
        opened = amount + closed
        if opened:
            worth = self.amount * self.entry_price + opened * price
            self.amount += opened
            self.entry_price = worth / self.amount
            if self.isolated:
                self.margin += abs(opened) * price / self.leverage
        if not self.amount:
            self.entry_price = self.margin = ZERO
        return realized

    def unrealized(self, mark: Decimal) -> Decimal:
        """Return the unrealized profit at a mark price."""
        return self.amount * (mark - self.entry_price)

    def initial_margin(self, mark: Decimal) -> Decimal:
        """Return the margin that the position's size and leverage require."""
        return abs(self.amount) * mark / self.leverage
