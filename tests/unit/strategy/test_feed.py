"""Troubles of pairs are told once, those of many pairs in one message."""

import logging
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from perp_imbalance.strategy.feed import AlertDeduplicator, missing_premium

PAIR = "PEPE/USDT:USDT"
CANDLE, NEXT, LAST = (datetime(2025, 3, 1, hour, tzinfo=UTC) for hour in (12, 13, 14))


@pytest.fixture
def sent() -> list[str]:
    return []


def test_trouble_is_reported_once_even_if_its_numbers_change(
    sent: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    troubles = AlertDeduplicator(sent.append)
    for candle in range(5):
        troubles.begin(PAIR, ("premium", f"no price on candle {candle}"))
    assert sent == [f"{PAIR} gives no signals: no price on candle 0"]
    assert caplog.messages == sent


def test_end_of_a_trouble_is_reported_once(
    sent: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    troubles = AlertDeduplicator(sent.append)
    troubles.end(PAIR, CANDLE)
    assert sent == []
    troubles.begin(PAIR, ("premium", "no price"))
    troubles.end(PAIR, CANDLE)
    troubles.end(PAIR, CANDLE)
    assert sent[1:] == [f"{PAIR} gives signals again"] == caplog.messages[1:]


def test_returning_and_new_troubles_are_reported(sent: list[str]) -> None:
    troubles = AlertDeduplicator(sent.append)
    troubles.begin(PAIR, ("premium", "first"))
    troubles.begin(PAIR, ("spot pair", "another"))
    troubles.end(PAIR, CANDLE)
    troubles.begin(PAIR, ("premium", "again"))
    assert [message.rpartition(": ")[2] for message in sent] == [
        "first",
        "another",
        f"{PAIR} gives signals again".rpartition(": ")[2],
        "again",
    ]


def test_both_troubles_of_one_look_are_reported(sent: list[str]) -> None:
    troubles = AlertDeduplicator(sent.append)
    with troubles.in_one_message(2):
        troubles.begin(PAIR, ("higher timeframe", "no 4h candles"))
        troubles.begin(PAIR, ("gate", "no funding"))
    assert sent == [f"{PAIR} gives no signals: no 4h candles; no funding"]


def row(**changes: float) -> dict[str, Any]:
    last = {"close": 1.0, "volume": 5.0, "spot_close": 1.0, "premium": np.nan, **changes}
    return {"date": CANDLE, **last}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"spot_close": np.nan}, "no price of PEPE/USDT on the candle of 2025-03-01 12:00"),
        ({"volume": 0.0}, "it was not traded on the candle of 2025-03-01 12:00"),
        ({"close": np.nan}, "it was not traded on the candle of 2025-03-01 12:00"),
        (
            {"spot_close": 0.1},
            "PEPE/USDT and it are too far apart on the candle of 2025-03-01 12:00 for prices of "
            "one coin",
        ),
    ],
)
def test_missing_premium_has_its_reason(changes: dict[str, float], reason: str) -> None:
    assert missing_premium(row(**changes), "PEPE/USDT") == reason


def test_troubles_of_one_look_share_one_message(
    sent: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    troubles = AlertDeduplicator(sent.append)
    pairs = [f"A{number}/USDT:USDT" for number in range(40)]
    for candle in (CANDLE, NEXT):
        with troubles.in_one_message(43):
            for pair in pairs:
                troubles.begin(pair, ("premium", f"no price of {pair[:-5]}"), candle)
    begun = "40 of 43 pairs give no signals: A0/USDT:USDT (no price of A0/USDT), A1/USDT:USDT ("
    (message,), (line,) = sent, caplog.messages
    assert message.startswith(begun)
    assert message.endswith(" and 37 more")
    assert line.startswith(begun)
    assert line.endswith("A39/USDT:USDT (no price of A39/USDT)")
    with troubles.in_one_message(43):
        for pair in pairs:
            troubles.end(pair, LAST)
    again = "40 pairs give signals again: A0/USDT:USDT, A1/USDT:USDT, A2/USDT:USDT"
    assert sent[1:] == [f"{again} and 37 more"]
    assert caplog.messages[1].startswith(f"{again}, A3/USDT:USDT")
    assert len(caplog.messages) == 2


def test_spot_that_is_always_late_is_reported_once(sent: list[str]) -> None:
    troubles = AlertDeduplicator(sent.append)
    for candle in (CANDLE, NEXT):
        troubles.begin(PAIR, ("premium", "no price"), candle)
        troubles.end(PAIR, candle)
    assert sent == [f"{PAIR} gives no signals: no price"]
    troubles.end(PAIR, LAST)
    assert sent[1:] == [f"{PAIR} gives signals again"]


def test_alternating_troubles_are_each_reported_once(sent: list[str]) -> None:
    troubles = AlertDeduplicator(sent.append)
    for _ in range(3):
        for kind in ("higher timeframe", "gate"):
            troubles.begin(PAIR, (kind, f"no candles of the {kind}"))
    assert len(sent) == 2
