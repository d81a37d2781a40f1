"""Right answers of a replay exchange that arrive wrong, and clocks and rules that change."""

import http.client
import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt
import pytest
from support.tiny_replay import HOUR, TINY_START, get, milliseconds

from perp_imbalance.replay import Replay, account_config, replay_config
from perp_imbalance.replay.testing import (
    AccountTerms,
    ClockSkew,
    Fault,
    HalfAnswers,
    LostAnswers,
    ReorderedCandles,
    RepeatedCandles,
    TickChange,
    running_test_replay,
)

BTC, PERP = "BTCUSDT", "BTC/USDT:USDT"
NOW = milliseconds(TINY_START) + 100 * HOUR
TERMS = AccountTerms(Decimal(1000))


def running(datadir: Path, *faults: Fault, now: int = NOW) -> Any:
    return running_test_replay(datadir, clock=lambda: now, account=TERMS, faults=faults)


def hours(replay: Replay, path: str = "/fapi/v1/klines") -> list[int]:
    """Return how long ago the newest candles began."""
    _, rows = get(replay.url, path, symbol=BTC, interval="1h", limit=5)
    return [(NOW - row[0]) // HOUR for row in rows]


def client(replay: Replay) -> ccxt.binance:
    """Return ccxt's, whose clock is that of the exchange."""
    settings = replay_config(replay.url)["exchange"]["ccxt_config"]
    keys = account_config()["exchange"]
    asking = ccxt.binance(
        {**settings, "apiKey": keys["key"], "secret": keys["secret"], "timeout": 5000}
    )
    asking.options["defaultType"] = "future"
    asking.options["fetchMarkets"] = {"types": ["linear"]}
    asking.options["fetchCurrencies"] = False
    asking.milliseconds = lambda: NOW
    return asking


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        (RepeatedCandles(candles=2), [4, 3, 2, 1, 1, 0, 0]),
        (ReorderedCandles(candles=3), [4, 3, 0, 1, 2]),
        (ReorderedCandles(paths=["/api/v3/*"]), [4, 3, 2, 1, 0]),
        (RepeatedCandles(end=TINY_START), [4, 3, 2, 1, 0]),
    ],
    ids=["repeated", "reordered", "other path", "over"],
)
def test_newest_candles_come_twice_or_in_wrong_order(
    tiny_datadir: Path, fault: Fault, seen: list[int]
) -> None:
    with running(tiny_datadir, fault) as replay:
        assert hours(replay) == seen


def test_connection_breaks_in_the_middle_of_an_answer(tiny_datadir: Path) -> None:
    with running(tiny_datadir, HalfAnswers(paths=["*/time"])) as replay:
        with pytest.raises(http.client.IncompleteRead) as cut:
            get(replay.url, "/fapi/v1/time")
        assert cut.value.partial == json.dumps({"serverTime": NOW}).encode()[:14]
        with pytest.raises(ccxt.NetworkError):
            client(replay).fetch_time()


def test_cut_answer_can_look_complete(tiny_datadir: Path) -> None:
    fault = HalfAnswers(announced="half", paths=["*/time"])
    with running(tiny_datadir, fault) as replay, pytest.raises(json.JSONDecodeError):
        get(replay.url, "/fapi/v1/time")


def place(replay: Replay) -> Any:
    return client(replay).create_order(PERP, "market", "buy", 0.001)


def test_order_is_placed_though_its_answer_is_lost(tiny_datadir: Path) -> None:
    with running(tiny_datadir, LostAnswers(times=1)) as replay:
        with pytest.raises(ccxt.NetworkError):
            place(replay)
        assert [order.status for order in replay.account.orders] == ["FILLED"]
        assert place(replay)["status"] == "closed"
        assert replay.account.position(BTC).amount == Decimal("0.002")


def test_lost_answers_do_not_affect_reading_requests(tiny_datadir: Path) -> None:
    with running(tiny_datadir, LostAnswers(paths=["*"])) as replay:
        assert len(client(replay).fetch_balance()) > 0


@pytest.mark.parametrize(
    ("seconds", "refused"), [(0.5, False), (9, False), (-0.5, False), (11, True), (-1.5, True)]
)
def test_wrong_clock_refuses_what_is_signed(
    tiny_datadir: Path, seconds: float, refused: bool
) -> None:
    with running(tiny_datadir, ClockSkew(seconds=seconds)) as replay:
        assert get(replay.url, "/api/v3/time")[1]["serverTime"] == NOW + seconds * 1000
        if refused:
            with pytest.raises(ccxt.InvalidNonce, match="-1021"):
                client(replay).fetch_balance()
        else:
            client(replay).fetch_balance()
        assert hours(replay)[-1] == 0


def test_prices_of_a_coarser_tick_alone_are_taken(tiny_datadir: Path) -> None:
    change = TickChange(pair=PERP, start=TINY_START + timedelta(hours=100))
    for moment, tick in ((NOW - 1, "0.1"), (NOW, "1")):
        with running(tiny_datadir, change, now=moment) as replay:
            _, info = get(replay.url, "/fapi/v1/exchangeInfo")
            rules = next(item for item in info["symbols"] if item["symbol"] == BTC)
            assert rules["filters"][0]["tickSize"] == tick
            steps = replay.account.prices.steps(BTC, moment)
            assert str(steps.price) == tick
