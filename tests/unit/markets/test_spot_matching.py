"""A perp finds its spot pair by the rules of the specification, in their order."""

import pytest

from perp_imbalance.markets.spot_matching import (
    Market,
    Rule,
    SpotMatch,
    about_sources,
    match_spot,
)
from perp_imbalance.markets.spot_pairs import PremiumSetting, SpotPair

# Names as Binance lists them.
BINANCE_SPOT = {
    f"{base}/USDT"
    for base in (
        *("BTC", "ETH", "PEPE", "SHIB", "BONK", "FLOKI", "LUNC", "XEC", "LUNA", "DODO", "RAY", "K"),
        *("1000SATS", "1000CAT", "1000CHEEMS", "1MBABYDOGE", "BEAMX", "1INCH", "0G", "2Z"),
    )
} | {"BTC/USDC"}


def spot_market(symbol: str, *, active: bool | None = True) -> Market:
    base, quote = symbol.split("/")
    return {"symbol": symbol, "base": base, "quote": quote, "spot": True, "active": active}


def match(
    perp: str,
    *,
    exchange: str = "binance",
    spot: set[str] = BINANCE_SPOT,
    inactive: tuple[str, ...] = (),
    overrides: dict[str, SpotPair] | None = None,
) -> SpotMatch:
    markets = {symbol: spot_market(symbol, active=symbol not in inactive) for symbol in spot}
    return match_spot(perp, markets.get, exchange=exchange, overrides=overrides)


@pytest.mark.parametrize(
    ("base", "spot", "scale", "rule"),
    [
        ("BTC", "BTC", 1, "identical"),
        ("1000PEPE", "PEPE", 1000, "scale"),
        ("1000SHIB", "SHIB", 1000, "scale"),
        ("1000BONK", "BONK", 1000, "scale"),
        ("1000FLOKI", "FLOKI", 1000, "scale"),
        ("1000LUNC", "LUNC", 1000, "scale"),
        ("1000XEC", "XEC", 1000, "scale"),
        ("1000SATS", "1000SATS", 1, "identical"),
        ("1000CAT", "1000CAT", 1, "identical"),
        ("1000CHEEMS", "1000CHEEMS", 1, "identical"),
        ("1MBABYDOGE", "1MBABYDOGE", 1, "identical"),
        ("BEAMX", "BEAMX", 1, "identical"),
        ("1INCH", "1INCH", 1, "identical"),
        ("0G", "0G", 1, "identical"),
        ("2Z", "2Z", 1, "identical"),
        ("LUNA2", "LUNA", 1, "renamed"),
        ("DODOX", "DODO", 1, "renamed"),
        ("RAYSOL", "RAY", 1, "renamed"),
    ],
)
def test_binance_perp_finds_its_spot(base: str, spot: str, scale: float, rule: Rule) -> None:
    perp = f"{base}/USDT:USDT"
    assert match(perp) == SpotMatch(perp, f"{spot}/USDT", scale, rule, None)


@pytest.mark.parametrize(
    "base", ["1000RATS", "1000WHY", "1000X", "1000000MOG", "4", "42", "BTCDOM", "CAT", "KPEPE"]
)
def test_perp_without_spot_says_why(base: str) -> None:
    found = match(f"{base}/USDT:USDT")
    assert found.spot is None
    assert found.rule is None
    assert found.reason == f"no spot pair of {base} against USDT"


@pytest.mark.parametrize(
    ("base", "scale"),
    [
        ("1000MOG", 1_000),
        ("10000MOG", 10_000),
        ("1000000MOG", 1_000_000),
        ("10000000MOG", 10_000_000),
        ("1MMOG", 1_000_000),
        ("MOG1000", 1_000),
    ],
)
def test_scale_is_read_from_the_name(base: str, scale: float) -> None:
    found = match(f"{base}/USDT:USDT", exchange="bybit", spot={"MOG/USDT"})
    assert (found.spot, found.scale) == ("MOG/USDT", scale)


