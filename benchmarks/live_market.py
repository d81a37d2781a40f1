"""The processor time and requests that a live bot needs per candle of 450 perps."""

import json
import resource
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import ccxt
import pandas as pd
from freqtrade.data.history import get_datahandler
from freqtrade.enums import CandleType
from freqtrade.exchange import timeframe_to_seconds

from benchmarks.market import candles
from benchmarks.strategy import ROOT
from perp_imbalance.doctor.request_checks import Requests, weights
from perp_imbalance.freqtrade_bridge.config import merged_config
from perp_imbalance.rehearsal import Plan, rehearse
from perp_imbalance.rehearsal.stage import Stage
from perp_imbalance.replay import Replay

STRATEGY = "PerpImbalance"
TIMEFRAME = "5m"
#: Seconds after a candle's opening; a later look requests what the first one did not.
LOOKS = (1.0, 6.0, 60.0, 180.0)
START = datetime(2025, 9, 18, 0, 0, 1, tzinfo=UTC)
HISTORY = 700
_FILE = "measured.json"
#: Premium sources, assigned to the perps in turn: spot, index, premium index.
SOURCES = ("spot", "index", "premiumIndex")
#: ccxt's names of the parts of Binance's API, by the beginning of their paths.
_PARTS = {"/fapi/v1/": "fapiPublic", "/api/v3/": "public"}


class Live(NamedTuple):
    """The cost of one candle of a whole market, median over candles; seconds of processor time.

    :ivar start: of the start and the first look
    :ivar fetching: of freqtrade's requests, parsing and frames
    :ivar indicators: ``populate_indicators`` of all pairs
    :ivar signals: entries and exits of all pairs
    :ivar lines: the log line of each pair
    :ivar rest: the rest of the analysis: freqtrade's copies of frames, the watched feed
    :ivar idle: a whole look without a new candle
    :ivar repeats: the most requests of one series in one candle
    :ivar weights: request weight of a candle and the limit per minute, by market
    :ivar start_weights: the same for the start and its candle
    :ivar megabytes: peak memory of the process, which includes the replay exchange
    """

    pairs: int
    start: float
    fetching: float
    indicators: float
    signals: float
    lines: float
    rest: float
    idle: float
    repeats: int
    weights: dict[str, tuple[float, int]]
    start_weights: dict[str, tuple[float, int]]
    megabytes: float

    @property
    def computing(self) -> float:
        """The time of the analysis, from the last response to the last pair."""
        return self.indicators + self.signals + self.lines + self.rest


def asked(served: Iterable[Sequence[Any]]) -> Requests:
    """Return requests with the weights that ccxt assigns to them.

    :param served: method, path and parameters of each request.
    """
    client = ccxt.binance()
    found = Requests()
    for method, path, params in served:
        for prefix, part in _PARTS.items():
            name = path.removeprefix(prefix)
            if name == path:
                continue
            rule = client.api[part]["get"].get(name, 1)
            rule = rule if isinstance(rule, dict) else {"cost": rule}
            # ccxt computes the weight of an index request from "symbol", and needs numbers.
            given = {**params, **{key: int(params[key]) for key in {"limit"} & params.keys()}}
            if "pair" in given:
                given["symbol"] = given["pair"]
            cost = client.calculate_rate_limiter_cost(part, method, name, given, rule)
            found += Requests(1, {part: float(cost)})
    return found


