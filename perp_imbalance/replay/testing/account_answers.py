"""Binance's answers about an account, as pure functions of its records."""

from decimal import Decimal
from typing import Any

from perp_imbalance.replay.testing.account import Account
from perp_imbalance.replay.testing.brackets import brackets, maintenance
from perp_imbalance.replay.testing.records import (
    CANCELED,
    ZERO,
    AlgoOrder,
    Fill,
    Income,
    Order,
    Position,
)

Json = dict[str, Any]

ASSET = "USDT"
# More decimals than any price or amount of Binance has.
FINEST = Decimal("1e-12")
# What the third version of Binance's answers does not tell of a position any more.
ONLY_SECOND_VERSION = frozenset(
    {"leverage", "marginType", "isolated", "isAutoAddMargin", "maxNotionalValue"}
)


def plain(value: Decimal) -> str:
    """Return a number as text, without an exponent and without trailing zeros."""
    text = f"{value.quantize(FINEST):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def order_answer(order: Order) -> Json:
    """Return the answer about an order."""
    request = order.request
    kind = "LIMIT" if request.price else "MARKET"
    return {
        "orderId": order.id,
        "symbol": request.symbol,
        "status": order.status,
        "clientOrderId": request.client_id or f"replay-{order.id}",
        "price": plain(order.price),
        "avgPrice": plain(order.average),
        "origQty": plain(order.quantity),
        "executedQty": plain(order.executed),
        "cumQty": plain(order.executed),
        "cumQuote": plain(order.quote),
        "timeInForce": request.time_in_force,
        "type": kind,
        "origType": request.type,
        "reduceOnly": request.reduce_only,
        "closePosition": request.close_position,
        "side": request.side,
        "positionSide": "BOTH",
        "stopPrice": plain(request.trigger_price),
        "workingType": _working_type(request.by_mark),
        "priceProtect": False,
        "priceMatch": "NONE",
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "goodTillDate": 0,
        "time": order.time,
        "updateTime": order.updated,
    }


def algo_answer(algo: AlgoOrder) -> Json:
    """Return the answer about a conditional order, with the order it placed if it was triggered."""
    request = algo.request
    return {
        "algoId": algo.id,
        "clientAlgoId": request.client_id or f"replay-{algo.id}",
        "algoType": "CONDITIONAL",
        "orderType": request.type,
        "symbol": request.symbol,
        "side": request.side,
        "positionSide": "BOTH",
        "timeInForce": request.time_in_force,
        "quantity": plain(request.quantity),
        "algoStatus": algo.status,
        "actualOrderId": str(algo.order.id) if algo.order else "",
        "actualPrice": plain(algo.order.average) if algo.order else "0",
        "triggerPrice": plain(request.trigger_price),
        "price": plain(request.price),
        "icebergQuantity": None,
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "workingType": _working_type(request.by_mark),
        "priceMatch": "NONE",
        "closePosition": request.close_position,
        "priceProtect": False,
        "reduceOnly": request.reduce_only,
        "createTime": algo.time,
        "updateTime": algo.updated,
        "triggerTime": algo.triggered,
        "goodTillDate": 0,
    }


def cancelled_algo(algo: AlgoOrder) -> Json:
    """Return the answer about a cancelled conditional order."""
    assert algo.status == CANCELED
    return {
        "algoId": algo.id,
        "clientAlgoId": algo.request.client_id,
        "code": "200",
        "msg": "success",
    }


def fill_answer(fill: Fill) -> Json:
    """Return a trade of the account."""
    request = fill.order.request
    return {
        "id": fill.id,
        "orderId": fill.order.id,
        "symbol": request.symbol,
        "side": request.side,
        "positionSide": "BOTH",
        "buyer": request.direction > 0,
        "maker": fill.maker,
        "price": plain(fill.price),
        "qty": plain(fill.quantity),
        "quoteQty": plain(fill.price * fill.quantity),
        "realizedPnl": plain(fill.realized),
        "commission": plain(fill.commission),
        "commissionAsset": ASSET,
        "marginAsset": ASSET,
        "time": fill.time,
    }


def income_answer(income: Income) -> Json:
    """Return a change of the wallet."""
    return {
        "symbol": income.symbol,
        "incomeType": income.type,
        "income": plain(income.amount),
        "asset": ASSET,
        "info": income.type,
        "time": income.time,
        "tranId": income.id,
        "tradeId": "" if income.trade is None else str(income.trade),
    }


def bracket_answer(symbol: str, pair: str) -> Json:
    """Return the leverage brackets of a perp."""
    return {"symbol": symbol, "notionalCoef": 1.0, "brackets": brackets(pair)}


def max_notional(pair: str, leverage: int) -> Decimal:
    """Return the largest value of a position at a leverage; 0 if the leverage is not allowed."""
    allowed = [
        bracket["notionalCap"]
        for bracket in brackets(pair)
        if int(bracket["initialLeverage"]) >= leverage
    ]
    return Decimal(str(max(allowed, default=0)))


