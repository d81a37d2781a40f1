"""Each exchange with its shipped fragment: spot is asked as spot, and names find their spot."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
from freqtrade.data.history import get_datahandler
from freqtrade.enums import CandleType
from freqtrade.resolvers import ExchangeResolver, StrategyResolver
from support.dialects import Listening, running_dialect
from support.freqtrade import CONFIG, ROOT

from perp_imbalance.freqtrade_bridge.config import load_config
from perp_imbalance.freqtrade_bridge.exchange import match_perps
from perp_imbalance.freqtrade_bridge.pairs import load_universe
from perp_imbalance.markets.spot_matching import is_perp
from perp_imbalance.markets.spot_setting import check_spot_setting
from perp_imbalance.replay import replay_config, running_replay
from perp_imbalance.replay.candle_store import Market
from perp_imbalance.strategy.parameters import STARTUP_CANDLES
from perp_imbalance.strategy.settings import Settings

#: What a candle of each kind closes at: who gets which is seen by the price.
PRICES = {
    **{CandleType.FUTURES: 101.0, CandleType.SPOT: 100.0, CandleType.INDEX: 100.5},
    CandleType.PREMIUMINDEX: 0.25,
}
CANDLES = 100
#: Path and parameters of a request.
Request = tuple[str, dict[str, str]]


class Names(NamedTuple):
    """Perps as the exchange writes them, and the matches that must come of them.

    :ivar found: perp to spot pair and scale; None where the exchange has no spot pair of it.
    """

    perps: list[str]
    found: dict[str, tuple[str, float] | None]


# As public lists and documents have them between 2024 and 2026; each is a case of its own.
NAMES = {
    "bybit": Names(
        ["BTCUSDT", "1000PEPEUSDT", "SHIB1000USDT", "10000SATSUSDT", "1000000MOGUSDT"],
        {
            "BTC/USDT:USDT": ("BTC/USDT", 1),
            "1000PEPE/USDT:USDT": ("PEPE/USDT", 1000),
            "SHIB1000/USDT:USDT": ("SHIB/USDT", 1000),
            "10000SATS/USDT:USDT": ("SATS/USDT", 10_000),
            "1000000MOG/USDT:USDT": ("MOG/USDT", 1_000_000),
        },
    ),
    "okx": Names(
        ["BTC-USDT-SWAP", "PEPE-USDT-SWAP", "SATS-USDT-SWAP", "1INCH-USDT-SWAP"],
        {
            "BTC/USDT:USDT": ("BTC/USDT", 1),
            "PEPE/USDT:USDT": ("PEPE/USDT", 1),
            "SATS/USDT:USDT": ("SATS/USDT", 1),
            "1INCH/USDT:USDT": ("1INCH/USDT", 1),
        },
    ),
    "gate": Names(
        ["BTC_USDT", "PEPE_USDT", "SHIB_USDT"],
        {
            "BTC/USDT:USDT": ("BTC/USDT", 1),
            "PEPE/USDT:USDT": ("PEPE/USDT", 1),
            "SHIB/USDT:USDT": ("SHIB/USDT", 1),
        },
    ),
    "bitget": Names(
        ["BTCUSDT", "PEPEUSDT", "SHIBUSDT", "1000BONKUSDT", "10000SATSUSDT"],
        {
            "BTC/USDT:USDT": ("BTC/USDT", 1),
            "PEPE/USDT:USDT": ("PEPE/USDT", 1),
            "SHIB/USDT:USDT": ("SHIB/USDT", 1),
            "1000BONK/USDT:USDT": ("BONK/USDT", 1000),
            "10000SATS/USDT:USDT": ("SATS/USDT", 10_000),
        },
    ),
    "hyperliquid": Names(
        ["BTC", "ETH", "SOL", "HYPE", "kBONK", "kPEPE", "DOGE"],
        {
            "BTC/USDC:USDC": ("BTC/USDC", 1),
            "ETH/USDC:USDC": ("ETH/USDC", 1),
            "SOL/USDC:USDC": ("SOL/USDC", 1),
            "HYPE/USDC:USDC": ("HYPE/USDC", 1),
            "KBONK/USDC:USDC": ("BONK/USDC", 1000),
            "KPEPE/USDC:USDC": None,
            "DOGE/USDC:USDC": None,
        },
    ),
}

#: The requests for the candles of a perp, of its spot pair, index and premium index.
ASKED: dict[str, list[Request]] = {
    "bybit": [
        ("/v5/market/kline", {"category": "linear", "symbol": "BTCUSDT"}),
        ("/v5/market/kline", {"category": "spot", "symbol": "BTCUSDT"}),
        ("/v5/market/index-price-kline", {"category": "linear", "symbol": "BTCUSDT"}),
        ("/v5/market/premium-index-price-kline", {"category": "linear", "symbol": "BTCUSDT"}),
    ],
    "okx": [
        ("/api/v5/market/candles", {"instId": "BTC-USDT-SWAP"}),
        ("/api/v5/market/candles", {"instId": "BTC-USDT"}),
        ("/api/v5/market/index-candles", {"instId": "BTC-USDT"}),
    ],
    "gate": [
        ("/api/v4/futures/usdt/candlesticks", {"contract": "BTC_USDT"}),
        ("/api/v4/spot/candlesticks", {"currency_pair": "BTC_USDT"}),
        ("/api/v4/futures/usdt/candlesticks", {"contract": "index_BTC_USDT"}),
    ],
    "bitget": [
        ("/api/v2/mix/market/candles", {"symbol": "BTCUSDT", "productType": "USDT-FUTURES"}),
        ("/api/v2/spot/market/candles", {"symbol": "BTCUSDT"}),
        ("/api/v2/mix/market/candles", {"symbol": "BTCUSDT", "kLineType": "index"}),
    ],
    # @1 is the second spot pair by name, UBTC/USDC.
    "hyperliquid": [
        ("/info", {"type": "candleSnapshot", "coin": "BTC"}),
        ("/info", {"type": "candleSnapshot", "coin": "@1"}),
    ],
}

# Which candles freqtrade and ccxt give beside those of perp and spot.
CANDLE_TYPES = {
    "bybit": {
        *(CandleType.INDEX, CandleType.PREMIUMINDEX),
        *(CandleType.FUNDING_RATE, CandleType.OPEN_INTEREST),
    },
    "okx": {CandleType.INDEX, CandleType.FUNDING_RATE, CandleType.OPEN_INTEREST},
    "gate": {CandleType.INDEX, CandleType.FUNDING_RATE, CandleType.OPEN_INTEREST},
    "bitget": {CandleType.INDEX, CandleType.FUNDING_RATE},
    "hyperliquid": {CandleType.FUNDING_RATE},
}


class Opened(NamedTuple):
    """freqtrade's exchange as the bot opens it, with the config and what answers it."""

    name: str
    config: dict[str, Any]
    exchange: Any
    listening: Listening


