"""The replay exchange says what Binance would, and nothing that its clock has not reached."""

import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ccxt
import numpy as np
import pandas as pd
import pytest
from freqtrade.enums import CandleType
from hypothesis import given
from hypothesis import strategies as st
from support.tiny_replay import (
    HOUR,
    TINY_CANDLES,
    TINY_GAP,
    TINY_START,
    get,
    milliseconds,
    read_candles,
    write_market,
)

from perp_imbalance.errors import DataError
from perp_imbalance.replay import Replay, replay_config, running_replay
from perp_imbalance.replay.binance import number

START = milliseconds(TINY_START)
END = START + TINY_CANDLES * HOUR


class StandingClock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = END

    def __call__(self) -> int:
        return self.now


@pytest.fixture(scope="module")
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture(scope="module")
def ask(tiny_datadir: Path, clock: StandingClock) -> Iterator[Callable[..., Any]]:
    """Ask a replay at a given time; the answer must be a success."""
    with running_replay(tiny_datadir, clock=clock) as replay:

        def answer(path: str, now: int = END, **params: Any) -> Any:
            clock.now = now
            status, body = get(replay.url, path, **params)
            assert status == 200, body
            return body

        yield answer


@pytest.fixture
def perps(tiny_datadir: Path) -> pd.DataFrame:
    return read_candles(tiny_datadir, "BTC/USDT:USDT", CandleType.FUTURES)


def exchange(url: str, default_type: str) -> ccxt.binance:
    config = replay_config(url)["exchange"]["ccxt_config"]
    return ccxt.binance(config | {"options": {"defaultType": default_type}})


def opens(rows: list[list[Any]]) -> list[int]:
    return [row[0] for row in rows]


def test_without_a_start_the_last_candles_come(ask: Callable[..., Any]) -> None:
    rows = ask("/fapi/v1/klines", symbol="BTCUSDT", interval="1h", limit=3)
    assert opens(rows) == [END - 3 * HOUR, END - 2 * HOUR, END - HOUR]


def test_with_a_start_the_first_candles_from_there_come(ask: Callable[..., Any]) -> None:
    rows = ask("/fapi/v1/klines", symbol="BTCUSDT", interval="1h", limit=3, startTime=START + 1)
    assert opens(rows) == [START + HOUR, START + 2 * HOUR, START + 3 * HOUR]


def test_start_and_end_are_both_included(ask: Callable[..., Any]) -> None:
    window = {"startTime": START + HOUR, "endTime": START + 2 * HOUR}
    rows = ask("/fapi/v1/klines", symbol="BTCUSDT", interval="1h", **window)
    assert opens(rows) == [START + HOUR, START + 2 * HOUR]


def test_with_an_end_alone_the_last_candles_up_to_it_come(ask: Callable[..., Any]) -> None:
    rows = ask("/api/v3/klines", symbol="BTCUSDT", interval="1h", limit=2, endTime=START + 9 * HOUR)
    assert opens(rows) == [START + 8 * HOUR, START + 9 * HOUR]


def test_start_after_the_end_of_the_data_gives_nothing(ask: Callable[..., Any]) -> None:
    assert ask("/fapi/v1/klines", symbol="BTCUSDT", interval="1h", startTime=END) == []


@pytest.mark.parametrize(
    ("path", "params", "length"),
    [
        ("/api/v3/klines", {"interval": "1h"}, 500),
        ("/fapi/v1/klines", {"interval": "1h"}, 500),
        ("/fapi/v1/fundingRate", {}, 100),
    ],
)
def test_the_default_limit_is_binances(
    ask: Callable[..., Any], path: str, params: dict[str, str], length: int
) -> None:
    assert len(ask(path, symbol="BTCUSDT", **params)) == length


@pytest.mark.parametrize(
    ("path", "length"),
    [("/api/v3/klines", 1000), ("/fapi/v1/klines", 1500), ("/fapi/v1/markPriceKlines", 1500)],
)
def test_too_high_a_limit_is_lowered_to_binances(tmp_path: Path, path: str, length: int) -> None:
    write_market(tmp_path, TINY_START, 1600)
    with running_replay(tmp_path) as replay:
        _, rows = get(replay.url, path, symbol="BTCUSDT", interval="1h", limit=9999)
    assert len(rows) == length


