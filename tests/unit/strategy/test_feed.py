"""AlertDeduplicator of a pair are told once, and a late candle is waited for before it is one."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from perp_imbalance.strategy.feed import AlertDeduplicator, missing_premium

PAIR = "PEPE/USDT:USDT"
PATIENCE = timedelta(seconds=120)
LATER = timedelta(seconds=121)


@pytest.fixture
def sent() -> list[str]:
    return []


def test_trouble_is_told_once_however_its_words_change(
    sent: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    troubles = AlertDeduplicator(sent.append)
    for candle in range(5):
        troubles.begin(PAIR, ("premium", f"no price on candle {candle}"))
    assert sent == [f"{PAIR} gives no signals: no price on candle 0"]
    assert caplog.messages == sent


def test_end_of_a_trouble_is_told_once_and_only_after_it(
    sent: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    troubles = AlertDeduplicator(sent.append)
    troubles.end(PAIR)
    assert sent == []
    troubles.begin(PAIR, ("premium", "no price"))
    troubles.end(PAIR)
    troubles.end(PAIR)
    assert sent[1:] == [f"{PAIR} gives signals again"] == caplog.messages[1:]


def test_trouble_that_comes_back_and_another_one_are_told(sent: list[str]) -> None:
    troubles = AlertDeduplicator(sent.append)
    troubles.begin(PAIR, ("premium", "first"))
    troubles.begin(PAIR, ("spot pair", "another"))
    troubles.end(PAIR)
    troubles.begin(PAIR, ("premium", "again"))
    assert [message.rpartition(": ")[2] for message in sent] == [
        "first",
        "another",
        f"{PAIR} gives signals again".rpartition(": ")[2],
        "again",
    ]


def row(**changes: float) -> dict[str, Any]:
    last = {"close": 1.0, "volume": 5.0, "spot_close": 1.0, "premium": 0.0, **changes}
    return {"date": datetime(2025, 3, 1, 12, tzinfo=UTC), **last}


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
def test_missing_premium_is_reported_after_the_grace(
    changes: dict[str, float], reason: str
) -> None:
    last = row(premium=np.nan, **changes)
    assert missing_premium(last, "PEPE/USDT", PATIENCE, PATIENCE) is None
    trouble = missing_premium(last, "PEPE/USDT", LATER, PATIENCE)
    assert trouble == ("premium", f"{reason}; no entries until there is a premium again")


def test_candle_with_a_premium_is_no_trouble() -> None:
    assert missing_premium(row(), "PEPE/USDT", LATER, PATIENCE) is None


def test_many_pairs_with_one_trouble_are_told_in_one_line(
    sent: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    troubles = AlertDeduplicator(sent.append)
    pairs = [f"A{number}/USDT:USDT" for number in range(40)]
    troubles.begin_many(pairs, 43, "spot pair", "no spot pair")
    for pair in pairs:
        troubles.begin(pair, ("spot pair", "no spot pair of it"))
    assert sent == caplog.messages
    (message,) = sent
    assert message.startswith("40 of 43 pairs give no signals: no spot pair: A0/USDT:USDT, ")
    troubles.begin_many([PAIR], 43, "spot pair", "no spot pair")
    troubles.begin(PAIR, ("spot pair", "no spot pair of PEPE"))
    assert sent[1:] == [f"{PAIR} gives no signals: no spot pair of PEPE"]
