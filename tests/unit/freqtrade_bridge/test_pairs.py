"""The pairs that a config means: patterns, blacklist, other contracts, perps without spot."""

import logging
from typing import Any

import pytest

from perp_imbalance.doctor import Level
from perp_imbalance.doctor.bot_checks import check_spotless, check_whitelist
from perp_imbalance.errors import PerpImbalanceError, SettingsError
from perp_imbalance.freqtrade_bridge import pairs as module
from perp_imbalance.freqtrade_bridge.exchange import match_perps
from perp_imbalance.freqtrade_bridge.pairs import _perps, expand_whitelist
from perp_imbalance.markets.spot_matching import about_spotless
from perp_imbalance.markets.spot_setting import check_spot_setting
from perp_imbalance.strategy.settings import Settings

PERP = {"swap": True, "linear": True, "active": True}
SPOT = {"spot": True, "active": True}
BASES = ("BTC", "ETH", "SOL")
MARKETS: dict[str, Any] = {
    **{f"{base}/USDT:USDT": PERP for base in BASES},
    **{f"{base}/USDT": SPOT for base in BASES},
    "GONE/USDT:USDT": {**PERP, "active": False},
    "BTC/USD:BTC": {"swap": True, "linear": False, "active": True},
    "BTC/USDT:USDT-250926": {"future": True, "linear": True, "active": True},
}


def config(whitelist: list[str], blacklist: list[str] = []) -> dict[str, Any]:  # noqa: B006
    exchange = {"name": "binance", "pair_whitelist": whitelist, "pair_blacklist": blacklist}
    return {"exchange": exchange, "stake_currency": "USDT", "pairlists": []}


@pytest.mark.parametrize(
    ("whitelist", "blacklist", "pairs"),
    [
        ([".*/USDT:USDT"], [], ["BTC", "ETH", "SOL"]),
        ([".*/USDT:.*"], ["(BTC|SOL)/.*"], ["ETH"]),
        (["btc/usdt:usdt", "BTC/.*"], [], ["BTC"]),
        (["BTC/USDT:USDT", "NEW/USDT:USDT"], ["BTC/USDT:USDT"], ["NEW"]),
    ],
)
def test_whitelist_is_expanded_as_freqtrade_does(
    whitelist: list[str], blacklist: list[str], pairs: list[str]
) -> None:
    found = expand_whitelist(config(whitelist, blacklist), MARKETS)
    assert found == [f"{base}/USDT:USDT" for base in pairs]


def test_other_contracts_are_left_out_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    named = ["BTC/USD:BTC", "BTC/USDT:USDT-250926", "ETH/USDT:USDT-240101", "ETH/USDT:USDT"]
    with caplog.at_level(logging.WARNING, module.__name__):
        assert _perps("binance", MARKETS, expand_whitelist(config(named), MARKETS)) == named[-1:]
    (message,) = caplog.messages
    assert message.startswith("3 of 4 pairs are left out, coin-margined or with an expiry: BTC/USD")
    with pytest.raises(PerpImbalanceError, match="no linear perpetual"):
        _perps("binance", MARKETS, named[:2])


def test_name_that_is_not_a_perp_is_refused() -> None:
    named = ["ETH/USDT:USDT", "ETHH/USDT:USDT", "ETH/USDT"]
    with pytest.raises(PerpImbalanceError, match="ETHH/USDT:USDT, ETH/USDT: did you mean"):
        _perps("binance", MARKETS, named)


def many() -> dict[str, Any]:
    return {**MARKETS, **{f"A{number}/USDT:USDT": PERP for number in range(40)}}


def test_forty_perps_without_spot_are_one_message() -> None:
    markets = many()
    matches = match_perps(markets, Settings(), "binance")
    said = about_spotless(matches, markets.values(), "binance")
    assert said is not None
    assert said.startswith("40 of 43 perps have no spot pair and give no signals: A0/USDT:USDT, ")
    assert "and 35 more" in said
    (check,) = check_spotless(matches, markets, "binance")
    assert (check.level, check.pair, check.message) == (Level.MUST_FIX, None, said)


def test_exchange_without_any_spot_market_is_named_once() -> None:
    markets = {name: market for name, market in many().items() if not market.get("spot")}
    matches = match_perps(markets, Settings(), "binance")
    said = about_spotless(matches, markets.values(), "binanceusdm")
    assert said is not None
    assert said.startswith("binanceusdm lists no spot market at all")
    assert "spot_pairs" not in said
    assert len(check_spotless(matches, markets, "binanceusdm")) == 1


def test_one_perp_without_spot_keeps_its_own_line() -> None:
    markets = {**MARKETS, "A/USDT:USDT": PERP}
    matches = match_perps(markets, Settings(), "binance")
    said = about_spotless(matches, markets.values(), "binance")
    assert said == "A/USDT:USDT gets no spot candles: no spot pair of A against USDT"
    assert check_spotless(matches, markets, "binance") == []


def test_doctor_counts_other_contracts() -> None:
    named = ["BTC/USD:BTC", "BTC/USDT:USDT-250926", "ETH/USDT:USDT"]
    checks = check_whitelist(named, named[2:], MARKETS, "binance")
    assert [check.level for check in checks] == [Level.WARNING, Level.OK]
    assert checks[0].message.startswith("2 pairs are coin-margined or have an expiry")


@pytest.mark.parametrize(
    ("sections", "place"),
    [
        ({}, 'add "ccxt_config"'),
        ({"ccxt_config": {"options": {"defaultType": "swap"}}}, 'set "ccxt_config"'),
        (
            {
                "ccxt_config": {"options": {"defaultType": "future"}},
                "ccxt_async_config": {"options": {"defaultType": "swap"}},
            },
            'set "ccxt_async_config"',
        ),
    ],
)
def test_advice_on_default_type_names_the_section(sections: dict[str, Any], place: str) -> None:
    with pytest.raises(SettingsError) as refused:
        check_spot_setting({"exchange": {"name": "binance", **sections}})
    assert place in str(refused.value)


@pytest.mark.parametrize("section", ["ccxt_config", "ccxt_sync_config"])
@pytest.mark.parametrize("exchange", ["gate", "okx"])
def test_binance_default_type_is_refused_on_other_exchanges(exchange: str, section: str) -> None:
    def check(name: str, default_type: str) -> None:
        options = {section: {"options": {"defaultType": default_type}}}
        check_spot_setting({"exchange": {"name": name, **options}})

    check(exchange, "swap")
    # There, ccxt takes it for perps.
    check("bybit", "future")
    with pytest.raises(SettingsError, match=f'"swap" in "{section}" .*-{exchange}.json'):
        check(exchange, "future")


def test_spot_pair_in_the_whitelist_names_its_perp() -> None:
    with pytest.raises(PerpImbalanceError, match="no perp BTC/USDT: did you mean BTC/USDT:USDT"):
        _perps("binance", MARKETS, ["BTC/USDT"])
    with pytest.raises(PerpImbalanceError, match="no perp NOPE/USDT: take it off"):
        _perps("binance", MARKETS, ["NOPE/USDT"])
    checks = check_whitelist(["ETH/USDT", "GONE/USDT"], [], MARKETS, "binance")
    assert "did you mean ETH/USDT:USDT?" in checks[0].message
    assert "take it off the whitelist" in checks[1].message
