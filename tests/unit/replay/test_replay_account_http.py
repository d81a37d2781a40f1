"""The signed endpoints of the replay exchange: who may ask, and what ccxt gets for an answer."""

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt
import pytest
from freqtrade.configuration.load_config import load_from_files
from freqtrade.enums import CandleType, RunMode
from freqtrade.exceptions import FreqtradeException
from freqtrade.misc import deep_merge_dicts
from freqtrade.resolvers import ExchangeResolver
from support.tiny_replay import HOUR, TINY_CANDLES, TINY_START, milliseconds

from perp_imbalance.errors import ReplayError
from perp_imbalance.replay import Replay, account_config, replay_config
from perp_imbalance.replay.query import RequestError
from perp_imbalance.replay.testing import (
    AccountReplay,
    AccountTerms,
    Credentials,
    running_test_replay,
)
from perp_imbalance.replay.testing.signing import KEY_HEADER, sign

BTC = "BTCUSDT"
CREDENTIALS = Credentials("dummy-key", "dummy-secret")
TERMS = AccountTerms(Decimal(1000), CREDENTIALS)
NOW = milliseconds(TINY_START) + TINY_CANDLES * HOUR


@pytest.fixture(scope="module")
def replay(tiny_datadir: Path) -> Iterator[AccountReplay]:
    with running_test_replay(tiny_datadir, clock=lambda: NOW, account=TERMS) as replay:
        yield replay


def send(
    replay: Replay,
    method: str,
    path: str,
    key: str | None = CREDENTIALS.key,
    secret: str = CREDENTIALS.secret,
    **values: Any,
) -> tuple[int, Any]:
    """Send a signed request, as a body where Binance takes one."""
    query = urllib.parse.urlencode({"timestamp": NOW, **values})
    query += f"&signature={sign(query, secret)}"
    in_url = method in ("GET", "DELETE")
    asked = urllib.request.Request(
        f"{replay.url}{path}?{query}" if in_url else replay.url + path,
        data=None if in_url else query.encode(),
        headers={} if key is None else {KEY_HEADER: key},
        method=method,
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(asked, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


BALANCE = ("GET", "/fapi/v3/balance")


def test_a_signed_request_is_answered(replay: AccountReplay) -> None:
    status, answer = send(replay, *BALANCE)
    assert (status, answer[0]["asset"], answer[0]["balance"]) == (200, "USDT", "1000")


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        ({"secret": "other"}, 400, -1022),
        ({"key": "other"}, 401, -2015),
        ({"key": None}, 401, -2014),
        ({"timestamp": NOW - 5001}, 400, -1021),
        ({"timestamp": NOW - 60_001, "recvWindow": 100_000}, 400, -1021),
        ({"timestamp": NOW + 1000}, 400, -1021),
        ({"timestamp": ""}, 400, -1102),
    ],
)
def test_wrong_signature_is_refused_as_by_binance(
    replay: AccountReplay, wrong: dict[str, Any], status: int, code: int
) -> None:
    answer = send(replay, *BALANCE, **wrong)
    assert (answer[0], answer[1]["code"]) == (status, code)


def test_altered_signed_request_is_refused(replay: AccountReplay) -> None:
    query = f"symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.001&timestamp={NOW}"
    signature = sign(query, CREDENTIALS.secret)
    with pytest.raises(RequestError, check=lambda error: error.code == -1022):
        CREDENTIALS.check(
            CREDENTIALS.key, query.replace("0.001", "9") + f"&signature={signature}", NOW
        )


def test_timestamps_within_the_window_are_accepted(replay: AccountReplay) -> None:
    assert send(replay, *BALANCE, timestamp=NOW - 5000)[0] == 200
    assert send(replay, *BALANCE, timestamp=NOW - 9000, recvWindow=10_000)[0] == 200
    assert send(replay, *BALANCE, timestamp=NOW + 999)[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "values", "code"),
    [
        ("GET", "/fapi/v1/order", {"symbol": "NONEUSDT", "orderId": 1}, -1121),
        ("GET", "/fapi/v1/order", {"symbol": BTC, "orderId": 999}, -2013),
        ("DELETE", "/fapi/v1/order", {"symbol": BTC, "orderId": 999}, -2013),
        ("GET", "/fapi/v1/algoOrder", {"algoId": 999}, -2013),
        ("POST", "/fapi/v1/order", {"symbol": BTC, "side": "BUY", "type": "MARKET"}, -1102),
        ("POST", "/fapi/v1/leverage", {"symbol": BTC, "leverage": 151}, -4028),
        ("POST", "/fapi/v1/leverage", {"symbol": BTC, "leverage": 0}, -4028),
        ("POST", "/fapi/v1/marginType", {"symbol": BTC, "marginType": "CROSSED"}, -4046),
        ("POST", "/fapi/v1/marginType", {"symbol": BTC, "marginType": "HALF"}, -1130),
    ],
)
def test_bad_requests_over_http_have_binances_numbers(
    replay: AccountReplay, method: str, path: str, values: dict[str, Any], code: int
) -> None:
    status, answer = send(replay, method, path, **values)
    assert (status, answer["code"]) == (400, code)


def test_without_an_account_no_signed_endpoint_is_there(tiny_replay: Replay) -> None:
    status, answer = send(tiny_replay, *BALANCE)
    assert (status, answer["code"]) == (404, -5000)


def test_replay_without_an_account_says_so(tiny_datadir: Path) -> None:
    with (
        running_test_replay(tiny_datadir) as replay,
        pytest.raises(ReplayError, match="without an account"),
    ):
        assert replay.account


