"""A replay exchange misbehaves as told, while it is told to, and not otherwise."""

import json
import math
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.tiny_replay import HOUR, TINY_START, get, milliseconds

from perp_imbalance.cli.main import run
from perp_imbalance.errors import DataError, SettingsError
from perp_imbalance.replay import Replay, running_replay
from perp_imbalance.replay.overlay import ANSWER_HEADER, STEPPED_HEADER
from perp_imbalance.replay.testing import (
    BadPrices,
    Delisted,
    Fault,
    Halted,
    HttpErrors,
    LateCandles,
    MissingCandles,
    NoAnswer,
    read_faults,
    running_test_replay,
)

SPOT, PERP = "BTC/USDT", "BTC/USDT:USDT"
KLINES = {SPOT: "/api/v3/klines", PERP: "/fapi/v1/klines"}
MINUTE = HOUR // 60


def at(hour: int) -> pd.Timestamp:
    return TINY_START + pd.Timedelta(hours=hour)


def ms(hour: int) -> int:
    return milliseconds(at(hour))


class Hand:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = ms(100)

    def __call__(self) -> int:
        return self.now


@contextmanager
def faulty(
    datadir: Path, faults: Sequence[Fault], hour: float = 100
) -> Iterator[tuple[Replay, Hand]]:
    hand = Hand()
    hand.now = ms(0) + round(hour * HOUR)
    with running_test_replay(datadir, clock=hand, faults=faults) as replay:
        yield replay, hand


def klines(replay: Replay, pair: str = SPOT, symbol: str = "BTCUSDT") -> list[Any]:
    status, rows = get(replay.url, KLINES[pair], symbol=symbol, interval="1h")
    assert status == 200
    return list(rows)


def last_hour(rows: list[Any]) -> int:
    return int(rows[-1][0] - ms(0)) // HOUR


@pytest.mark.parametrize(
    ("fault", "delay"),
    [
        (LateCandles(pair=SPOT, seconds=60), MINUTE),
        (LateCandles(pair=SPOT, candles=1), HOUR),
        (LateCandles(pair=SPOT, candles=2, seconds=60), 2 * HOUR + MINUTE),
    ],
)
def test_late_candle_appears_later_and_complete(
    tiny_datadir: Path, fault: LateCandles, delay: int
) -> None:
    with faulty(tiny_datadir, [fault]) as (replay, hand), running_replay(tiny_datadir) as sound:
        hand.now = ms(100) + delay - 1
        assert last_hour(klines(replay)) == 98
        hand.now = ms(100) + delay
        rows = klines(replay)
        assert last_hour(rows) == 99
        true = get(
            sound.url, KLINES[SPOT], symbol="BTCUSDT", interval="1h", endTime=ms(99), limit=500
        )[1]
        assert rows == true


def test_only_candles_within_the_fault_are_late(tiny_datadir: Path) -> None:
    fault = LateCandles(pair=SPOT, candles=1, start=at(90), end=at(95))
    with faulty(tiny_datadir, [fault]) as (replay, hand):
        for hour, seen in ((89, 89), (90, 88), (94, 92), (95, 95), (100, 100)):
            hand.now = ms(hour)
            assert last_hour(klines(replay)) == seen, hour


def test_lateness_affects_only_its_market(tiny_datadir: Path) -> None:
    with (
        faulty(tiny_datadir, [LateCandles(pair=SPOT, candles=3)]) as (replay, _),
        faulty(tiny_datadir, []) as (sound, _),
    ):
        assert last_hour(klines(replay)) == 96
        for path in ("/api/v3/ticker/24hr", "/api/v3/depth", KLINES[PERP], "/fapi/v1/premiumIndex"):
            params = {"symbol": "BTCUSDT", "interval": "1h"}
            assert get(replay.url, path, **params) == get(sound.url, path, **params), path
        assert last_hour(klines(replay, symbol="PEPEUSDT")) == 100


@pytest.mark.parametrize(("afterwards", "found"), [("gone", 96), ("there", 101)])
def test_missing_candles_are_gone_for_a_while_or_for_good(
    tiny_datadir: Path, afterwards: Any, found: int
) -> None:
    fault = MissingCandles(pair=SPOT, start=at(90), end=at(95), afterwards=afterwards)
    with faulty(tiny_datadir, [fault], 94.9) as (replay, hand):
        assert last_hour(klines(replay)) == 89
        hand.now = ms(95)
        assert last_hour(klines(replay)) == 95
        hand.now = ms(100)
        assert len(klines(replay)) == found
        assert len(klines(replay, PERP)) == 101