def test_candle_is_served_with_the_values_of_its_file(
    ask: Callable[..., Any], perps: pd.DataFrame
) -> None:
    rows = ask("/fapi/v1/klines", symbol="BTCUSDT", interval="1h", limit=1500)
    served = np.array([[float(value) for value in row[1:6]] for row in rows])
    assert np.array_equal(served, perps[["open", "high", "low", "close", "volume"]].to_numpy())
    assert [row[6] for row in rows] == [row[0] + HOUR - 1 for row in rows]


def test_a_candle_that_has_not_closed_shows_its_open_alone(
    ask: Callable[..., Any], perps: pd.DataFrame
) -> None:
    candle = perps.iloc[10]
    begin = START + 10 * HOUR
    for now in (begin, begin + HOUR - 1):
        row = ask("/fapi/v1/klines", now, symbol="BTCUSDT", interval="1h", limit=1)[0]
        assert row[0] == begin
        assert [float(value) for value in row[1:6]] == [candle["open"]] * 4 + [0.0]
    row = ask("/fapi/v1/klines", begin + HOUR, symbol="BTCUSDT", interval="1h", limit=2)[0]
    assert float(row[4]) == candle["close"]
    assert float(row[5]) == candle["volume"]


@pytest.mark.parametrize(
    ("path", "params", "time_of"),
    [
        ("/api/v3/klines", {"interval": "1h"}, lambda row: row[0]),
        ("/fapi/v1/klines", {"interval": "1h"}, lambda row: row[0]),
        ("/fapi/v1/markPriceKlines", {"interval": "1h"}, lambda row: row[0]),
        ("/fapi/v1/fundingRate", {}, lambda row: row["fundingTime"]),
    ],
)
@pytest.mark.parametrize("asked", [{}, {"startTime": START}, {"startTime": START, "endTime": END}])
def test_nothing_later_than_the_clock_is_served(
    ask: Callable[..., Any],
    path: str,
    params: dict[str, str],
    time_of: Callable[[Any], int],
    asked: dict[str, int],
) -> None:
    for now in (START, START + 8 * HOUR - 1, START + 8 * HOUR, START + 100 * HOUR + 1):
        rows = ask(path, now, symbol="BTCUSDT", **params, **asked)
        assert rows
        assert max(map(time_of, rows)) <= now
    assert ask(path, START - 1, symbol="BTCUSDT", **params, **asked) == []


def test_prices_come_from_the_newest_candle_known_at_the_clock(
    ask: Callable[..., Any], perps: pd.DataFrame
) -> None:
    begin = START + 50 * HOUR
    within, after = float(perps["open"][50]), float(perps["close"][TINY_CANDLES - 1])
    assert within != float(perps["close"][50])
    for now, price in ((begin + 1, within), (END + 999 * HOUR, after)):
        last = ask("/fapi/v1/ticker/price", now, symbol="BTCUSDT")["price"]
        day = ask("/fapi/v1/ticker/24hr", now, symbol="BTCUSDT")
        book = ask("/fapi/v1/ticker/bookTicker", now, symbol="BTCUSDT")
        depth = ask("/fapi/v1/depth", now, symbol="BTCUSDT", limit=5)
        assert float(last) == float(day["lastPrice"]) == float(book["bidPrice"]) == price
        assert float(book["askPrice"]) == pytest.approx(price + 0.1)
        assert depth["bids"][0] == [book["bidPrice"], book["bidQty"]]
        assert depth["asks"][0] == [book["askPrice"], book["askQty"]]
        assert [len(depth[side]) for side in ("bids", "asks")] == [5, 5]


def test_the_day_of_a_ticker_ends_at_the_clock(
    ask: Callable[..., Any], perps: pd.DataFrame
) -> None:
    day = perps.iloc[26:50]
    ticker = ask("/fapi/v1/ticker/24hr", START + 50 * HOUR, symbol="BTCUSDT")
    assert float(ticker["openPrice"]) == day["open"].iloc[0]
    assert float(ticker["highPrice"]) == max(day["high"].max(), perps["open"][50])
    assert float(ticker["volume"]) == pytest.approx(day["volume"].sum())


