"""The candles of a folder as research needs them: a perp with its spot pair and its funding."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from freqtrade.configuration import TimeRange
from freqtrade.data.history import get_datahandler
from freqtrade.enums import CandleType
from pandas import DataFrame

from perp_imbalance.errors import DataError, SettingsError
from perp_imbalance.indicators.columns import HtfPremium, htf_premium, premium_columns, spot_premium
from perp_imbalance.indicators.gates import GATE_SERIES
from perp_imbalance.indicators.higher_timeframe import check_higher
from perp_imbalance.indicators.premium import believable_close, open_times
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.markets.spot_matching import SpotMatch, match_spot, price_refusal
from perp_imbalance.replay.candle_store import available_candles, check_folder
from perp_imbalance.strategy.gate_series import series_column
from perp_imbalance.strategy.settings import Settings


@dataclass(frozen=True)
class PairHistory:
    """A perp on its own candles.

    :ivar perp: freqtrade's candles.
    :ivar premium: the premium of each candle, NaN where there is none.
    :ivar band_close: the perp's closes that enter its bands, NaN elsewhere.
    :ivar htf: premiums of the higher timeframe; None where the folder has none, and where that
        timeframe is none above the candles': only the HTF gate looks at it.
    :ivar funding: funding paid by longs during each candle, as a fraction.
    :ivar series: the columns of the gates' series, by name; NaN where the folder has none.
    :ivar begin: the first row of the time range; rows before it are there to look back on.
    """

    match: SpotMatch
    timeframe: str
    perp: DataFrame
    premium: Floats
    band_close: Floats
    htf: HtfPremium | None
    funding: Floats
    series: Mapping[str, Floats]
    begin: int


class CandleFolder:
    """A folder in freqtrade's layout, read pair by pair.

    :param datadir: freqtrade's ``--datadir``.
    :param timeframe: the candles to read.
    :param timerange: freqtrade's ``--timerange``; None for all there is.
    :raises DataError: if the folder has no perp on this timeframe.
    """

    def __init__(
        self,
        datadir: Path,
        timeframe: str,
        settings: Settings,
        *,
        exchange: str = "binance",
        timerange: str | None = None,
    ) -> None:
        check_folder(datadir)
        self.datadir, self.timeframe, self.settings = datadir, timeframe, settings
        self._exchange = exchange
        self._timerange = TimeRange.parse_timerange(timerange)
        self._formats = available_candles(datadir)
        self.perps = sorted(
            pair
            for pair, length, kind in self._formats
            if kind == CandleType.FUTURES and length == timeframe
        )
        if not self.perps:
            there = sorted({key[1] for key in self._formats if key[2] == CandleType.FUTURES})
            raise DataError(
                f"{datadir} has no {timeframe} candles of any perp; timeframes there: "
                f"{', '.join(there) or 'none'}"
            )

    def pairs(self, wanted: Sequence[str] | None = None) -> Iterator[PairHistory]:
        """Read perps in turn.

        :param wanted: freqtrade's names; None for every perp of the folder.
        :raises DataError: for a pair that cannot give a premium.
        """
        missing = [pair for pair in wanted or () if pair not in self.perps]
        if missing:
            raise DataError(
                f"{self.datadir} has no {self.timeframe} candles of {', '.join(missing)}; perps "
                f"there: {', '.join(self.perps)}"
            )
        for pair in wanted or self.perps:
            yield self._read(pair)

    def _read(self, pair: str) -> PairHistory:
        match = match_spot(
            pair,
            self._market,
            exchange=self._exchange,
            overrides=self.settings.spot_pairs,
            source=self.settings.premium_source,
        )
        if match.spot is None:
            raise DataError(f"{pair} in {self.datadir}: {match.reason}")
        perp = self._load(pair, self.timeframe, CandleType.FUTURES)
        begin = self._begin(perp)
        if begin >= len(perp):
            raise DataError(
                f"{self.datadir} has no {self.timeframe} candles of {pair} in that time range"
            )
        spot = self._load(match.spot, self.timeframe, CandleType(match.source))
        found = spot_premium(perp, spot, match.scale, by_volume=match.has_volume)
        reason = price_refusal(match, found.fraction, self.timeframe)
        if reason:
            raise DataError(f"{pair} in {self.datadir}: {reason}")
        fraction = premium_columns(found)["premium"]
        return PairHistory(
            match,
            self.timeframe,
            perp,
            fraction,
            believable_close(perp, found.spot_close, fraction),
            self._htf(match),
            self._funding(pair, perp),
            self._series(pair, perp),
            begin,
        )

    def _begin(self, perp: DataFrame) -> int:
        """Return the row with which the time range begins."""
        start = self._timerange.startdt
        return int((perp["date"] < start).sum()) if start is not None else 0

    def _market(self, symbol: str) -> Mapping[str, Any] | None:
        """Stand in for an exchange's list of markets: what the folder has is active."""
        if not any(pair == symbol for pair, _, _ in self._formats):
            return None
        base, _, rest = symbol.partition("/")
        return {"base": base, "quote": rest.partition(":")[0], "spot": ":" not in symbol}

    def _load(self, pair: str, timeframe: str, kind: CandleType) -> DataFrame:
        key = (pair, timeframe, kind)
        if key not in self._formats:
            return DataFrame(columns=["date", "open", "high", "low", "close", "volume"])
        frame = get_datahandler(self.datadir, self._formats[key]).ohlcv_load(
            pair, timeframe, kind, drop_incomplete=False, warn_no_data=False
        )
        stop = self._timerange.stopdt
        if stop is not None:
            frame = frame[frame["date"] < stop]
        return DataFrame(frame).reset_index(drop=True)

    def _htf(self, match: SpotMatch) -> HtfPremium | None:
        timeframe = self.settings.htf_timeframe
        try:
            check_higher(self.timeframe, timeframe)
        except SettingsError:
            return None
        perp = self._load(match.perp, timeframe, CandleType.FUTURES)
        spot = self._load(str(match.spot), timeframe, CandleType(match.source))
        if perp.empty or spot.empty:
            return None
        return htf_premium(perp, spot, timeframe, match.scale, by_volume=match.has_volume)

    def _funding(self, pair: str, perp: DataFrame) -> Floats:
        """Return what longs pay during each candle; 0 where the folder knows of no payment."""
        rates = self._rates(pair)
        return np.zeros(len(perp)) if rates.empty else funding_by_candle(perp, rates)

    def _series(self, pair: str, perp: DataFrame) -> dict[str, Floats]:
        """Return what the series of the gates become on the perp's rows."""
        columns: dict[str, Floats] = {}
        for series in GATE_SERIES.values():
            kind = CandleType(series.candle_type)
            is_funding = kind == CandleType.FUNDING_RATE
            frame = self._rates(pair) if is_funding else self._load(pair, self.timeframe, kind)
            columns |= series_column(perp, self.timeframe, frame, kind)
        return columns

    def _rates(self, pair: str) -> DataFrame:
        """Return the funding rates of a perp; freqtrade keeps them under one timeframe."""
        kind = CandleType.FUNDING_RATE
        lengths = [key[1] for key in self._formats if (key[0], key[2]) == (pair, kind)]
        return self._load(pair, lengths[0] if lengths else "", kind)


def funding_by_candle(perp: DataFrame, rates: DataFrame) -> Floats:
    """Return what longs pay during each candle, as a fraction; 0 where nothing is due.

    :param perp: candles in order, with their ``date``.
    :param rates: freqtrade's candles of the funding rate: ``date``, ``funding_rate``.
    """
    paid = np.zeros(len(perp))
    rows = open_times(perp, "perp")
    times = pd.DatetimeIndex(rates["date"]).as_unit("ns").asi8
    at = np.searchsorted(rows, times, side="right") - 1
    inside = (at >= 0) & (times < rows[-1] + (rows[1] - rows[0] if rows.size > 1 else 1))
    np.add.at(paid, at[inside], rates["funding_rate"].to_numpy(dtype=np.float64)[inside])
    return paid
