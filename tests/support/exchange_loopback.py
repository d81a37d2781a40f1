"""Exchanges on 127.0.0.1: enough of each for ccxt to load markets and candles.

Answers have the form that ccxt's own source shows for each exchange. Every request is kept.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import ccxt

HOUR_MS = 3_600_000
CANDLES = 100
#: What a candle of each market closes at: who gets which is seen by the price.
PERP_PRICE, SPOT_PRICE, INDEX_PRICE = 101.0, 100.0, 100.5
#: Inside the impact spread.
PREMIUM_INDEX = 0.0

Params = dict[str, Any]
#: Path and parameters of a request, a body's among them.
Request = tuple[str, Params]
Answer = Callable[[str, Params], Any]


def _times() -> list[int]:
    now = int(time.time() * 1000) // HOUR_MS * HOUR_MS
    return [now - HOUR_MS * back for back in range(CANDLES)][::-1]


def _rows(price: float) -> list[list[str]]:
    return [[str(at), *[str(price)] * 4, "5", "500", "500"] for at in _times()]


def bybit(perps: list[str], spots: list[str]) -> Answer:
    """Return Bybit's answers for markets such as ``SHIB1000USDT``."""

    def instrument(symbol: str) -> Params:
        base = symbol.removesuffix("USDT")
        return {
            **{"symbol": symbol, "baseCoin": base, "quoteCoin": "USDT", "settleCoin": "USDT"},
            **{
                "contractType": "LinearPerpetual",
                "status": "Trading",
                "launchTime": "1585526400000",
            },
            **{"deliveryTime": "0", "priceScale": "2", "priceFilter": {"tickSize": "0.01"}},
            "leverageFilter": {"minLeverage": "1", "maxLeverage": "100", "leverageStep": "0.01"},
            "lotSizeFilter": {
                **{"basePrecision": "0.001", "quotePrecision": "0.01", "qtyStep": "0.001"},
                **{"minOrderQty": "0.001", "maxOrderQty": "100", "minOrderAmt": "1"},
            },
        }

    def answer(path: str, params: Params) -> Any:
        found: list[Any] = []
        if path == "/v5/market/instruments-info" and "status" not in params:
            symbols = {"linear": perps, "spot": spots}.get(params["category"], [])
            found = [instrument(symbol) for symbol in symbols]
        elif path == "/v5/market/risk-limit":
            limit = {"riskLimitValue": "2000000", "initialMargin": "0.01", "maxLeverage": "100"}
            found = [
                {"symbol": name, "id": 1, "maintenanceMargin": "0.005", **limit} for name in perps
            ]
        elif path == "/v5/market/kline":
            found = _rows(PERP_PRICE if params["category"] == "linear" else SPOT_PRICE)[::-1]
        elif path == "/v5/market/index-price-kline":
            found = [row[:5] for row in _rows(INDEX_PRICE)[::-1]]
        elif path == "/v5/market/premium-index-price-kline":
            found = [row[:5] for row in _rows(PREMIUM_INDEX)[::-1]]
        result = {"category": params.get("category"), "list": found}
        return {"retCode": 0, "retMsg": "OK", "result": result, "time": _times()[-1]}

    return answer


def okx(perps: list[str], spots: list[str]) -> Answer:
    """Return OKX's answers for markets such as ``PEPE-USDT-SWAP`` and ``PEPE-USDT``."""

    def instrument(name: str) -> Params:
        base, quote, *swap = name.split("-")
        common = {"instId": name, "lotSz": "1", "minSz": "1", "tickSz": "0.01", "state": "live"}
        if not swap:
            return {**common, "instType": "SPOT", "baseCcy": base, "quoteCcy": quote}
        family = f"{base}-{quote}"
        return {
            **common,
            **{"instType": "SWAP", "uly": family, "instFamily": family, "settleCcy": quote},
            **{"ctVal": "1", "ctMult": "1", "ctType": "linear", "lever": "50"},
        }

    def answer(path: str, params: Params) -> Any:
        found: list[Any] = []
        if path == "/api/v5/public/instruments":
            names = {"SWAP": perps, "SPOT": spots}.get(params["instType"], [])
            found = [instrument(name) for name in names]
        elif path == "/api/v5/market/candles":
            found = _rows(PERP_PRICE if params["instId"].endswith("-SWAP") else SPOT_PRICE)[::-1]
        elif path == "/api/v5/market/index-candles":
            found = [row[:5] for row in _rows(INDEX_PRICE)[::-1]]
        return {"code": "0", "msg": "", "data": found}

    return answer