@pytest.mark.parametrize("base", ["KPEPE", "kPEPE"])
def test_leading_k_is_a_scale_on_hyperliquid_only(base: str) -> None:
    perp = f"{base}/USDC:USDC"
    found = match(perp, exchange="hyperliquid", spot={"PEPE/USDC"})
    assert (found.spot, found.scale) == ("PEPE/USDC", 1000)
    assert match(perp, exchange="binance", spot={"PEPE/USDC"}).spot is None


def test_spot_must_have_the_same_quote() -> None:
    assert match("BTC/USDC:USDC").spot == "BTC/USDC"
    assert match("ETH/USDC:USDC").spot is None


def test_inactive_spot_is_passed_over_and_named() -> None:
    found = match("BTC/USDT:USDT", inactive=("BTC/USDT",))
    assert found.spot is None
    assert found.reason == "spot BTC/USDT is not active"


def test_inactive_namesake_leaves_the_scaled_spot() -> None:
    found = match(
        "1000CAT/USDT:USDT", spot={"1000CAT/USDT", "CAT/USDT"}, inactive=("1000CAT/USDT",)
    )
    assert (found.spot, found.rule) == ("CAT/USDT", "scale")


def test_override_wins_and_needs_no_active_market() -> None:
    overrides = {"BTC/USDT:USDT": SpotPair(pair="PEPE/USDT", scale=10.0)}
    found = match("BTC/USDT:USDT", overrides=overrides, inactive=("PEPE/USDT",))
    assert (found.spot, found.scale, found.rule) == ("PEPE/USDT", 10.0, "override")


def test_override_by_an_unknown_pair_is_refused_not_replaced() -> None:
    overrides = {"BTC/USDT:USDT": SpotPair(pair="NONE/USDT")}
    found = match("BTC/USDT:USDT", overrides=overrides)
    assert found.spot is None
    assert found.reason == "the configured spot pair NONE/USDT is not a spot market of the exchange"


def test_perp_of_the_same_name_is_not_a_spot_pair() -> None:
    market = {"BTC/USDT": {**spot_market("BTC/USDT"), "spot": False}}
    assert match_spot("BTC/USDT:USDT", market.get, exchange="binance").spot is None


BTC, NEW = "BTC/USDT:USDT", "1000NEW/USDT:USDT"


@pytest.mark.parametrize(
    ("source", "exchange", "perp", "spot", "found"),
    [
        ("spot", "binance", BTC, "BTC/USDT", ["spot"]),
        ("spot", "binance", NEW, None, []),
        ("index", "binance", BTC, BTC, ["index"]),
        ("premium_index", "binance", BTC, BTC, ["premium_index"]),
        ("auto", "binance", BTC, "BTC/USDT", ["spot", "index", "premium_index"]),
        ("auto", "binance", NEW, NEW, ["index", "premium_index"]),
        ("auto", "okx", NEW, NEW, ["index"]),
        ("auto", "hyperliquid", NEW, None, []),
        (["premium_index", "spot"], "bybit", BTC, BTC, ["premium_index", "spot"]),
        (["spot", "premium_index"], "bybit", NEW, NEW, ["premium_index"]),
    ],
)
def test_sources_are_tried_in_the_order_of_the_setting(
    source: PremiumSetting, exchange: str, perp: str, spot: str | None, found: list[str]
) -> None:
    markets = {"BTC/USDT": {"spot": True, "active": True}}
    match = match_spot(perp, markets.get, exchange=exchange, source=source)
    assert match.spot == spot
    tried = [match, *match.others] if match.spot else []
    assert [each.premium_source for each in tried] == found
    if match.spot == perp:
        assert (match.scale, match.rule, match.has_volume) == (1, found[0], False)
        assert match.name == f"the {found[0].replace('_', ' ')} of {perp}"
    is_fallback = bool(tried) and perp == NEW and source not in ("index", "premium_index")
    assert (match.passed_over == "no spot pair of 1000NEW against USDT") is is_fallback


def test_fallbacks_are_reported_in_one_line_per_source() -> None:
    matches = [
        match_spot(f"{base}/USDT:USDT", lambda _: None, exchange="binance", source="auto")
        for base in ("A", "B")
    ]
    (line,) = about_sources(matches)
    assert line == (
        "2 perps are measured by their index: A/USDT:USDT, B/USDT:USDT; of A/USDT:USDT: no spot "
        "pair of A against USDT"
    )
