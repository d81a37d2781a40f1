"""HTTP endpoints of an account: Binance's signed endpoints that freqtrade calls."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from aiohttp import web

from perp_imbalance.replay.query import Query, RequestError
from perp_imbalance.replay.testing import account_answers as answers
from perp_imbalance.replay.testing.account import Account
from perp_imbalance.replay.testing.order_checks import refuse
from perp_imbalance.replay.testing.records import ZERO, AlgoOrder, Order, OrderRequest
from perp_imbalance.replay.testing.signing import KEY_HEADER, UNAUTHORIZED

Answer = Callable[[Account, Query, int], Any]

LISTED_DEFAULT, LISTED_MAX = 500, 1000
# Far fewer than of all else: three months of funding fees do not fit into one answer.
INCOME_DEFAULT = 100
DONE = {"code": 200, "msg": "success"}
ALL_CANCELLED = {"code": 200, "msg": "The operation of cancel all open order is done."}


class _Timed(Protocol):
    @property
    def time(self) -> int: ...


Timed = TypeVar("Timed", bound=_Timed)
Placed = TypeVar("Placed", Order, AlgoOrder)


def add_account_routes(
    app: web.Application,
    account: Account,
    clock: Callable[[], int],
    told: Callable[[], int] | None = None,
) -> None:
    """Add the signed endpoints of an account to the replay exchange.

    :param told: the clock for the check of a request's time; by default the exchange's
    """
    for (method, path), answer in ROUTES.items():
        app.router.add_route(method, path, _signed(answer, account, clock, told or clock))


def _signed(
    answer: Answer, account: Account, clock: Callable[[], int], told: Callable[[], int]
) -> Any:
    async def handle(request: web.Request) -> web.StreamResponse:
        # As it was sent: what aiohttp has read of it is not what was signed.
        sent = request.raw_path.partition("?")[2] + await request.text()
        now = clock()
        try:
            query = account.terms.credentials.check(request.headers.get(KEY_HEADER), sent, told())
        except RequestError as error:
            if error.code not in UNAUTHORIZED:
                raise
            return web.json_response({"code": error.code, "msg": str(error)}, status=401)
        account.settle(now)
        return web.json_response(answer(account, query, now))

    return handle


def _symbol(account: Account, query: Query) -> str:
    symbol = query.text("symbol")
    if symbol not in account.prices.symbols():
        refuse(-1121, "Invalid symbol.")
    return symbol


def _some_symbol(account: Account, query: Query) -> str | None:
    return _symbol(account, query) if query.has("symbol") else None


def _id(query: Query, name: str) -> int | None:
    return query.integer(name, 0) if query.has(name) else None


def _client_id(query: Query, name: str) -> str | None:
    return query.text(name) if query.has(name) else None


def _listed(items: Iterable[Timed], query: Query, default: int = LISTED_DEFAULT) -> list[Timed]:
    """Return the items of the requested time: the first ones, or the last ones without a time."""
    window = query.window(default, LISTED_MAX)
    found = [
        item
        for item in items
        if (window.start or 0) <= item.time <= (item.time if window.end is None else window.end)
    ]
    return found[-window.limit :] if window.start is None else found[: window.limit]


def _request(account: Account, query: Query, client_id: str) -> OrderRequest:
    if query.has("positionSide") and query.text("positionSide") != "BOTH":
        refuse(-4061, "Order's position side does not match user's setting.")
    kind = query.text("type")
    closes = query.flag("closePosition")
    working_type = query.text("workingType") if query.has("workingType") else "CONTRACT_PRICE"
    if working_type not in ("CONTRACT_PRICE", "MARK_PRICE"):
        refuse(-4031, f"Invalid parameter working type: {working_type}")
    return OrderRequest(
        symbol=_symbol(account, query),
        side=query.text("side"),
        type=kind,
        quantity=ZERO if closes else query.decimal("quantity"),
        price=ZERO if kind.endswith("MARKET") else query.decimal("price"),
        time_in_force=query.text("timeInForce") if query.has("timeInForce") else "GTC",
        reduce_only=query.flag("reduceOnly"),
        client_id=_client_id(query, client_id) or "",
        trigger_price=query.decimal("triggerPrice", ZERO),
        by_mark=working_type == "MARK_PRICE",
        close_position=closes,
    )


def _found(account: Account, query: Query) -> Order:
    client_id = _client_id(query, "origClientOrderId")
    return account.find(_id(query, "orderId"), client_id, _symbol(account, query))


def _found_algo(account: Account, query: Query) -> AlgoOrder:
    return account.find_algo(_id(query, "algoId"), _client_id(query, "clientAlgoId"))


def _place(account: Account, query: Query, now: int) -> Any:
    request = _request(account, query, "newClientOrderId")
    return answers.order_answer(account.place(request, now))


def _change(account: Account, query: Query, now: int) -> Any:
    order = _found(account, query)
    changed = account.change(order, query.decimal("quantity"), query.decimal("price"), now)
    return answers.order_answer(changed)


def _order(account: Account, query: Query, now: int) -> Any:
    return answers.order_answer(_found(account, query))


def _open_order(account: Account, query: Query, now: int) -> Any:
    order = _found(account, query)
    if not order.is_open:
        refuse(-2013, "Order does not exist.")
    return answers.order_answer(order)


def _cancel(account: Account, query: Query, now: int) -> Any:
    return answers.order_answer(account.cancel(_found(account, query), now))


def _place_algo(account: Account, query: Query, now: int) -> Any:
    if query.text("algoType") != "CONDITIONAL":
        refuse(-1116, "Invalid orderType.")
    request = _request(account, query, "clientAlgoId")
    return answers.algo_answer(account.place_algo(request, now))


def _algo(account: Account, query: Query, now: int) -> Any:
    return answers.algo_answer(_found_algo(account, query))


def _cancel_algo(account: Account, query: Query, now: int) -> Any:
    return answers.cancelled_algo(account.cancel_algo(_found_algo(account, query), now))


def _list_open(opened: Callable[..., list[Placed]], answer: Callable[[Placed], Any]) -> Answer:
    """Return the handler that lists open orders of one kind, of one symbol or of all."""

    def handle(account: Account, query: Query, now: int) -> Any:
        return [answer(order) for order in opened(account, _some_symbol(account, query))]

    return handle


def _cancel_all(opened: Callable[..., list[Placed]], cancel: Callable[..., Any]) -> Answer:
    """Return the handler that cancels a symbol's open orders of one kind."""

    def handle(account: Account, query: Query, now: int) -> Any:
        for order in opened(account, _symbol(account, query)):
            cancel(account, order, now)
        return ALL_CANCELLED

    return handle


