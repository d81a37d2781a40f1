"""The candles of a folder as research needs them: a perp with its spot pair and its funding."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from freqtrade.configuration import TimeRange
from freqtrade.enums import CandleType
from pandas import DataFrame

from perp_imbalance.data.backtest_data import Matching, left_out_line, select_perps
from perp_imbalance.data.folder import DEFAULT_FORMAT, CandleFolder, cost_keys
from perp_imbalance.errors import DataError, SettingsError
from perp_imbalance.indicators.columns import HtfPremium
from perp_imbalance.indicators.gates import GATE_SERIES
from perp_imbalance.indicators.higher_timeframe import check_higher
from perp_imbalance.indicators.premium import believable_close, open_times
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.markets.pair_premium import pair_premium
from perp_imbalance.markets.spot_matching import SpotMatch
from perp_imbalance.strategy.gate_series import series_column
from perp_imbalance.strategy.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PairHistory:
    """A perp on its own candles.

    :ivar perp: freqtrade's candles.
    :ivar premium: the premium of each candle, NaN where there is none.
    :ivar band_close: the perp's closes that enter its bands, NaN elsewhere.
    :ivar htf: premiums of the higher timeframe; None where the folder has none, and where that
        timeframe is not longer than the candles'; only the HTF gate reads it.
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


class PairHistories:
    """The perps of a folder with what research needs of each, read pair by pair.

    :param datadir: freqtrade's ``--datadir``.
    :param timeframe: the candles to read.
    :param exchange: the config's.
    :param timerange: freqtrade's ``--timerange``; None for all there is.
    :param data_format: the config's ``dataformat_ohlcv``.
    :ivar perps: the perps on this timeframe that can be traded.
    :ivar left_out: one line about those that were read and whose prices refuse their spot pair.
    :raises DataError: if there are none.
    """

    def __init__(
        self,
        datadir: Path,
        timeframe: str,
        settings: Settings,
        *,
        exchange: str = "binance",
        timerange: str | None = None,
        data_format: str = DEFAULT_FORMAT,
    ) -> None:
        self.folder = CandleFolder(datadir, data_format)
        self.datadir, self.timeframe, self.settings = datadir, timeframe, settings
        self._exchange = exchange
        self._matching = Matching.of(exchange, settings)
        self._timerange = TimeRange.parse_timerange(timerange)
        matches, _ = select_perps(self.folder, timeframe, self._matching)
        self.perps = [match.perp for match in matches]
        self.left_out: list[str] = []

    def pairs(self, wanted: Sequence[str] | None = None) -> Iterator[PairHistory]:
        """Read perps in turn; those that cannot be traded are left out, as the bot does.

        Those whose prices refuse the match are known when all are read; the log tells of them once.

        :param wanted: freqtrade's names; None for every perp.
        :raises DataError: for a pair that the folder lacks, or if none is left.
        """
        matches, _ = select_perps(self.folder, self.timeframe, self._matching, wanted)
        refused = []
        for match in matches:
            history = self._read(match)
            if isinstance(history, PairHistory):
                yield history
            else:
                refused.append((match.perp, history))
        line = left_out_line(self.folder, refused) if refused else ""
        if len(refused) == len(matches):
            raise DataError(f"{line}: none is left")
        if line and line not in self.left_out:
            logger.warning("%s", line)
            self.left_out.append(line)

    def _read(self, match: SpotMatch) -> PairHistory | str:
        """Return the history of a perp, or why its prices refuse its spot pair."""
        pair = match.perp
        perp = self._load(pair, self.timeframe, CandleType.FUTURES)
        begin = self._begin(perp)
        if begin >= len(perp):
            raise DataError(
                f"{self.datadir} has no {self.timeframe} candles of {pair} in that time range"
            )
        spot = self._load(str(match.spot), self.timeframe, CandleType(match.source))
        found = pair_premium(match, perp, spot, self.timeframe, htf=self._htf(match))
        if found.refusal:
            return found.refusal
        rates = self._load(*cost_keys(pair, self._exchange)["funding rates"])
        return PairHistory(
            match,
            self.timeframe,
            perp,
            found.columns["premium"],
            believable_close(perp, found.columns["spot_close"], found.columns["premium"]),
            found.htf,
            np.zeros(len(perp)) if rates.empty else funding_by_candle(perp, rates),
            self._series(pair, perp, rates),
            begin,
        )

    def _begin(self, perp: DataFrame) -> int:
        """Return the row with which the time range begins."""
        start = self._timerange.startdt
        return int((perp["date"] < start).sum()) if start is not None else 0

    def _load(self, pair: str, timeframe: str, kind: CandleType) -> DataFrame:
        frame = self.folder.read(pair, timeframe, kind, fill=True)
        stop = self._timerange.stopdt
        if stop is not None and len(frame):
            frame = frame[frame["date"] < stop]
        return frame.reset_index(drop=True)

    def _htf(self, match: SpotMatch) -> tuple[DataFrame, DataFrame, str] | None:
        """Return the candles of the higher timeframe, where it is one above the candles'."""
        timeframe = self.settings.htf_timeframe
        try:
            check_higher(self.timeframe, timeframe)
        except SettingsError:
            return None
        perp = self._load(match.perp, timeframe, CandleType.FUTURES)
        return perp, self._load(str(match.spot), timeframe, CandleType(match.source)), timeframe

    def _series(self, pair: str, perp: DataFrame, rates: DataFrame) -> dict[str, Floats]:
        """Return what the series of the gates become on the perp's rows."""
        columns: dict[str, Floats] = {}
        for series in GATE_SERIES.values():
            kind = CandleType(series.candle_type)
            is_funding = kind == CandleType.FUNDING_RATE
            frame = rates if is_funding else self._load(pair, self.timeframe, kind)
            columns |= series_column(perp, self.timeframe, frame, kind)
        return columns


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
    # A settlement without a rate adds nothing, as in freqtrade.
    due = np.nan_to_num(rates["funding_rate"].to_numpy(dtype=np.float64))
    np.add.at(paid, at[inside], due[inside])
    return paid