def market(replay: Replay, path: str = "/api/v3/exchangeInfo") -> dict[str, str]:
    return {row["symbol"]: row["status"] for row in get(replay.url, path)[1]["symbols"]}


def test_delisted_market_has_no_new_candles(tiny_datadir: Path) -> None:
    with faulty(tiny_datadir, [Delisted(pair=SPOT, start=at(90) + pd.Timedelta(minutes=1))]) as (
        replay,
        hand,
    ):
        hand.now = ms(90)
        assert market(replay)["BTCUSDT"] == "TRADING"
        assert last_hour(klines(replay)) == 90
        hand.now = ms(100)
        assert market(replay) == {"BTCUSDT": "BREAK", "PEPEUSDT": "TRADING"}
        assert set(market(replay, "/fapi/v1/exchangeInfo").values()) == {"TRADING"}
        assert last_hour(klines(replay)) == 89
        assert last_hour(klines(replay, PERP)) == 100


def test_removed_market_is_missing_from_its_time_on(tiny_datadir: Path) -> None:
    fault = Delisted(pair=SPOT, start=at(90), removed=True)
    with faulty(tiny_datadir, [fault], 89.9) as (replay, hand):
        assert "BTCUSDT" in market(replay)
        hand.now = ms(90)
        assert set(market(replay)) == {"PEPEUSDT"}
        for path in ("klines", "ticker/24hr", "depth"):
            status, body = get(replay.url, f"/api/v3/{path}", symbol="BTCUSDT", interval="1h")
            assert (status, body["code"]) == (400, -1121), path
        assert [row["symbol"] for row in get(replay.url, "/api/v3/ticker/price")[1]] == ["PEPEUSDT"]


def test_a_market_can_be_missing_from_the_start(tiny_datadir: Path) -> None:
    with faulty(tiny_datadir, [Delisted(pair=SPOT, removed=True)], 0) as (replay, _):
        assert set(market(replay)) == {"PEPEUSDT"}


@pytest.mark.parametrize(("price", "factor"), [("nan", math.nan), ("zero", 0.0), ("absurd", 3.0)])
@pytest.mark.parametrize("pair", [SPOT, PERP])
def test_bad_prices_are_in_the_candles_of_their_span_alone(
    tiny_datadir: Path, price: Any, factor: float, pair: str
) -> None:
    fault = BadPrices(pair=pair, price=price, factor=3, start=at(90), end=at(92))
    with (
        faulty(tiny_datadir, [fault]) as (replay, _),
        faulty(tiny_datadir, []) as (sound, _),
    ):
        for bad, true in zip(klines(replay, pair), klines(sound, pair), strict=True):
            expected = [float(value) for value in true[1:5]]
            if ms(90) <= bad[0] < ms(92):
                expected = [factor * value for value in expected]
            assert [float(value) for value in bad[1:5]] == pytest.approx(expected, nan_ok=True)
            no_number = math.isnan(expected[0])
            assert float(bad[5]) == (0.0 if no_number else float(true[5]))
        path = KLINES[pair].replace("klines", "ticker/price")
        assert get(replay.url, path)[1] == get(sound.url, path)[1]


def test_halted_perp_has_flat_candles_without_volume(
    tiny_datadir: Path,
) -> None:
    fault = Halted(pair=PERP, start=at(90), end=at(95))
    with faulty(tiny_datadir, [fault], 89.99) as (replay, hand):
        path = "/fapi/v1/ticker/bookTicker"
        books = []
        for hour in (90, 93, 94.9, 95.9):
            hand.now = ms(0) + round(hour * HOUR)
            books.append(get(replay.url, path, symbol="BTCUSDT")[1]["bidPrice"])
        rows = klines(replay, PERP)
        last = float(rows[89][4])
        assert [float(books[index]) for index in range(3)] == [last] * 3
        assert float(books[3]) != last
        for row in rows[90:95]:
            assert [float(value) for value in row[1:6]] == [last] * 4 + [0]
        assert float(rows[89][5]) > 0
        assert float(rows[95][1]) != last