def _list_all(placed: Callable[[Account], list[Placed]], answer: Callable[[Placed], Any]) -> Answer:
    """Return the handler that lists a symbol's orders of one kind, open or closed."""

    def handle(account: Account, query: Query, now: int) -> Any:
        symbol = _symbol(account, query)
        orders = [order for order in placed(account) if order.request.symbol == symbol]
        return [answer(order) for order in _listed(orders, query)]

    return handle


def _fills(account: Account, query: Query, now: int) -> Any:
    symbol, order_id = _symbol(account, query), _id(query, "orderId")
    fills = [
        fill
        for fill in account.fills
        if fill.order.request.symbol == symbol and order_id in (None, fill.order.id)
    ]
    return [answers.fill_answer(fill) for fill in _listed(fills, query)]


def _incomes(account: Account, query: Query, now: int) -> Any:
    symbol = _some_symbol(account, query)
    kind = query.text("incomeType") if query.has("incomeType") else None
    incomes = [
        income
        for income in account.incomes
        if symbol in (None, income.symbol) and kind in (None, income.type)
    ]
    return [answers.income_answer(income) for income in _listed(incomes, query, INCOME_DEFAULT)]


def _balance(account: Account, query: Query, now: int) -> Any:
    return [answers.balance_answer(account, now)]


def _account(version: int) -> Answer:
    return lambda account, query, now: answers.account_answer(account, now, version)


def _positions(version: int) -> Answer:
    def answer(account: Account, query: Query, now: int) -> Any:
        symbol = _some_symbol(account, query)
        positions = answers.positions_answer(account, now, version)
        return [item for item in positions if symbol in (None, item["symbol"])]

    return answer


def _leverage(account: Account, query: Query, now: int) -> Any:
    symbol, leverage = _symbol(account, query), query.integer("leverage", 0)
    allowed = answers.max_notional(account.prices.symbols()[symbol].pair, max(leverage, 1))
    if leverage < 1 or not allowed:
        refuse(-4028, f"Leverage {leverage} is not valid")
    position = account.position(symbol)
    if position.amount and position.isolated and leverage < position.leverage:
        refuse(
            -4161,
            "Leverage reduction is not supported in Isolated Margin Mode with open positions.",
        )
    position.leverage = leverage
    return {"symbol": symbol, "leverage": leverage, "maxNotionalValue": answers.plain(allowed)}


