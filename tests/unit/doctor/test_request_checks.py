"""Whether a bot has the candles of all its pairs while they are news."""

import asyncio
from typing import Any

import ccxt.async_support as ccxt
import pytest

from perp_imbalance.doctor import Level
from perp_imbalance.doctor.request_checks import Requests, check_requests, counting, seconds_of

# Perps with their premium indices, and spot pairs: what 450 pairs ask for.
MARKET = Requests(900, {"fapiPublic": 1500.0, "public": 60.0})


@pytest.mark.parametrize(
    ("changes", "level", "said"),
    [
        ({}, Level.OK, "futures weight 1500 of 2400 a minute, spot weight 300 of 6000"),
        ({}, Level.OK, "450 pairs take 900 requests a candle"),
        ({}, Level.OK, "about 78 s, at start 78 s"),
        ({"calls_at_start": 2}, Level.OK, "at start 156 s"),
        (
            {"timeframe": "1m"},
            Level.MUST_FIX,
            "a candle of 1m lasts 60 s, so entries come too late; keep at most 346 pairs on the "
            "whitelist, or set a longer timeframe",
        ),
        (
            {"max_entry_age_s": 39.0},
            Level.MUST_FIX,
            "max_entry_age_seconds allows 39 s, so entries come too late; keep at most 225 pairs "
            "on the whitelist, or set a longer max_entry_age_seconds",
        ),
        # Faster than ccxt's pace, the exchange's limit holds.
        ({"pace_ms": 0.0}, Level.OK, "about 38 s"),
        ({"timeframe": "1m", "websockets": True}, Level.WARNING, "less while websockets hold"),
        ({"exchange": "bybit"}, Level.OK, "900 requests a candle, about 78 s"),
    ],
)
def test_requests_must_fit_into_a_candle(changes: Any, level: Level, said: str) -> None:
    given = {"pairs": 450, "exchange": "binance", "pace_ms": 50.0, "timeframe": "5m"}
    check = check_requests(MARKET, **{**given, "max_entry_age_s": 120.0, **changes})
    assert check.level is level
    assert said in check.message
    assert "\n" not in check.message


def test_limit_of_the_exchange_holds_where_the_pace_is_off() -> None:
    assert seconds_of(Requests(1, {"fapiPublic": 2400.0}), "binance", 0.0) == 60.0
    assert seconds_of(Requests(1, {"fapiPublic": 2400.0}), "gate", 0.0) == 0.0


@pytest.mark.parametrize(
    ("limit", "part", "cost"), [(499, "fapiPublic", 2), (500, "fapiPublic", 5), (99, "public", 0.4)]
)
def test_request_weight_depends_on_its_limit(limit: int, part: str, cost: float) -> None:
    async def ask() -> Requests:
        client = ccxt.binance({"enableRateLimit": False})

        async def answer(*arguments: Any) -> list[Any]:
            return []

        client.fetch = answer
        with counting(client) as counted:
            name = "fapiPublicGetKlines" if part == "fapiPublic" else "publicGetKlines"
            await getattr(client, name)({"symbol": "BTCUSDT", "interval": "5m", "limit": limit})
        await client.close()
        assert "fetch2" not in vars(client)
        return counted.requests

    assert asyncio.run(ask()) == Requests(1, {part: cost})