@pytest.mark.parametrize(
    ("status", "code"), [(500, -1000), (503, -1000), (429, -1003), (418, -1003)]
)
def test_requests_are_refused_while_the_exchange_is_down(
    tiny_datadir: Path, status: int, code: int
) -> None:
    fault = HttpErrors(status=status, start=at(90), end=at(91), paths=["*/klines", "*/depth"])
    with faulty(tiny_datadir, [fault], 90) as (replay, hand):
        found, body = get(replay.url, KLINES[PERP], symbol="BTCUSDT", interval="1h")
        assert (found, body["code"]) == (status, code)
        assert get(replay.url, "/api/v3/time")[0] == 200
        assert [request.path for request in replay.requests] == [KLINES[PERP], "/api/v3/time"]
        hand.now = ms(91)
        assert last_hour(klines(replay, PERP)) == 91


def test_refusal_can_have_a_retry_after_time(tiny_datadir: Path) -> None:
    with faulty(tiny_datadir, [HttpErrors(status=429, retry_after=7)]) as (replay, _):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with pytest.raises(urllib.error.HTTPError) as refused:
            opener.open(f"{replay.url}/api/v3/ping")
        assert refused.value.headers["Retry-After"] == "7"


def test_an_answer_comes_late_on_the_clock_of_the_replay(tiny_datadir: Path) -> None:
    begun = time.time()

    def fast() -> int:
        return ms(100) + int((time.time() - begun) * 1000 * 100)

    with running_test_replay(tiny_datadir, clock=fast, faults=[NoAnswer(seconds=50)]) as replay:
        before = time.time()
        assert get(replay.url, "/api/v3/ping") == (200, {})
        assert time.time() - before >= 0.5


def test_stepped_clock_moves_by_the_delay_of_an_answer(tiny_datadir: Path) -> None:
    with running_test_replay(tiny_datadir, faults=[NoAnswer(seconds=3600)]) as replay:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for path in ("/api/v3/ping", "/api/v3/nowhere"):
            request = urllib.request.Request(replay.url + path, headers={STEPPED_HEADER: "1"})
            try:
                answer = opener.open(request, timeout=60)
            except urllib.error.HTTPError as refusal:
                answer = refusal
            with answer:
                assert float(answer.headers[ANSWER_HEADER]) == 3600


def test_several_faults_act_together(tiny_datadir: Path) -> None:
    faults = [
        LateCandles(pair=SPOT, candles=1),
        MissingCandles(pair=SPOT, start=at(50), end=at(60)),
        BadPrices(pair=SPOT, price="zero", start=at(98)),
    ]
    with faulty(tiny_datadir, faults) as (replay, _):
        rows = klines(replay)
    assert len(rows) == 89
    assert [float(row[4]) == 0 for row in rows[-3:]] == [False, False, True]


def test_a_fault_of_an_unknown_pair_is_one_clear_error(tiny_datadir: Path) -> None:
    with (
        pytest.raises(DataError, match="DOGE/USDT"),
        running_test_replay(tiny_datadir, faults=[Halted(pair="DOGE/USDT")]),
    ):
        pass


def test_faults_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    moment = "2024-01-05T12:00"
    path.write_text(
        json.dumps(
            [
                {"fault": "late_candles", "pair": SPOT, "seconds": 60, "start": moment},
                {"fault": "http_errors", "status": 429, "end": ms(5), "paths": ["*/depth"]},
            ]
        )
    )
    late, refused = read_faults(path)
    assert late == LateCandles(pair=SPOT, seconds=60, start=datetime.fromisoformat(moment))
    assert refused == HttpErrors(status=429, end=at(5), paths=["*/depth"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[", "at the top"),
        ("{}", "at the top"),
        ('[{"pair": "BTC/USDT"}]', "'fault'"),
        ('[{"fault": "storm"}]', "'storm'"),
        ('[{"fault": "halted"}]', "0.halted.pair"),
        ('[{"fault": "halted", "pair": "BTC/USDT", "begin": 5}]', "0.halted.begin"),
        ('[{"fault": "http_errors", "status": 200}]', "0.http_errors.status"),
        ('[{"fault": "halted", "pair": "BTC/USDT", "start": "noon"}]', "0.halted.start"),
    ],
)
def test_a_wrong_file_of_faults_is_one_clear_error(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "faults.json"
    path.write_text(text)
    with pytest.raises(SettingsError) as refused:
        read_faults(path)
    message = str(refused.value)
    assert message.startswith(f"the faults in {path} are wrong at ")
    assert reason in message
    assert "\n" not in message


def test_unknown_fault_is_refused_in_one_line(
    tiny_datadir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "faults.json")
    with pytest.raises(SystemExit) as left:
        run(["replay", "--datadir", str(tiny_datadir), "--faults", missing])
    assert left.value.code == 2
    assert "cannot read the faults in" in capsys.readouterr().err.strip().splitlines()[-1]