def _margin_type(account: Account, query: Query, now: int) -> Any:
    symbol, kind = _symbol(account, query), query.text("marginType")
    if kind not in ("ISOLATED", "CROSSED"):
        refuse(-1130, "Data sent for parameter 'marginType' is not valid.")
    position = account.position(symbol)
    if position.isolated == (kind == "ISOLATED"):
        refuse(-4046, "No need to change margin type.")
    if position.amount:
        refuse(-4048, "Margin type cannot be changed if there exists position.")
    if account.open_orders(symbol):
        refuse(-4047, "Margin type cannot be changed if there exists open orders.")
    position.isolated = kind == "ISOLATED"
    return DONE


def _brackets(account: Account, query: Query, now: int) -> Any:
    asked = _some_symbol(account, query)
    found = [
        answers.bracket_answer(name, symbol.pair)
        for name, symbol in account.prices.symbols().items()
        if asked in (None, name)
    ]
    return found if asked is None else found[0]


def _position_mode(account: Account, query: Query, now: int) -> Any:
    return {"dualSidePosition": account.terms.hedge_mode}


def _asset_mode(account: Account, query: Query, now: int) -> Any:
    return {"multiAssetsMargin": account.terms.multi_assets}


def _account_config(account: Account, query: Query, now: int) -> Any:
    modes = {**_position_mode(account, query, now), **_asset_mode(account, query, now)}
    return {"feeTier": 0, "canTrade": True, "canWithdraw": False, "updateTime": 0, **modes}


def _fees(account: Account, query: Query, now: int) -> Any:
    return {
        "symbol": _symbol(account, query),
        "makerCommissionRate": answers.plain(account.terms.maker_fee),
        "takerCommissionRate": answers.plain(account.terms.taker_fee),
    }


def _spot_account(account: Account, query: Query, now: int) -> Any:
    return {"canTrade": False, "accountType": "SPOT", "updateTime": now, "balances": []}


def _nothing(account: Account, query: Query, now: int) -> Any:
    return []


ROUTES: dict[tuple[str, str], Answer] = {
    ("POST", "/fapi/v1/order"): _place,
    ("GET", "/fapi/v1/order"): _order,
    ("PUT", "/fapi/v1/order"): _change,
    ("DELETE", "/fapi/v1/order"): _cancel,
    ("GET", "/fapi/v1/openOrder"): _open_order,
    ("GET", "/fapi/v1/openOrders"): _list_open(Account.open_orders, answers.order_answer),
    ("DELETE", "/fapi/v1/allOpenOrders"): _cancel_all(Account.open_orders, Account.cancel),
    ("GET", "/fapi/v1/allOrders"): _list_all(lambda account: account.orders, answers.order_answer),
    ("POST", "/fapi/v1/algoOrder"): _place_algo,
    ("GET", "/fapi/v1/algoOrder"): _algo,
    ("DELETE", "/fapi/v1/algoOrder"): _cancel_algo,
    ("GET", "/fapi/v1/openAlgoOrders"): _list_open(Account.open_algos, answers.algo_answer),
    ("DELETE", "/fapi/v1/algoOpenOrders"): _cancel_all(Account.open_algos, Account.cancel_algo),
    ("GET", "/fapi/v1/allAlgoOrders"): _list_all(
        lambda account: account.algos, answers.algo_answer
    ),
    ("GET", "/fapi/v1/userTrades"): _fills,
    ("GET", "/fapi/v1/income"): _incomes,
    ("GET", "/fapi/v2/balance"): _balance,
    ("GET", "/fapi/v3/balance"): _balance,
    ("GET", "/fapi/v2/account"): _account(2),
    ("GET", "/fapi/v3/account"): _account(3),
    ("GET", "/fapi/v2/positionRisk"): _positions(2),
    ("GET", "/fapi/v3/positionRisk"): _positions(3),
    ("POST", "/fapi/v1/leverage"): _leverage,
    ("POST", "/fapi/v1/marginType"): _margin_type,
    ("GET", "/fapi/v1/leverageBracket"): _brackets,
    ("GET", "/fapi/v1/positionSide/dual"): _position_mode,
    ("GET", "/fapi/v1/multiAssetsMargin"): _asset_mode,
    ("GET", "/fapi/v1/accountConfig"): _account_config,
    ("GET", "/fapi/v1/commissionRate"): _fees,
    ("GET", "/api/v3/account"): _spot_account,
    # ccxt asks for these with the market list as soon as it has a key.
    ("GET", "/sapi/v1/capital/config/getall"): _nothing,
    ("GET", "/sapi/v1/margin/allPairs"): _nothing,
    ("GET", "/sapi/v1/margin/isolated/allPairs"): _nothing,
}
