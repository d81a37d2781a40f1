"""What ends a position behind a bot's back leaves the account as Binance leaves it."""

from decimal import Decimal
from typing import Any

import ccxt
import pytest
from support.one_perp import BTC, OnePerp, booked, number, refused, request, stop

from perp_imbalance.replay.testing import Account, AccountTerms
from perp_imbalance.replay.testing.account_answers import order_answer
from perp_imbalance.replay.testing.forced import (
    close_by_hand,
    deleverage,
    liquidate,
)

FORCED = [liquidate, deleverage]


@pytest.fixture
def market() -> OnePerp:
    return OnePerp()


@pytest.fixture(params=["BUY", "SELL"])
def account(request: pytest.FixtureRequest, market: OnePerp) -> Account:
    """An account with a position of 2 at leverage 2, its stop, and an order that rests."""
    return opened(market, request.param)


def opened(market: OnePerp, side: str) -> Account:
    account = Account(AccountTerms(Decimal(1000)), market)
    account.settle(1)
    account.position(BTC).isolated = True
    account.position(BTC).leverage = 2
    account.place(request(side), 10)
    other, trigger = ("SELL", 80) if side == "BUY" else ("BUY", 120)
    account.place_algo(stop(trigger, other, quantity=2), 20)
    account.place(request("BUY", price=50), 20)
    return account


@pytest.mark.parametrize("force", FORCED)
def test_exchange_cancels_all_orders_and_closes(account: Account, force: Any) -> None:
    order = force(account, BTC, 30)
    assert (order.status, order.executed) == ("FILLED", 2)
    assert account.position(BTC).amount == account.position(BTC).margin == 0
    assert not account.open_orders()
    assert not account.open_algos()
    assert account.wallet == 1000 + sum(income.amount for income in account.incomes)


@pytest.mark.parametrize(
    ("force", "name"),
    [(liquidate, "autoclose-"), (deleverage, "adl_autoclose")],
)
def test_forced_order_has_the_form_that_ccxt_knows(account: Account, force: Any, name: str) -> None:
    answer = order_answer(force(account, BTC, 30))
    assert answer["clientOrderId"].startswith(name)
    kinds = [answer[key] for key in ("type", "origType", "timeInForce", "reduceOnly")]
    assert kinds == ["LIMIT", "LIMIT", "IOC", False]
    parsed = ccxt.binance().parse_order(answer)
    assert (parsed["status"], parsed["filled"], parsed["type"]) == ("closed", 2, "limit")


def test_liquidation_takes_the_whole_margin_and_no_more(account: Account) -> None:
    margin, before = account.position(BTC).margin, account.wallet
    order = liquidate(account, BTC, 30)
    assert account.wallet == before - margin
    # Before the margin is used up: what is left goes to the insurance fund.
    assert booked(account, "INSURANCE_CLEAR")[0] < 0
    assert (order.average - order.price) * order.request.direction < 0


@pytest.mark.parametrize(("side", "share"), [("BUY", 0.5), ("SELL", 0.25)])
def test_deleveraging_takes_a_share_without_a_fee(market: OnePerp, side: str, share: float) -> None:
    account = opened(market, side)
    market.quotes(bid=105, mark=110)
    fees, amount = booked(account, "COMMISSION"), account.position(BTC).amount
    order = deleverage(account, BTC, 30, number(share))
    assert account.position(BTC).amount == amount * number(1 - share)
    assert order.average == 110
    assert sum(booked(account, "COMMISSION")) == sum(fees)


def test_manual_close_of_a_share_leaves_the_orders(account: Account) -> None:
    order = close_by_hand(account, BTC, 30, number(0.5))
    assert (order.request.type, order.request.reduce_only) == ("MARKET", True)
    assert abs(account.position(BTC).amount) == 1
    assert len(account.open_orders()) == len(account.open_algos()) == 1
    close_by_hand(account, BTC, 40)
    assert account.position(BTC).amount == 0


@pytest.mark.parametrize("force", [*FORCED, close_by_hand])
def test_nothing_is_closed_where_nothing_is_held(market: OnePerp, force: Any) -> None:
    with refused(-2022):
        force(Account(AccountTerms(Decimal(1000)), market), BTC, 30)


def test_delisting_settles_the_position_at_the_mark_price(
    account: Account, market: OnePerp
) -> None:
    market.quotes(bid=105, mark=110)
    market.status = "BREAK"
    account.settle(30)
    assert account.position(BTC).amount == 0
    order = account.orders[-1]
    assert order.request.client_id.startswith("settlement_autoclose-")
    assert order.average == 110
