"""The account of the replay exchange: fills, stops, margin, funding."""

from decimal import Decimal
from typing import Any

import pytest
from support.one_perp import BTC, OnePerp, booked, number, refused, request, stop

from perp_imbalance.replay.query import RequestError
from perp_imbalance.replay.testing import Account, AccountTerms
from perp_imbalance.replay.testing.account_answers import balance_answer, position_answer
from perp_imbalance.replay.testing.prices import Funding
from perp_imbalance.replay.testing.records import OrderRequest


@pytest.fixture
def market() -> OnePerp:
    return OnePerp()


@pytest.fixture
def account(market: OnePerp) -> Account:
    account = Account(AccountTerms(Decimal(1000)), market)
    account.settle(1)
    account.position(BTC).isolated = True
    account.position(BTC).leverage = 2
    return account


def test_market_order_crosses_and_pays_the_taker_fee(account: Account) -> None:
    order = account.place(request(), 10)
    assert (order.status, order.average) == ("FILLED", number(101))
    assert account.position(BTC).amount == 2
    assert account.position(BTC).margin == 101
    assert booked(account, "COMMISSION") == [number(-2 * 101 * 0.0005)]
    assert account.wallet == 1000 - number("0.101")
    assert account.place(request("SELL", reduce_only=True), 20).average == 100
    assert booked(account, "REALIZED_PNL") == [-2]
    assert account.available(20) == account.wallet == 1000 - 2 - number("0.201")


def test_a_limit_order_that_crosses_fills_at_the_better_price(account: Account) -> None:
    assert account.place(request(price=103), 10).average == 101
    assert account.place(request("SELL", price=98, reduce_only=True), 10).average == 100


def test_a_resting_order_fills_when_a_candle_reaches_it(account: Account, market: OnePerp) -> None:
    order = account.place(request(price=95), 10)
    assert order.status == "NEW"
    assert account.available(10) == 1000 - 95
    market.closes(100, low=95.1, high=101)
    account.settle(100)
    assert order.status == "NEW"
    market.closes(200, low=94, high=101)
    account.settle(250)
    assert (order.status, order.average, order.updated) == ("FILLED", number(95), 200)
    assert account.fills[0].maker
    assert booked(account, "COMMISSION") == [number(-2 * 95 * 0.0002)]


def test_a_resting_order_fills_when_the_quote_comes_to_it(
    account: Account, market: OnePerp
) -> None:
    order = account.place(request("SELL", price=110), 10)
    market.quotes(bid=111)
    account.settle(20)
    assert (order.status, order.average) == ("FILLED", number(110))
    assert account.position(BTC).amount == -2


def test_order_does_not_fill_before_it_is_placed(account: Account, market: OnePerp) -> None:
    market.closes(9, low=50, high=200)
    order = account.place(request(price=95), 10)
    account.settle(11)
    assert order.status == "NEW"


def test_orders_that_must_not_rest_expire_or_are_refused(account: Account) -> None:
    assert account.place(request(price=95, time_in_force="IOC"), 10).status == "EXPIRED"
    with refused(-5021):
        account.place(request(price=95, time_in_force="FOK"), 10)
    with refused(-5022):
        account.place(request(price=105, time_in_force="GTX"), 10)


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (request(quantity=0), -4003),
        (request(quantity=1.0001), -1111),
        (request(price=99.95), -4014),
        (request(price=0), -4001),
        (request(quantity=0.001), -4164),
        (request(side="HOLD"), -1117),
        (request(price=99, time_in_force="DAY"), -1115),
        (request(type="STOP_MARKET"), -4120),
        (request(type="TWAP"), -1116),
        (request("SELL", reduce_only=True), -2022),
        (request(quantity=20), -2019),
    ],
)
def test_what_binance_refuses_is_refused_with_its_number(
    account: Account, order: OrderRequest, code: int
) -> None:
    with refused(code):
        account.place(order, 10)
    assert not account.orders
    assert account.wallet == 1000


def test_margin_is_counted_with_leverage_and_orders(account: Account) -> None:
    account.place(request(quantity=10, price=90), 10)
    assert account.available(10) == 1000 - 450
    with refused(-2019):
        account.place(request(quantity=11), 10)
    account.cancel(account.orders[0], 10)
    assert account.available(10) == 1000
    account.place(request(quantity=11), 10)


