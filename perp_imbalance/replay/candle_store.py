"""Read the candles of a folder in freqtrade's layout for a replay exchange.

The folder is freqtrade's ``--datadir``; the replay reads every format that freqtrade writes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import numpy.typing as npt
from freqtrade.enums import CandleType
from freqtrade.exchange import timeframe_to_msecs
from pandas import DataFrame

from perp_imbalance.data.folder import CandleFolder, split_pair
from perp_imbalance.errors import DataError

OHLCV = ["open", "high", "low", "close", "volume"]
FUNDING = ["funding_rate"]
OPEN_INTEREST = ["open_interest_amount", "open_interest_value"]


class Market(Enum):
    """The two replayed markets of Binance."""

    SPOT = "spot"
    PERP = "perp"

    @property
    def candle_type(self) -> CandleType:
        """The type of the traded candles of this market."""
        return CandleType.SPOT if self is Market.SPOT else CandleType.FUTURES


@dataclass(frozen=True)
class Symbol:
    """A spot market or a perpetual: ``BTCUSDT`` on Binance, ``BTC/USDT[:USDT]`` in freqtrade."""

    name: str
    base: str
    quote: str
    pair: str
    market: Market
    status: str = "TRADING"


@dataclass(frozen=True)
class Series:
    """Rows in order of time.

    :ivar times: begin of each row in ms; the row is visible from then on
    :ivar ends: time at which each row becomes final, in ms; a funding rate is final at once
    :ivar values: one row of numbers per time: OHLCV, the funding rate, or open interest as amount
        and value
    """

    times: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]

    def opened(self, now: int) -> int:
        """Return how many rows have begun at ``now``."""
        return int(np.searchsorted(self.times, now, side="right"))

    def closed(self, now: int) -> int:
        """Return how many rows are final at ``now``."""
        return int(np.searchsorted(self.ends, now, side="right"))


EMPTY = Series(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, len(OHLCV))))


class CandleStore:
    """All pairs and candles of a folder, read on first use.

    :param datadir: folder in freqtrade's layout: spot files in it, all others in ``futures``
    :param extra_pairs: freqtrade names of pairs that are listed but have no candles
    :raises DataError: where the folder is missing or holds no candles
    """

    def __init__(self, datadir: Path, extra_pairs: Iterable[str] = ()) -> None:
        self._folder = CandleFolder(datadir)
        self.datadir = datadir
        self._formats = self._folder.keys
        self._timeframes: dict[tuple[str, CandleType], list[str]] = {}
        for pair, timeframe, candle_type in sorted(
            self._formats, key=lambda key: timeframe_to_msecs(key[1])
        ):
            self._timeframes.setdefault((pair, candle_type), []).append(timeframe)
        self._finest: dict[tuple[str, CandleType], Series] = {}
        self._series: dict[tuple[str, str, CandleType], Series] = {}
        self._symbols: dict[Market, dict[str, Symbol]] = {market: {} for market in Market}
        for pair in sorted({pair for pair, _, _ in self._formats}.union(extra_pairs)):
            symbol = _symbol(pair)
            if symbol is not None:
                self._symbols[symbol.market][symbol.name] = symbol
        if not any(_symbol(pair) for pair, _, _ in self._formats):
            raise DataError(f"the folder {datadir} has no candles of a spot pair or a linear perp")

    def symbols(self, market: Market) -> dict[str, Symbol]:
        """Return the symbols of a market by Binance's name."""
        return self._symbols[market]

    def series(self, symbol: Symbol, timeframe: str, candle_type: CandleType) -> Series:
        """Return the candles of this timeframe; empty where the folder has none."""
        return self._read(symbol, timeframe, candle_type)

    def _read(self, symbol: Symbol, timeframe: str, candle_type: CandleType) -> Series:
        key = (symbol.pair, timeframe, candle_type)
        if key not in self._formats:
            return EMPTY
        if key not in self._series:
            self._series[key] = self._load(key)
        return self._series[key]

    def finest(self, symbol: Symbol, candle_type: CandleType) -> Series:
        """Return candles of the shortest timeframe that the folder has at each time.

        Candles of a shorter timeframe may begin later than others, or have gaps.
        """
        key = (symbol.pair, candle_type)
        if key not in self._finest:
            found = EMPTY
            for timeframe in self._timeframes.get(key, ()):
                found = _filled(found, self._read(symbol, timeframe, candle_type))
            self._finest[key] = found
        return self._finest[key]

    def span(self) -> tuple[int, int]:
        """Return the begin of the first traded candle and the end of the last one, in ms."""
        traded = [
            series
            for market in Market
            for symbol in self.symbols(market).values()
            if len((series := self.finest(symbol, market.candle_type)).times)
        ]
        if not traded:
            raise DataError(f"the folder {self.datadir} has no candles of a spot pair or a perp")
        return (
            min(int(series.times[0]) for series in traded),
            max(int(series.ends[-1]) for series in traded),
        )

    def _load(self, key: tuple[str, str, CandleType]) -> Series:
        return _as_series(self._folder.read(*key), key[1], key[2])


def _symbol(pair: str) -> Symbol | None:
    """Return the symbol of a freqtrade pair; None if it is neither spot nor a linear perp."""
    base, quote, settle = split_pair(pair)
    if not base or not quote or settle not in ("", quote):
        return None
    market = Market.PERP if settle else Market.SPOT
    return Symbol(f"{base}{quote}", base, quote, pair, market)


def _filled(fine: Series, coarse: Series) -> Series:
    """Return a series with its gaps filled by rows of a coarser series."""
    if not len(fine.times) or not len(coarse.times):
        return fine if len(fine.times) else coarse
    # Of the rows that begin before a coarse one ends, all must have ended before it begins.
    begun = np.searchsorted(fine.times, coarse.ends, side="left")
    ended = np.searchsorted(fine.ends, coarse.times, side="right")
    new = begun == ended
    if not new.any():
        return fine
    times = np.concatenate([fine.times, coarse.times[new]])
    order = np.argsort(times)
    return Series(
        times[order],
        np.concatenate([fine.ends, coarse.ends[new]])[order],
        np.concatenate([fine.values, coarse.values[new]])[order],
    )


def _as_series(frame: DataFrame, timeframe: str, candle_type: CandleType) -> Series:
    dates = frame["date"].dt.tz_convert(None).to_numpy("datetime64[ms]")
    times = dates.astype(np.int64)
    if candle_type == CandleType.FUNDING_RATE:
        return Series(times, times, frame[FUNDING].to_numpy(np.float64))
    if candle_type == CandleType.OPEN_INTEREST:
        return Series(times, times, frame[OPEN_INTEREST].to_numpy(np.float64))
    if timeframe.endswith("M"):
        # A month has no fixed length, and freqtrade's 30 days would close a long one too early.
        months = dates.astype("datetime64[M]") + 1
        ends = months.astype("datetime64[ms]").astype(np.int64)
    else:
        ends = times + timeframe_to_msecs(timeframe)
    return Series(times, ends, frame[OHLCV].to_numpy(np.float64))