def test_the_premium_index_knows_the_last_funding_rate(
    ask: Callable[..., Any], tiny_datadir: Path
) -> None:
    rates = read_candles(tiny_datadir, "BTC/USDT:USDT", CandleType.FUNDING_RATE)
    now = START + 17 * HOUR
    index = ask("/fapi/v1/premiumIndex", now, symbol="BTCUSDT")
    assert float(index["lastFundingRate"]) == rates["funding_rate"][2]
    assert index["nextFundingTime"] == START + 24 * HOUR
    assert index["time"] == now


def test_before_the_first_candle_there_are_no_prices(ask: Callable[..., Any]) -> None:
    assert ask("/fapi/v1/ticker/bookTicker", START - 1) == []
    assert ask("/fapi/v1/depth", START - 1, symbol="BTCUSDT")["asks"] == []


def test_gap_in_candles_is_not_filled(ask: Callable[..., Any]) -> None:
    rows = ask("/api/v3/klines", symbol="BTCUSDT", interval="1h", limit=1000)
    missing = {START + hour * HOUR for hour in range(TINY_GAP.start, TINY_GAP.stop)}
    assert missing.isdisjoint(opens(rows))
    assert len(rows) == TINY_CANDLES - len(missing)


def test_a_timeframe_without_a_file_is_empty(ask: Callable[..., Any]) -> None:
    assert ask("/fapi/v1/klines", symbol="BTCUSDT", interval="4h") == []


def test_the_clock_is_the_time_of_the_exchange(ask: Callable[..., Any]) -> None:
    for prefix in ("/api/v3", "/fapi/v1"):
        assert ask(f"{prefix}/time", START + 5) == {"serverTime": START + 5}
        assert ask(f"{prefix}/ping") == {}


def test_coin_margined_markets_are_an_empty_list(ask: Callable[..., Any]) -> None:
    assert ask("/dapi/v1/exchangeInfo")["symbols"] == []


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("/fapi/v1/klines", {"symbol": "PEPEUSDT", "interval": "1h"}, -1121),
        ("/api/v3/klines", {"symbol": "1000PEPEUSDT", "interval": "1h"}, -1121),
        ("/api/v3/ticker/price", {"symbols": '["BTCUSDT","NOUSDT"]'}, -1121),
        ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "7h"}, -1120),
        ("/fapi/v1/klines", {"interval": "1h"}, -1102),
        ("/fapi/v1/klines", {"symbol": "BTCUSDT"}, -1102),
        ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1h", "limit": "many"}, -1102),
        ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1h", "limit": "0"}, -1102),
        ("/fapi/v1/fundingRate", {"symbol": "BTCUSDT", "startTime": "-1"}, -1102),
        ("/api/v3/ticker/price", {"symbols": "BTCUSDT"}, -1102),
    ],
)
def test_a_bad_request_is_refused_with_binances_number(
    tiny_replay: Replay, path: str, params: dict[str, str], code: int
) -> None:
    status, body = get(tiny_replay.url, path, **params)
    assert (status, body["code"]) == (400, code)
    assert body["msg"]


def test_an_unknown_path_is_named_once(
    tiny_replay: Replay, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        answers = [get(tiny_replay.url, "/sapi/v1/nothing") for _ in range(3)]
    assert {status for status, _ in answers} == {404}
    assert answers[0][1]["code"] == -5000
    assert sum("/sapi/v1/nothing" in record.getMessage() for record in caplog.records) == 1


def test_requests_are_kept_for_tests_to_look_at(tiny_replay: Replay) -> None:
    get(tiny_replay.url, "/fapi/v1/klines", symbol="BTCUSDT", interval="1h")
    assert tiny_replay.requests == [
        ("GET", "/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1h"})
    ]


def test_ccxt_reads_the_markets(tiny_datadir: Path) -> None:
    extra = ["1000SATS/USDT", "1000SATS/USDT:USDT"]
    with running_replay(tiny_datadir, extra_pairs=extra) as replay:
        markets = exchange(replay.url, "future").load_markets()
    assert sorted(markets) == sorted(
        ["BTC/USDT", "PEPE/USDT", "BTC/USDT:USDT", "1000PEPE/USDT:USDT", *extra]
    )
    assert all(market["active"] for market in markets.values())
    assert markets["BTC/USDT:USDT"]["swap"]
    assert markets["BTC/USDT:USDT"]["linear"]
    precision = {pair: markets[pair]["precision"] for pair in markets}
    assert precision["BTC/USDT"]["price"] == 0.01
    assert precision["BTC/USDT:USDT"]["price"] == 0.1
    assert precision["PEPE/USDT"]["price"] == 1e-8
    assert precision["1000PEPE/USDT:USDT"]["price"] == 1e-7
    assert precision["BTC/USDT:USDT"]["amount"] == 1e-5
    assert precision["1000PEPE/USDT:USDT"]["amount"] == 1
    assert markets["BTC/USDT:USDT"]["limits"]["cost"]["min"] == 5
    assert markets["BTC/USDT"]["limits"]["cost"]["min"] == 5


