"""A whole market live: what a candle of 450 perps costs a bot in processor time and requests."""

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
#: Seconds after a candle's opening: what the first look has not asked for, a later one does.
LOOKS = (1.0, 6.0, 60.0, 180.0)
START = datetime(2025, 9, 18, 0, 0, 1, tzinfo=UTC)
HISTORY = 700
_FILE = "measured.json"
#: What the premium of a perp is measured by, one after the other: spot, index, premium index.
SOURCES = ("spot", "index", "premiumIndex")
#: What ccxt calls the parts of Binance, by where their paths begin.
_PARTS = {"/fapi/v1/": "fapiPublic", "/api/v3/": "public"}


class Live(NamedTuple):
    """What one candle of a whole market takes, the median candle; seconds of processor time.

    :ivar start: of the start and the first look
    :ivar fetching: freqtrade's own: requests, answers, frames
    :ivar indicators: ``populate_indicators`` of all pairs
    :ivar signals: entries and exits of all pairs
    :ivar lines: the log's line of each pair
    :ivar rest: of the analysis: freqtrade's copies of frames, the watched feed
    :ivar idle: a look without a new candle, all of it
    :ivar repeats: most requests of one series in one candle
    :ivar weights: of the requests of a candle and what is allowed in a minute, by market
    :ivar start_weights: the same of the start and its candle
    :ivar megabytes: the most memory of the process, the replay exchange included
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
        """The whole analysis, from the last answer to the last pair."""
        return self.indicators + self.signals + self.lines + self.rest


def asked(served: Iterable[Sequence[Any]]) -> Requests:
    """Return requests at what ccxt says they cost.

    :param served: method, path and parameters of each.
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
            # ccxt asks for the index of a pair, and counts by numbers.
            given = {**params, **{key: int(params[key]) for key in {"limit"} & params.keys()}}
            if "pair" in given:
                given["symbol"] = given["pair"]
            cost = client.calculate_rate_limiter_cost(part, method, name, given, rule)
            found += Requests(1, {part: float(cost)})
    return found


class Measured(Stage):
    """Notes what each look takes, and of what."""

    @contextmanager
    def exchange(self) -> Iterator[Replay]:
        """Serve the exchange, with a watch around the parts of a look."""
        self.replay_seen, self.looks = 0, list[dict[str, Any]]()
        self.parts: dict[str, float] = defaultdict(float)
        # Here, because the bot's own modules belong to its process.
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
        """Note what the look took."""
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
        """Write what was noted."""
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        written = json.dumps({"looks": self.looks, "megabytes": memory})
        (self.plan.folder / _FILE).write_text(written, encoding="utf-8")


def write_market(datadir: Path, pairs: int) -> list[str]:
    """Write candles of so many perps, a third each with spot, index and premium index.

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
    """Let a dry-run bot live through candles of so many perps, without the rehearsal's shortcuts.

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
        # There the bot's process finds this module.
        rehearse(plan, ROOT)
        measured = json.loads((plan.folder / _FILE).read_text("utf-8"))
    return summarised(pairs, measured["looks"], measured["megabytes"])


def summarised(pairs: int, looks: list[dict[str, Any]], megabytes: float) -> Live:
    """Return the figures of the median candle after the first.

    :param looks: one after the other, :data:`LOOKS` a candle; the last candle has one.
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