def fragment(name: str) -> Path:
    return ROOT / "config" / f"exchange-{name}.json"


def write_btc(datadir: Path, quote: str) -> None:
    """Write candles of BTC until now, of each kind another price."""
    (datadir / "futures").mkdir()
    handler = get_datahandler(datadir, "feather")
    dates = pd.date_range(end=pd.Timestamp.now("UTC").floor("h"), periods=CANDLES, freq="1h")
    for kind, price in PRICES.items():
        pair = f"BTC/{quote}" if kind is CandleType.SPOT else f"BTC/{quote}:{quote}"
        prices = dict.fromkeys(("open", "high", "low", "close"), price)
        candles = pd.DataFrame({"date": dates, **prices, "volume": 5.0})
        handler.ohlcv_store(pair, "1h", candles, kind)


@pytest.fixture(scope="module", params=NAMES)
def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Opened]:
    name = request.param
    found = NAMES[name].found
    pairs = [*found, *(match[0] for match in found.values() if match)]
    folder = tmp_path_factory.mktemp(name)
    write_btc(folder, next(iter(found)).partition(":")[2])
    with running_dialect(name, folder, pairs) as listening:
        overlay = {**listening.config, "user_data_dir": str(folder)}
        (folder / "overlay.json").write_text(json.dumps(overlay), encoding="utf-8")
        config = load_config([CONFIG, fragment(name), folder / "overlay.json"])
        exchange = ExchangeResolver.load_exchange(config, validate=False)
        with closing(exchange):
            yield Opened(name, config, exchange, listening)


