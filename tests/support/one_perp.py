"""An account that trades one perp, whose market a test sets."""

from decimal import Decimal
from typing import Any

import pytest

from perp_imbalance.replay.candle_store import Market, Symbol
from perp_imbalance.replay.query import RequestError
from perp_imbalance.replay.testing import Account
from perp_imbalance.replay.testing.prices import Candle, Funding, Price, Steps
from perp_imbalance.replay.testing.records import OrderRequest

BTC = "BTCUSDT"


def number(value: object) -> Decimal:
    return Decimal(str(value))


class OnePerp:
    """One perp whose prices, candles and fundings a test sets."""

    def __init__(self) -> None:
        self.price = Price(*map(Decimal, (100, 101, 100, 100)))
        self.closed: list[Candle] = []
        self.charged: list[Funding] = []
        self.status = "TRADING"

    def symbols(self) -> dict[str, Symbol]:
        return {BTC: Symbol(BTC, "BTC", "USDT", "BTC/USDT:USDT", Market.PERP, self.status)}

    def steps(self, symbol: str, now: int) -> Steps:
        return Steps(Decimal("0.1"), Decimal("0.001"))

    def at(self, symbol: str, now: int) -> Price:
        return self.price

    def candles(self, symbol: str, after: int, until: int) -> list[Candle]:
        return [candle for candle in self.closed if after < candle.end <= until]

    def fundings(self, symbol: str, after: int, until: int) -> list[Funding]:
        return [funding for funding in self.charged if after < funding.time <= until]

    def quotes(self, bid: float, mark: float | None = None) -> None:
        price = number(bid)
        self.price = Price(price, price + 1, price, number(bid if mark is None else mark))

    def closes(
        self,
        end: int,
        low: float,
        high: float,
        opened: float = 100,
        marks: tuple[float, float] | None = None,
    ) -> None:
        mark_low, mark_high = marks or (low, high)
        values = [number(value) for value in (opened, high, low, mark_high, mark_low)]
        self.closed.append(Candle(end, *values))


def request(side: str = "BUY", quantity: float = 2, **values: Any) -> OrderRequest:
    values = {"type": "LIMIT" if "price" in values else "MARKET"} | values
    values = {
        name: number(value) if isinstance(value, (int, float)) and value is not True else value
        for name, value in values.items()
    }
    return OrderRequest(BTC, side, quantity=number(quantity), **values)


def stop(trigger: float, side: str = "SELL", **values: Any) -> OrderRequest:
    given: dict[str, Any] = {"type": "STOP_MARKET", "reduce_only": True, **values}
    return request(side, trigger_price=trigger, **given)


def booked(account: Account, kind: str) -> list[Decimal]:
    return [income.amount for income in account.incomes if income.type == kind]


def refused(code: int) -> Any:
    return pytest.raises(RequestError, check=lambda error: error.code == code)
