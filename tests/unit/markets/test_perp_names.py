"""Another spelling of a perp is named; another coin or contract never is."""

import pytest

from perp_imbalance.markets.perp_names import did_you_mean

PERPS = [
    "BTC/USDT:USDT",
    "BTC/USDT:USDT-261225",
    "BTC/USDC:USDC",
    "BTC/USD:BTC",
    "1000PEPE/USDT:USDT",
]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("BTC/USDT", "BTC/USDT:USDT"),
        ("btc/usdt:usdt", "BTC/USDT:USDT"),
        ("BTCUSDT", "BTC/USDT:USDT"),
        ("BTC_USDT", "BTC/USDT:USDT"),
        ("BTC/USDC", "BTC/USDC:USDC"),
        ("1000pepeusdt", "1000PEPE/USDT:USDT"),
        ("BTC/USD", None),
        ("PEPE/USDT", None),
        ("BTCC/USDT:USDT", None),
        ("BTC", None),
        ("", None),
    ],
)
def test_only_the_spelling_may_differ(typed: str, meant: str | None) -> None:
    assert did_you_mean([typed], PERPS) == (f": did you mean {meant}?" if meant else "")


def test_each_perp_is_named_once() -> None:
    typed = ["BTC/USDT", "BTCUSDT", "1000PEPE/USDT"]
    said = ": did you mean BTC/USDT:USDT, 1000PEPE/USDT:USDT?"
    assert did_you_mean(typed, PERPS) == said