@pytest.fixture
def binance(tiny_datadir: Path) -> Iterator[tuple[Any, AccountReplay]]:
    """A ccxt client of a replay of its own."""
    offset = NOW - int(time.time() * 1000)

    def clock() -> int:
        return int(time.time() * 1000) + offset

    with running_test_replay(tiny_datadir, clock=clock, account=TERMS) as replay:
        settings = replay_config(replay.url)["exchange"]["ccxt_config"]
        client = ccxt.binance(
            {
                **settings,
                "apiKey": CREDENTIALS.key,
                "secret": CREDENTIALS.secret,
                "options": {"defaultType": "future"},
            }
        )
        client.milliseconds = clock
        client.trust_env = False
        client.load_markets()
        yield client, replay


def test_ccxt_opens_and_closes_a_position(binance: tuple[Any, AccountReplay]) -> None:
    client, replay = binance
    pair = "BTC/USDT:USDT"
    client.set_margin_mode("isolated", pair)
    with pytest.raises(ccxt.MarginModeAlreadySet):
        client.set_margin_mode("isolated", pair)
    client.set_leverage(3, pair)
    ask = client.fetch_order_book(pair)["asks"][0][0]
    entry = client.create_order(pair, "limit", "buy", 0.01, ask)
    assert (entry["status"], entry["filled"], entry["average"]) == ("closed", 0.01, ask)
    (position,) = client.fetch_positions([pair])
    assert (position["side"], position["contracts"]) == ("long", 0.01)
    assert position["liquidationPrice"] == pytest.approx(ask * (2 / 3) / 0.996, rel=1e-3)
    trigger = client.create_order(
        pair, "market", "sell", 0.01, params={"stopPrice": ask * 0.9, "reduceOnly": True}
    )
    (waiting,) = client.fetch_open_orders(pair, params={"stop": True})
    assert (waiting["id"], waiting["info"]["workingType"]) == (trigger["id"], "CONTRACT_PRICE")
    client.cancel_order(trigger["id"], pair, params={"stop": True})
    assert client.fetch_order(trigger["id"], pair, params={"stop": True})["status"] == "canceled"
    assert client.fetch_orders(pair, params={"stop": True})[0]["id"] == trigger["id"]
    # As freqtrade asks for a stop with stoploss_price_type "mark".
    asked = {"stopPrice": ask * 0.9, "reduceOnly": True, "workingType": "MARK_PRICE"}
    by_mark = client.create_order(pair, "market", "sell", 0.01, params=asked)
    assert by_mark["info"]["workingType"] == "MARK_PRICE"
    assert replay.account.open_algos()[0].request.by_mark
    client.cancel_order(by_mark["id"], pair, params={"stop": True})
    exited = client.create_order(pair, "market", "sell", 0.01, params={"reduceOnly": True})
    fills = client.fetch_my_trades(pair)
    assert [fill["order"] for fill in fills] == [entry["id"], exited["id"]]
    assert client.fetch_positions([pair]) == []
    balance = client.fetch_balance()["USDT"]
    assert balance["free"] == balance["total"] == float(replay.account.wallet) < 1000
    resting = client.create_order(pair, "limit", "buy", 0.01, ask * 0.5)
    changed = client.edit_order(resting["id"], pair, "limit", "buy", 0.02, ask * 0.4)
    assert changed["amount"] == 0.02
    assert client.fetch_open_order(resting["id"], pair)["price"] == changed["price"]
    client.cancel_all_orders(pair)
    assert client.fetch_open_orders(pair) == []


@pytest.mark.parametrize(
    ("terms", "exchange", "reason"),
    [
        ({"hedge_mode": True}, {}, "Hedge Mode is not supported"),
        ({"multi_assets": True}, {}, "Multi-Asset Mode is not supported"),
        ({}, {"key": ""}, 'binance requires "apiKey" credential'),
        ({}, {"secret": "other"}, "Could not load markets, therefore cannot start"),
        ({}, {}, None),
    ],
)
def test_freqtrade_starts_with_the_right_account_alone(
    tiny_datadir: Path,
    tiny_config: Path,
    terms: dict[str, Any],
    exchange: dict[str, Any],
    reason: str | None,
) -> None:
    """Only with orders for real: in dry-run freqtrade asks for no account."""
    account = AccountTerms(**terms)
    with running_test_replay(tiny_datadir, account=account) as replay:
        overlay = deep_merge_dicts(account_config(), replay_config(replay.url))
        config = deep_merge_dicts(overlay, load_from_files([str(tiny_config)]))
        config["exchange"] |= exchange
        config |= {"runmode": RunMode.LIVE, "candle_type_def": CandleType.FUTURES}
        if reason is None:
            ExchangeResolver.load_exchange(config).close()
        else:
            with pytest.raises(FreqtradeException, match=re.escape(reason)):
                ExchangeResolver.load_exchange(config)


@pytest.mark.parametrize(
    ("code", "expected"), [(-2019, ccxt.InsufficientFunds), (-2010, ccxt.InvalidOrder)]
)
def test_ccxt_maps_refusals_to_its_errors(code: int, expected: type[Exception]) -> None:
    """ccxt keeps some of Binance's numbers by address, so at a replay's they are unknown to it."""
    body = {"code": code, "msg": "Margin is insufficient."}
    asked = ("https://fapi.binance.com/fapi/v1/order", "POST")
    with pytest.raises(expected):
        ccxt.binance().handle_errors(400, "", *asked, {}, json.dumps(body), body, {}, "")