def test_names_of_the_exchange_find_their_spot(opened: Opened) -> None:
    markets, names = opened.exchange.markets, NAMES[opened.name]
    listed = opened.listening.dialect.listed(Market.PERP)
    assert sorted(name for name, _ in listed) == sorted(names.perps)
    perps = [symbol for symbol, market in markets.items() if is_perp(market)]
    found = {
        match.perp: (match.spot, match.scale) if match.spot else None
        for match in match_perps(markets, Settings(), opened.name, perps)
    }
    assert found == names.found


def test_spot_is_asked_as_spot(opened: Opened) -> None:
    """Each series comes from its own market: the property without which every premium is 0."""
    check_spot_setting(opened.config)
    perp = opened.config["exchange"]["pair_whitelist"][0]
    requests = opened.listening.dialect.exchange.requests
    for (kind, price), (path, params) in zip(PRICES.items(), ASKED[opened.name], strict=False):
        key = (perp.partition(":")[0] if kind is CandleType.SPOT else perp, "1h", kind)
        requests.clear()
        frames = opened.exchange.refresh_latest_ohlcv([key], cache=False)
        assert frames[key]["close"].unique().tolist() == [price]
        (asked,) = requests
        assert asked.path == path
        assert params.items() <= asked.params.items()


def test_freqtrade_accepts_config_and_strategy_on_the_exchange(opened: Opened) -> None:
    config = {**opened.config}
    StrategyResolver.load_strategy(config)
    # Markets of the dialect are not all that the fragment names; freqtrade looks at those later.
    opened.exchange.validate_config(config)
    limit = opened.exchange.ohlcv_candle_limit("1h", CandleType.FUTURES)
    assert opened.exchange.required_candle_call_count == STARTUP_CANDLES // limit + 1


def test_exchange_has_the_candle_types_that_the_table_says(opened: Opened) -> None:
    kinds = [
        *(CandleType.INDEX, CandleType.PREMIUMINDEX),
        *(CandleType.FUNDING_RATE, CandleType.OPEN_INTEREST),
    ]
    found = {kind for kind in kinds if opened.exchange.check_candle_type_support(kind)}
    assert found == CANDLE_TYPES[opened.name]


def test_spot_pair_of_another_exchange_is_refused(opened: Opened) -> None:
    """An override names a pair of the same exchange; there is no way to name another one."""
    perp = opened.config["exchange"]["pair_whitelist"][0]
    settings = Settings.model_validate({"spot_pairs": {perp: {"pair": "BTC/FDUSD"}}})
    (match,) = match_perps(opened.exchange.markets, settings, opened.name, [perp])
    assert match.spot is None
    assert match.reason == "the configured spot pair BTC/FDUSD is not a spot market of the exchange"


@pytest.mark.parametrize("stake", ["USDT", "USDC"])
def test_binance_perps_find_a_spot_of_their_quote(
    tiny_datadir: Path, tmp_path: Path, stake: str
) -> None:
    bases = ["BTC", "ETH", "SOL", "1000PEPE"]
    extra = [f"{base}/USDC:USDC" for base in bases]
    extra += [f"{base.removeprefix('1000')}/USDC" for base in bases]
    extra += [f"{base}/USDT{settle}" for base in ("ETH", "SOL") for settle in ("", ":USDT")]
    with running_replay(tiny_datadir, extra_pairs=extra) as replay:
        overlay = {**replay_config(replay.url), "user_data_dir": str(tmp_path)}
        (tmp_path / "overlay.json").write_text(json.dumps(overlay), encoding="utf-8")
        files = [CONFIG, fragment(f"binance-{stake.lower()}"), tmp_path / "overlay.json"]
        config = load_config(files)
        check_spot_setting(config)
        markets, perps = load_universe(config)
        matches = match_perps(markets, Settings(), "binance", perps)
    found = {match.perp: (match.spot, match.scale) for match in matches}
    assert found == {
        f"{base}/{stake}:{stake}": (
            f"{base.removeprefix('1000')}/{stake}",
            1000 if base.startswith("1000") else 1,
        )
        for base in bases
    }