def position_answer(account: Account, position: Position, now: int) -> Json:
    """Return a position in the format of version 2 of Binance's API."""
    mark = account.prices.at(position.symbol, now).mark
    pair = account.prices.symbols()[position.symbol].pair
    notional = position.amount * mark
    share, deduction = maintenance(pair, abs(notional))
    margin = position.initial_margin(mark)
    profit = position.unrealized(mark)
    isolated = position.margin + profit if position.isolated else ZERO
    return {
        "symbol": position.symbol,
        "positionSide": "BOTH",
        "positionAmt": plain(position.amount),
        "entryPrice": plain(position.entry_price),
        "breakEvenPrice": plain(position.entry_price),
        "markPrice": plain(mark),
        "unRealizedProfit": plain(profit),
        "unrealizedProfit": plain(profit),
        "liquidationPrice": plain(liquidation_price(position, share, deduction)),
        "isolatedMargin": plain(isolated),
        "isolatedWallet": plain(position.margin),
        "isolated": position.isolated,
        "marginType": "isolated" if position.isolated else "cross",
        "leverage": str(position.leverage),
        "maxNotionalValue": plain(max_notional(pair, position.leverage)),
        "isAutoAddMargin": "false",
        "notional": plain(notional),
        "marginAsset": ASSET,
        "initialMargin": plain(margin + account.orders_margin(position.symbol)),
        "maintMargin": plain(abs(notional) * share - deduction if notional else ZERO),
        "positionInitialMargin": plain(margin),
        "openOrderInitialMargin": plain(account.orders_margin(position.symbol)),
        "adl": 0,
        "bidNotional": "0",
        "askNotional": "0",
        "updateTime": position.updated,
    }


def liquidation_price(position: Position, share: Decimal, deduction: Decimal) -> Decimal:
    """Return the mark price at which an isolated position is liquidated; 0 for none."""
    if not position.amount or not position.isolated:
        return ZERO
    owed = position.margin + deduction - position.amount * position.entry_price
    return max(ZERO, owed / (abs(position.amount) * share - position.amount))


def balance_answer(account: Account, now: int) -> Json:
    """Return the balance of USDT, the only asset of the account."""
    held = [position for position in account.positions.values() if position.amount]
    marks = {position.symbol: account.prices.at(position.symbol, now).mark for position in held}
    profit = sum((item.unrealized(marks[item.symbol]) for item in held), ZERO)
    cross = [item for item in held if not item.isolated]
    cross_profit = sum((item.unrealized(marks[item.symbol]) for item in cross), ZERO)
    margin = sum((item.initial_margin(marks[item.symbol]) for item in held), ZERO)
    orders = account.orders_margin(None)
    available = plain(account.available(now))
    return {
        "accountAlias": "replay",
        "asset": ASSET,
        "balance": plain(account.wallet),
        "walletBalance": plain(account.wallet),
        "unrealizedProfit": plain(profit),
        "marginBalance": plain(account.wallet + profit),
        "initialMargin": plain(margin + orders),
        "positionInitialMargin": plain(margin),
        "openOrderInitialMargin": plain(orders),
        "crossWalletBalance": plain(account.wallet - sum((p.margin for p in held), ZERO)),
        "crossUnPnl": plain(cross_profit),
        "availableBalance": available,
        "maxWithdrawAmount": available,
        "marginAvailable": True,
        "updateTime": now,
    }


def account_answer(account: Account, now: int, version: int) -> Json:
    """Return assets and positions in the format of a version of Binance's API."""
    balance = balance_answer(account, now)
    positions = positions_answer(account, now, version)
    return {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": False,
        "updateTime": 0,
        "multiAssetsMargin": False,
        "totalInitialMargin": balance["initialMargin"],
        "totalWalletBalance": balance["walletBalance"],
        "totalUnrealizedProfit": balance["unrealizedProfit"],
        "totalMarginBalance": balance["marginBalance"],
        "totalPositionInitialMargin": balance["positionInitialMargin"],
        "totalOpenOrderInitialMargin": balance["openOrderInitialMargin"],
        "totalCrossWalletBalance": balance["crossWalletBalance"],
        "totalCrossUnPnl": balance["crossUnPnl"],
        "availableBalance": balance["availableBalance"],
        "maxWithdrawAmount": balance["maxWithdrawAmount"],
        "assets": [balance],
        "positions": positions,
    }


def positions_answer(account: Account, now: int, version: int) -> list[Json]:
    """Return the positions: of all perps, or from version 3 of the API only those in use."""
    if version < 3:
        symbols = account.prices.symbols()
        return [position_answer(account, account.position(symbol), now) for symbol in symbols]
    answers = [
        position_answer(account, position, now)
        for symbol, position in account.positions.items()
        if position.amount or account.open_orders(symbol)
    ]
    return [
        {name: value for name, value in answer.items() if name not in ONLY_SECOND_VERSION}
        for answer in answers
    ]


def _working_type(by_mark: bool) -> str:
    return "MARK_PRICE" if by_mark else "CONTRACT_PRICE"