def test_entries_are_refused_on_demand_and_exits_are_not(account: Account) -> None:
    account.place(request(), 10)
    account.refusal = RequestError(-2010, "Order would be rejected.")
    with refused(-2010):
        account.place(request(), 10)
    assert account.place(request("SELL", reduce_only=True), 10).status == "FILLED"
    account.refusal = None
    assert account.place(request(), 10).status == "FILLED"


def test_an_entry_can_be_filled_in_part_with_the_rest_later(account: Account) -> None:
    account.split_next_entry(0.4, rest_after_ms=100)
    order = account.place(request(price=105), 10)
    assert (order.status, order.executed) == ("PARTIALLY_FILLED", number("0.8"))
    account.settle(109)
    assert order.status == "PARTIALLY_FILLED"
    account.settle(110)
    assert (order.status, account.position(BTC).amount) == ("FILLED", number(2))
    assert [fill.price for fill in account.fills] == [101, 105]
    assert account.position(BTC).entry_price == order.average == number("103.4")


def test_unfilled_rest_of_an_order_can_be_cancelled(account: Account, market: OnePerp) -> None:
    account.split_next_entry(0.4)
    order = account.place(request(price=105), 10)
    market.closes(100, low=50, high=200)
    account.settle(200)
    account.cancel(order, 200)
    assert (order.status, account.position(BTC).amount) == ("CANCELED", number("0.8"))
    assert account.place(request(), 300).status == "FILLED"
    with refused(-2011):
        account.cancel(order, 300)


def test_an_order_can_be_changed_while_it_rests(account: Account) -> None:
    order = account.place(request(price=90), 10)
    account.change(order, number(3), number(95), 20)
    assert (order.price, order.quantity, order.status) == (number(95), number(3), "NEW")
    with refused(-4014):
        account.change(order, number(3), number("95.05"), 20)
    account.change(order, number(3), number(101), 20)
    assert order.status == "FILLED"
    with refused(-5027):
        account.change(order, number(3), number(95), 20)


def test_a_stop_fills_at_its_trigger_inside_a_candle(account: Account, market: OnePerp) -> None:
    account.place(request(), 10)
    algo = account.place_algo(stop(90), 20)
    market.closes(100, low=90.1, high=120)
    account.settle(100)
    assert algo.status == "NEW"
    market.closes(200, low=80, high=120)
    account.settle(300)
    assert algo.status == "FINISHED"
    assert algo.order is not None
    assert (algo.order.status, algo.order.average, algo.triggered) == ("FILLED", number(90), 200)
    assert account.position(BTC).amount == 0


def test_stop_beyond_a_candles_open_fills_at_the_open(account: Account, market: OnePerp) -> None:
    account.place(request("SELL"), 10)
    algo = account.place_algo(stop(110, "BUY"), 20)
    market.closes(100, low=112, high=120, opened=115)
    account.settle(100)
    assert algo.order is not None
    assert algo.order.average == 115


def test_mark_price_stop_uses_the_mark_price_only(account: Account, market: OnePerp) -> None:
    account.place(request(), 10)
    algo = account.place_algo(stop(90, by_mark=True), 20)
    market.quotes(bid=89, mark=91)
    account.settle(30)
    assert algo.status == "NEW"
    market.quotes(bid=89, mark=90)
    account.settle(40)
    assert algo.order is not None
    assert algo.order.average == 89


@pytest.mark.parametrize(
    ("by_mark", "low", "marks", "filled_at"),
    [
        # A wick of traded prices that the mark price does not follow, and the other way round.
        (False, 80, (95, 101), 90),
        (True, 80, (95, 101), None),
        (False, 91, (85, 101), None),
        (True, 91, (85, 101), 91),
        (True, 80, (90, 101), 90),
    ],
)
def test_candle_triggers_a_stop_by_the_price_it_asks_for(
    account: Account,
    market: OnePerp,
    by_mark: bool,
    low: float,
    marks: tuple[float, float],
    filled_at: float | None,
) -> None:
    account.place(request(), 10)
    asked: dict[str, Any] = {"by_mark": True} if by_mark else {}
    algo = account.place_algo(stop(90, **asked), 20)
    market.closes(100, low=low, high=101, marks=marks)
    account.settle(100)
    assert (algo.order and algo.order.average) == filled_at
    assert algo.is_open is (filled_at is None)