def gate(perps: list[str], spots: list[str]) -> Answer:
    """Return Gate's answers for markets such as ``PEPE_USDT``."""
    precision = {"amount_precision": 3, "precision": 2}
    contract = {
        **{"order_price_deviate": "0.15", "mark_price": "100", "quanto_multiplier": "1"},
        **{"order_size_min": 1, "order_size_max": 1000, "leverage_max": "50", "leverage_min": "1"},
        **{"status": "trading", "order_price_round": "0.01", "mark_price_round": "0.01"},
        **{"maker_fee_rate": "0", "taker_fee_rate": "0", "type": "direct", "create_time": 1},
    }

    def answer(path: str, params: Params) -> Any:
        if path == "/api/v4/spot/currency_pairs":
            return [
                {"id": name, "fee": "0.2", "trade_status": "tradable", **precision}
                for name in spots
            ]
        if path == "/api/v4/futures/usdt/contracts":
            return [{"name": name, **contract} for name in perps]
        seconds = [at // 1000 for at in _times()]
        if path == "/api/v4/spot/candlesticks":
            price = str(SPOT_PRICE)
            return [[str(at), "500", *[price] * 4, "5", "true"] for at in seconds]
        if path == "/api/v4/futures/usdt/candlesticks":
            price = str(INDEX_PRICE if params["contract"].startswith("index_") else PERP_PRICE)
            return [{"t": at, "v": 5, **dict.fromkeys("ohlc", price)} for at in seconds]
        return []

    return answer


def bitget(perps: list[str], spots: list[str]) -> Answer:
    """Return Bitget's answers for markets such as ``1000BONKUSDT``."""

    def coins(symbol: str) -> Params:
        return {"symbol": symbol, "baseCoin": symbol.removesuffix("USDT"), "quoteCoin": "USDT"}

    def spot(symbol: str) -> Params:
        precision = {"pricePrecision": "2", "quantityPrecision": "3", "quotePrecision": "2"}
        return {**coins(symbol), **precision, "status": "online", "minTradeUSDT": "1"}

    def perp(symbol: str) -> Params:
        return {
            **{**coins(symbol), "supportMarginCoins": ["USDT"], "symbolType": "perpetual"},
            **{"pricePlace": "2", "priceEndStep": "1", "volumePlace": "3", "sizeMultiplier": "1"},
            **{"symbolStatus": "normal", "minTradeNum": "1", "minLever": "1", "maxLever": "50"},
        }

    def answer(path: str, params: Params) -> Any:
        found: list[Any] = []
        if path == "/api/v2/spot/public/symbols":
            found = [spot(symbol) for symbol in spots]
        elif path == "/api/v2/mix/market/contracts":
            is_usdt = params["productType"] == "USDT-FUTURES"
            found = [perp(symbol) for symbol in perps] if is_usdt else []
        elif path == "/api/v2/spot/market/candles":
            found = _rows(SPOT_PRICE)
        elif path == "/api/v2/mix/market/candles":
            found = _rows(INDEX_PRICE if params.get("kLineType") == "index" else PERP_PRICE)
        return {"code": "00000", "msg": "success", "data": found}

    return answer


def hyperliquid(perps: list[str], spots: list[str]) -> Answer:
    """Return Hyperliquid's answers for perps such as ``kPEPE`` and spot tokens such as ``UBTC``."""
    names = ["USDC", *spots]
    tokens = [
        {"name": name, "index": at, "tokenId": str(at), "szDecimals": 5, "weiDecimals": 8}
        for at, name in enumerate(names)
    ]
    pairs = [
        {"name": f"@{at}", "index": at, "tokens": [at + 1, 0], "isCanonical": False}
        for at in range(len(spots))
    ]
    prices = {"markPx": "100", "midPx": "100", "prevDayPx": "100", "dayNtlVlm": "1"}

    def answer(path: str, params: Params) -> Any:
        kind = params["type"]
        if kind == "candleSnapshot":
            coin = params["req"]["coin"]
            price = str(SPOT_PRICE if coin.startswith("@") else PERP_PRICE)
            common = {"s": coin, "i": "1h", "n": 1, "v": "5", **dict.fromkeys("ohlc", price)}
            return [{"t": at, "T": at + HOUR_MS - 1, **common} for at in _times()]
        if kind == "spotMeta":
            return {"tokens": tokens, "universe": pairs}
        if kind == "spotMetaAndAssetCtxs":
            return [{"tokens": tokens, "universe": pairs}, [prices for _ in pairs]]
        if kind == "metaAndAssetCtxs":
            universe = [{"name": name, "szDecimals": 1, "maxLeverage": 20} for name in perps]
            return [{"universe": universe}, [{**prices, "oraclePx": "100"} for _ in perps]]
        return []

    return answer


def _to_loopback(urls: Any, address: str) -> Any:
    """Return ccxt's addresses with this machine's in place of the exchange's."""
    if isinstance(urls, Mapping):
        return {name: _to_loopback(url, address) for name, url in urls.items()}
    return address + urlsplit(urls.replace("{hostname}", "host")).path.rstrip("/")


def loopback_config(exchange: str, address: str) -> dict[str, Any]:
    """Return the part of a freqtrade config that leads to a loopback exchange."""
    api = getattr(ccxt, exchange)().describe()["urls"]["api"]
    return {
        "exchange": {
            "enable_ws": False,
            "ccxt_config": {
                "enableRateLimit": False,
                "urls": {"api": _to_loopback(api, address)},
            },
        }
    }


@contextmanager
def loopback(answer: Answer) -> Iterator[tuple[str, list[Request]]]:
    """Serve an exchange; yield its address and what it is asked."""
    requests: list[Request] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._say(dict(parse_qsl(urlsplit(self.path).query)))

        def do_POST(self) -> None:
            self._say(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _say(self, params: Params) -> None:
            path = urlsplit(self.path).path
            requests.append((path, params))
            body = json.dumps(answer(path, params)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", requests
        finally:
            server.shutdown()
            thread.join()
