"""The market as the exchange shows it now, and what a backtest computes from it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from freqtrade.data.converter import ohlcv_fill_up_missing_data

from perp_imbalance.indicators import PRESETS, entry_signals, exit_signals, imbalance_columns
from perp_imbalance.replay.candle_store import CandleStore, Market, Series, Symbol
from perp_imbalance.replay.server import Clock
from perp_imbalance.replay.testing import BadPrices, Delisted, Fault, Halted
from perp_imbalance.replay.testing.faults import FaultyStore
from support.parity import PRESET, SPOTS

#: More candles than a bot loads.
ROWS = 800
HOUR_MS = 3_600_000
OHLCV = ["open", "high", "low", "close", "volume"]


class Tables(NamedTuple):
    """Columns and signals of a pair on closed candles.

    :ivar shown: from the candles that the exchange shows, right or wrong
    :ivar sound: the same without candles that have wrong prices
    """

    shown: pd.DataFrame
    sound: pd.DataFrame


class MarketNow:
    """The candles that a bot can know now.

    :param store: the candles of the exchange, with its faults
    :param clock: returns the time in ms
    """

    def __init__(self, store: CandleStore, faults: Sequence[Fault], clock: Clock) -> None:
        self._store, self._clock = store, clock
        true = [fault for fault in faults if isinstance(fault, (Halted, Delisted))]
        self._true = FaultyStore(store.datadir, (), true, clock)
        self._lies = {fault.pair for fault in faults if isinstance(fault, BadPrices)}
        self._every = CandleStore(store.datadir)
        self._known: dict[str, tuple[object, Tables]] = {}

    def is_traded(self, pair: str) -> bool:
        """Return whether a perp or spot pair is listed and open for trading."""
        market = Market.PERP if ":" in pair else Market.SPOT
        listed = {symbol.pair: symbol for symbol in self._store.symbols(market).values()}
        return pair in listed and listed[pair].status == "TRADING"

    def tables(self, pair: str) -> Tables:
        """Return the columns and signals of a backtest on a perp's closed candles."""
        spot, scale = SPOTS[pair]
        rows = {name: self._closed(self._store, name) for name in (pair, spot)}
        key = [(len(found.times), found.times[-1:].tolist()) for found in rows.values()]
        if pair not in self._known or self._known[pair][0] != key:
            shown = _table(rows[pair], rows[spot], scale)
            sound = shown
            if self._lies & {pair, spot}:
                true = [self._without_lies(name, rows[name]) for name in (pair, spot)]
                sound = _table(true[0], true[1], scale)
            self._known[pair] = key, Tables(shown, sound)
        return self._known[pair][1]

    def close(self, pair: str, date: pd.Timestamp) -> float:
        """Return the true close of a candle; NaN if it does not exist."""
        found = self._closed(self._true, pair)
        at = np.flatnonzero(found.times == int(date.timestamp() * 1000))
        return float(found.values[at[0], 3]) if len(at) else float("nan")

    def _closed(self, store: CandleStore, pair: str) -> Series:
        symbol = self._symbol(pair)
        found = store.series(symbol, "1h", symbol.market.candle_type)
        last = found.closed(self._clock())
        rows = slice(max(0, last - ROWS), last)
        return Series(found.times[rows], found.ends[rows], found.values[rows])

    def _without_lies(self, pair: str, shown: Series) -> Series:
        true = self._closed(self._true, pair)
        at = np.searchsorted(true.times, shown.times).clip(max=len(true.times) - 1)
        same = (true.values[at] == shown.values).all(axis=1) & (true.times[at] == shown.times)
        return Series(shown.times[same], shown.ends[same], shown.values[same])

    def _symbol(self, pair: str) -> Symbol:
        market = Market.PERP if ":" in pair else Market.SPOT
        return next(s for s in self._every.symbols(market).values() if s.pair == pair)


def _table(perp: Series, spot: Series, scale: float) -> pd.DataFrame:
    perps, spots = _frame(perp), _frame(spot)
    columns = imbalance_columns(perps, spots, scale=scale, thresholds=PRESETS[PRESET])
    table = columns.assign(date=perps["date"], close=perps["close"])
    signals = [entry_signals(table, PRESETS[PRESET]), exit_signals(table)]
    return pd.concat([table, *signals], axis=1)


def _frame(series: Series) -> pd.DataFrame:
    """Return candles as freqtrade returns them; missing ones are filled with flat candles."""
    frame = pd.DataFrame(series.values, columns=OHLCV)
    frame.insert(0, "date", pd.to_datetime(series.times, unit="ms", utc=True))
    if (np.diff(series.times) == HOUR_MS).all():
        return frame
    return pd.DataFrame(ohlcv_fill_up_missing_data(frame, "1h", ""))


def sample_market(folder: Path) -> Path:
    """Return the folder of the sample market, which is written once."""
    from perp_imbalance.data.sample import ensure_sample_market

    return ensure_sample_market(folder / "binance", pairs=SPOTS)