class Measured(Stage):
    """Measures each look of the bot and its parts."""

    @contextmanager
    def exchange(self) -> Iterator[Replay]:
        """Serve the exchange, and time the parts of a look."""
        self.replay_seen, self.looks = 0, list[dict[str, Any]]()
        self.parts: dict[str, float] = defaultdict(float)
        # Imported here, because the bot's modules must be imported in its process.
        from freqtrade.exchange import Exchange
        from freqtrade.strategy import IStrategy

        from perp_imbalance.strategy.feed import WatchedFeed

        self._watch(Exchange, "refresh_latest_ohlcv", "fetching")
        self._watch(IStrategy, "advise_indicators", "indicators")
        self._watch(IStrategy, "advise_entry", "signals")
        self._watch(IStrategy, "advise_exit", "signals")
        self._watch(WatchedFeed, "log_candle", "lines")
        self._watch(WatchedFeed, "analyze", "analysis")
        with super().exchange() as replay:
            self.replay = replay
            self.begun = time.thread_time()
            yield replay

    def _watch(self, owner: type, name: str, part: str) -> None:
        call: Callable[..., Any] = getattr(owner, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            # The replay answers in another thread.
            begun = time.thread_time()
            try:
                return call(*arguments, **options)
            finally:
                self.parts[part] += time.thread_time() - begun

        setattr(owner, name, watched)

    def looked(self, worker: Any, now: float) -> None:
        """Record the cost of the look."""
        served = list(self.replay.exchange.requests)
        self.looks.append(
            {
                "now": now,
                "seconds": time.thread_time() - self.begun,
                **self.parts,
                "requests": served[self.replay_seen :],
            }
        )
        self.replay_seen, self.begun = len(served), time.thread_time()
        self.parts.clear()

    def ended(self) -> None:
        """Write the measurements to a file."""
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        written = json.dumps({"looks": self.looks, "megabytes": memory})
        (self.plan.folder / _FILE).write_text(written, encoding="utf-8")


def write_market(datadir: Path, pairs: int) -> list[str]:
    """Write candles of a number of perps, a third each with spot, index and premium index.

    :return: the perps.
    """
    (datadir / "futures").mkdir(parents=True)
    rows = HISTORY
    shape = candles(rows)
    opened = START.replace(second=0) - timedelta(days=2)
    dates = pd.Series(pd.date_range(opened, periods=rows, freq="5min")).dt.as_unit("ms")
    perp, spot = (frame.assign(date=dates, volume=1.0) for frame in (shape.perp, shape.spot))
    prices = ["open", "high", "low", "close"]
    premium = perp.assign(**{name: perp[name] / spot[name] - 1.0 for name in prices}, volume=0.0)
    funding = pd.DataFrame({"date": dates[::96], "funding_rate": 1e-4})
    handler = get_datahandler(datadir, "feather")
    found = []
    for number in range(pairs):
        name = f"COIN{number}/USDT:USDT"
        found.append(name)
        handler.ohlcv_store(name, TIMEFRAME, perp, CandleType.FUTURES)
        handler.ohlcv_store(name, "1h", funding, CandleType.FUNDING_RATE)
        kind = CandleType(SOURCES[number % len(SOURCES)])
        frame = premium if kind == CandleType.PREMIUMINDEX else spot
        pair = name.partition(":")[0] if kind == CandleType.SPOT else name
        handler.ohlcv_store(pair, TIMEFRAME, frame, kind)
    return found


def measure(pairs: int, candles_lived: int) -> Live:
    """Measure a dry-run bot on a number of perps, without the rehearsal's shortcuts.

    :raises RehearsalError: if freqtrade fails.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = write_market(folder / "binance", pairs)
        (folder / "user_data").mkdir()
        own = {
            "strategy": STRATEGY,
            "strategy_path": str(ROOT / "strategies"),
            "user_data_dir": str(folder / "user_data"),
            "timeframe": TIMEFRAME,
            "perp_imbalance": {"premium_source": "auto", "htf_timeframe": "1h"},
            "exchange": {"pair_whitelist": names},
        }
        step = timedelta(seconds=timeframe_to_seconds(TIMEFRAME))
        plan = Plan(
            merged_config([ROOT / "config.json"], own),
            *(folder / "binance", folder / "life", START, START + candles_lived * step),
            looks=LOOKS,
            shortcuts=False,
            stage=f"{__name__}:{Measured.__name__}",
        )
        # The folder from which the bot's process imports this module.
        rehearse(plan, ROOT)
        measured = json.loads((plan.folder / _FILE).read_text("utf-8"))
    return summarised(pairs, measured["looks"], measured["megabytes"])


def summarised(pairs: int, looks: list[dict[str, Any]], megabytes: float) -> Live:
    """Return the figures of the median candle, without the first.

    :param looks: in order, :data:`LOOKS` per candle; the last candle has one.
    """
    whole = [looks[first : first + len(LOOKS)] for first in range(0, len(looks) - 1, len(LOOKS))]
    first, *later = whole

    def typical(part: str) -> float:
        return float(median(candle[0].get(part, 0.0) for candle in later))

    def weighed(candle: list[dict[str, Any]]) -> dict[str, tuple[float, int]]:
        return weights(asked(request for look in candle for request in look["requests"]), "binance")

    repeats = [
        max(Counter(json.dumps(each) for look in candle for each in look["requests"]).values())
        for candle in later
    ]
    indicators, signals, lines = map(typical, ("indicators", "signals", "lines"))
    return Live(
        pairs,
        first[0]["seconds"],
        typical("fetching"),
        indicators,
        signals,
        lines,
        typical("analysis") - indicators - signals - lines,
        median(look["seconds"] for candle in later for look in candle[1:]),
        max(repeats),
        weighed(later[0]),
        weighed(first),
        megabytes,
    )