def test_a_stop_that_would_trigger_at_once_is_refused(account: Account) -> None:
    account.place(request(), 10)
    with refused(-2021):
        account.place_algo(stop(100), 20)
    with refused(-2021):
        account.place_algo(stop(99, type="TAKE_PROFIT_MARKET"), 20)
    with refused(-1116):
        account.place_algo(stop(90, type="LIMIT", price=90), 20)
    assert account.place_algo(stop(110, type="TAKE_PROFIT_MARKET"), 20).status == "NEW"


def test_stop_without_a_position_sends_no_order(account: Account, market: OnePerp) -> None:
    account.place(request(), 10)
    algo = account.place_algo(stop(90), 20)
    account.place(request("SELL", reduce_only=True), 30)
    market.quotes(bid=80)
    account.settle(40)
    assert (algo.status, algo.order) == ("EXPIRED", None)
    assert account.position(BTC).amount == 0


def test_reduce_only_order_closes_at_most_the_position(account: Account) -> None:
    account.place(request(), 10)
    order = account.place(request("SELL", quantity=3, reduce_only=True), 20)
    assert (order.status, order.executed) == ("EXPIRED", number(2))
    assert account.position(BTC).amount == 0


def test_order_can_reverse_a_position(account: Account) -> None:
    account.place(request(), 10)
    account.place(request("SELL", quantity=5), 20)
    position = account.position(BTC)
    assert (position.amount, position.entry_price, position.margin) == (
        number(-3),
        number(100),
        number(150),
    )
    assert booked(account, "REALIZED_PNL") == [-2]


def test_funding_is_paid_by_the_side_that_is_held_then(account: Account, market: OnePerp) -> None:
    market.charged = [
        Funding(5, number("0.001"), number(100)),
        Funding(100, number("0.001"), number(110)),
        Funding(200, number("-0.002"), number(120)),
    ]
    account.place(request(), 10)
    before, margin = account.wallet, account.position(BTC).margin
    account.settle(150)
    assert booked(account, "FUNDING_FEE") == [number("-0.22")]
    assert account.wallet == before - number("0.22")
    assert account.position(BTC).margin == margin - number("0.22")
    account.place(request("SELL", quantity=4), 160)
    account.settle(250)
    assert booked(account, "FUNDING_FEE") == [number("-0.22"), number("-0.48")]


def test_closed_position_pays_no_funding_at_candle_end(account: Account, market: OnePerp) -> None:
    account.place(request(), 10)
    account.place_algo(stop(90), 20)
    market.closes(100, low=80, high=101)
    market.charged = [Funding(100, number("0.001"), number(80))]
    account.settle(200)
    assert booked(account, "FUNDING_FEE") == []


def test_the_wallet_is_the_sum_of_its_incomes(account: Account, market: OnePerp) -> None:
    market.charged = [Funding(100, number("0.001"), number(110))]
    account.place(request(quantity=1.234), 10)
    account.split_next_entry(0.3, 50)
    account.place(request(quantity=3, price=107), 20)
    account.place(request("SELL", quantity=2, reduce_only=True), 150)
    assert account.wallet == 1000 + sum(income.amount for income in account.incomes)
    assert len(account.incomes) == 6


def test_answers_name_margin_profit_and_liquidation(account: Account, market: OnePerp) -> None:
    account.place(request(), 10)
    market.quotes(bid=111)
    position = position_answer(account, account.position(BTC), 20)
    assert (position["positionAmt"], position["entryPrice"]) == ("2", "101")
    assert (position["notional"], position["unRealizedProfit"]) == ("222", "20")
    assert (position["initialMargin"], position["isolatedWallet"]) == ("111", "101")
    # 101 of margin, of which 0.4 % of the worth must remain.
    assert float(position["liquidationPrice"]) == pytest.approx((101 - 202) / (2 * 0.004 - 2))
    balance = balance_answer(account, 20)
    assert balance["walletBalance"] == "999.899"
    assert balance["marginBalance"] == "1019.899"
    assert balance["availableBalance"] == "898.899"