@pytest.mark.parametrize(
    ("default_type", "path"), [("future", "/api/v3/klines"), ("swap", "/fapi/v1/klines")]
)
def test_only_default_type_future_returns_spot_candles(
    tiny_replay: Replay, default_type: str, path: str
) -> None:
    exchange(tiny_replay.url, default_type).fetch_ohlcv("BTC/USDT", "1h", limit=2)
    assert tiny_replay.requests[-1].path == path


def test_ccxt_reads_tickers_and_funding_of_either_market(tiny_replay: Replay) -> None:
    binance = exchange(tiny_replay.url, "future")
    perps, spots = binance.fetch_tickers(), binance.fetch_tickers(params={"type": "spot"})
    assert sorted(perps) == ["1000PEPE/USDT:USDT", "BTC/USDT:USDT"]
    assert sorted(spots) == ["BTC/USDT", "PEPE/USDT"]
    assert sorted(binance.fetch_bids_asks()) == sorted(perps)
    assert sorted(binance.fetch_funding_rates()) == sorted(perps)
    assert binance.fetch_order_book("PEPE/USDT", 5)["bids"][0][0] == spots["PEPE/USDT"]["bid"]


@pytest.mark.parametrize("data_format", ["feather", "parquet", "json", "jsongz"])
def test_every_format_of_freqtrade_is_read(tmp_path: Path, data_format: str) -> None:
    write_market(tmp_path, TINY_START, 50, data_format)
    with running_replay(tmp_path) as replay:
        for path in ("/api/v3/klines", "/fapi/v1/klines", "/fapi/v1/markPriceKlines"):
            _, rows = get(replay.url, path, symbol="BTCUSDT", interval="1h")
            assert len(rows) == 50
        _, rates = get(replay.url, "/fapi/v1/fundingRate", symbol="BTCUSDT")
        assert len(rates) == 7


def test_a_folder_without_candles_is_refused(tmp_path: Path) -> None:
    for datadir in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DataError, match=str(datadir)), running_replay(datadir):
            pass


@given(st.floats(min_value=1e-12, max_value=1e15))
def test_a_number_is_written_exactly_and_without_an_exponent(value: float) -> None:
    assert "e" not in number(value)
    assert float(number(value)) == value


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("/api/v3/ticker/price", {"symbols": "[" * 4000}, -1102),
        ("/api/v3/ticker/price", {"symbols": "[" + "9" * 5000 + "]"}, -1102),
        ("/api/v3/ticker/price", {"symbols": '["\\ud800"]'}, -1121),
        ("/api/v3/klines", {"symbol": "BTCUSDT", "interval": "1h", "startTime": "9" * 30}, -1102),
        ("/api/v3/klines", {"symbol": "BTCUSDT", "interval": "1h", "endTime": "9" * 30}, -1102),
        ("/api/v3/klines", {"symbol": "BTCUSDT", "interval": "1h", "limit": "9" * 5000}, -1102),
        ("/api/v3/klines", {"symbol": "BTC\x00", "interval": "1h"}, -1121),
        ("/fapi/v1/depth", {"symbol": "BTCUSDT", "limit": "1e3"}, -1102),
    ],
)
def test_malformed_queries_get_binance_errors(
    path: str, params: dict[str, Any], code: int, tiny_replay: Replay
) -> None:
    status, answer = get(tiny_replay.url, path, **params)
    assert (status, answer["code"]) == (400, code)


def test_invalid_http_request_is_one_log_line(
    tiny_replay: Replay, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_connection(("127.0.0.1", tiny_replay.port), timeout=10) as client:
        client.sendall(b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.0 400")
    assert caplog.messages == ["refused a request: LineTooLong"]
    assert caplog.records[0].exc_info is None
