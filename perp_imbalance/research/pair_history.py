"""Read the candles of a folder for research: perps with their spot pairs and funding."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from freqtrade.configuration import TimeRange
from freqtrade.enums import CandleType
from pandas import DataFrame

from perp_imbalance.data.backtest_data import select_perps
from perp_imbalance.data.folder import DEFAULT_FORMAT, CandleFolder, cost_keys
from perp_imbalance.data.left_out import left_out_line, none_tradable
from perp_imbalance.data.premium_sources import Matching
from perp_imbalance.errors import DataError, SettingsError
from perp_imbalance.indicators.columns import HtfPremium
from perp_imbalance.indicators.gates import GATE_SERIES
from perp_imbalance.indicators.higher_timeframe import check_higher
from perp_imbalance.indicators.premium import believable_close, open_times
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.markets.pair_premium import pair_premium, settle
from perp_imbalance.markets.spot_matching import SpotMatch
from perp_imbalance.research.backtest_markets import BacktestMarkets
from perp_imbalance.simulation import Markets
from perp_imbalance.strategy.gate_series import series_column
from perp_imbalance.strategy.parameters import STARTUP_CANDLES
from perp_imbalance.strategy.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PairHistory:
    """A perp on its own candles.

    :ivar perp: freqtrade's candles.
    :ivar premium: the premium of each candle, NaN where there is none.
    :ivar band_close: the perp's closes that the Bollinger bands use, NaN elsewhere.
    :ivar htf: premiums of the higher timeframe, for the HTF gate; None if the folder has none, or
        if that timeframe is not longer than the candles'.
    :ivar funding: funding paid by longs during each candle, as a fraction.
    :ivar series: the columns of the gates' series, by name; NaN where the folder has none.
    :ivar begin: the first row of the time range; earlier rows are history for the windows.
    :ivar market: the rows from ``begin`` on as the market of a backtest; None if not requested.
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
    market: Markets | None = None


class PairHistories:
    """The perps of a folder with their data for research, read pair by pair.

    :param datadir: freqtrade's ``--datadir``, or that folder opened.
    :param timeframe: the candles to read.
    :param exchange: the config's exchange.
    :param timerange: freqtrade's ``--timerange``; None for all candles.
    :param data_format: the config's ``dataformat_ohlcv``.
    :ivar perps: the perps on this timeframe that can be traded.
    :ivar left_out: one line about perps whose prices do not match those of their spot pair.
    :raises DataError: if there is no such perp.
    """

    def __init__(
        self,
        datadir: Path | CandleFolder,
        timeframe: str,
        settings: Settings,
        *,
        exchange: str = "binance",
        timerange: str | None = None,
        data_format: str = DEFAULT_FORMAT,
    ) -> None:
        if not isinstance(datadir, CandleFolder):
            datadir = CandleFolder(datadir, data_format)
        self.folder = datadir
        self.datadir, self.timeframe, self.settings = self.folder.datadir, timeframe, settings
        self._exchange = exchange
        self._matching = Matching.of(exchange, settings)
        self._timerange = TimeRange.parse_timerange(timerange)
        matches, _ = select_perps(self.folder, timeframe, self._matching)
        self.perps = [match.perp for match in matches]
        self.left_out: list[str] = []

    def pairs(self, wanted: Sequence[str] | None = None) -> Iterator[PairHistory]:
        """Yield perps one by one; leave out those that cannot be traded, as the bot does.

        Perps whose prices do not match their spot pair are logged once, after the last perp.

        :param wanted: freqtrade's names; None for every perp.
        :raises DataError: if the folder lacks a wanted pair, or no perp is left.
        """

        def read(match: SpotMatch) -> PairHistory | str:
            perp = self._load(match.perp, self.timeframe, CandleType.FUTURES)
            begin = self._begin(perp)
            if begin >= len(perp):
                raise DataError(
                    f"{self.datadir} has no {self.timeframe} candles of {match.perp} in that time "
                    "range"
                )
            return self._read(match, perp, begin)

        return self._kept(wanted, read)

    def traded(
        self, wanted: Sequence[str] | None = None, funding_rate: float | None = None
    ) -> Iterator[PairHistory]:
        """Yield perps as a backtest of the strategy reads them, with their market.

        A backtest loads a limited history; a pair with no candles after that is left out.

        :param wanted: freqtrade's names, in the order of the whitelist; None for every perp.
        :param funding_rate: the config's ``futures_funding_rate``.
        :raises DataError: as in :meth:`pairs`.
        """
        markets = BacktestMarkets(self.folder, self._exchange, funding_rate)

        def read(match: SpotMatch) -> PairHistory | str | None:
            perp = self._load(match.perp, self.timeframe, CandleType.FUTURES, STARTUP_CANDLES)
            if len(perp) <= STARTUP_CANDLES:
                logger.warning("%s has no candles after those of the start: skipped", match.perp)
                return None
            history = self._read(match, perp, STARTUP_CANDLES, STARTUP_CANDLES)
            if isinstance(history, str):
                return history
            market = markets.of(match.perp, perp, STARTUP_CANDLES, self._timerange.copy())
            return replace(history, market=market)

        return self._kept(wanted, read)

    def _kept(
        self,
        wanted: Sequence[str] | None,
        read: Callable[[SpotMatch], PairHistory | str | None],
    ) -> Iterator[PairHistory]:
        """Yield the history of each perp; log those whose prices do not match their spot pair."""
        matches, _ = select_perps(self.folder, self.timeframe, self._matching, wanted)
        refused = []
        is_empty = True
        for match in matches:
            history = read(match)
            if isinstance(history, PairHistory):
                is_empty = False
                yield history
            elif history is not None:
                refused.append((match.perp, history))
        line = left_out_line(self.folder, refused) if refused else ""
        if is_empty and refused:
            raise none_tradable(self.folder, refused)
        if is_empty:
            raise DataError(
                f"{self.datadir} has no {self.timeframe} candles in that time range after "
                f"the {STARTUP_CANDLES} of the start"
            )
        if line and line not in self.left_out:
            logger.warning("%s", line)
            self.left_out.append(line)

    def _read(
        self, match: SpotMatch, perp: DataFrame, begin: int, startup: int | None = None
    ) -> PairHistory | str:
        """Read the data that belongs to the candles of a perp.

        :param startup: candles of history that a backtest loads; None for all.
        :return: the history, or the reason why its prices do not match its spot pair.
        """
        pair = match.perp

        def candles(one: SpotMatch) -> DataFrame:
            return self._load(str(one.spot), self.timeframe, CandleType(one.source), startup)

        match = settle(match, perp, candles, self.timeframe)
        spot = candles(match)
        found = pair_premium(match, perp, spot, self.timeframe, htf=self._htf(match, startup))
        if found.refusal:
            return found.refusal
        rates = self._load(*cost_keys(pair, self._exchange)["funding rates"], startup)
        return PairHistory(
            match,
            self.timeframe,
            perp,
            found.columns["premium"],
            believable_close(perp, found.columns["spot_close"], found.columns["premium"]),
            found.htf,
            np.zeros(len(perp)) if rates.empty else funding_by_candle(perp, rates),
            self._series(pair, perp, rates, startup),
            begin,
        )

    def _begin(self, perp: DataFrame) -> int:
        """Return the first row of the time range."""
        start = self._timerange.startdt
        return int((perp["date"] < start).sum()) if start is not None else 0

    def _load(
        self, pair: str, timeframe: str, kind: CandleType, startup: int | None = None
    ) -> DataFrame:
        if startup is not None:
            span = self._timerange.copy()
            return self.folder.read(
                pair, timeframe, kind, fill=True, timerange=span, startup=startup
            )
        frame = self.folder.read(pair, timeframe, kind, fill=True)
        stop = self._timerange.stopdt
        if stop is not None and len(frame):
            frame = frame[frame["date"] < stop]
        return frame.reset_index(drop=True)

    def _htf(
        self, match: SpotMatch, startup: int | None
    ) -> tuple[DataFrame, DataFrame, str] | None:
        """Return the candles of the higher timeframe, if it is longer than that of the candles."""
        timeframe = self.settings.htf_timeframe
        try:
            check_higher(self.timeframe, timeframe)
        except SettingsError:
            return None
        perp = self._load(match.perp, timeframe, CandleType.FUTURES, startup)
        spot = self._load(str(match.spot), timeframe, CandleType(match.source), startup)
        return perp, spot, timeframe

    def _series(
        self, pair: str, perp: DataFrame, rates: DataFrame, startup: int | None
    ) -> dict[str, Floats]:
        """Return the columns of the gates' series on the perp's rows."""
        columns: dict[str, Floats] = {}
        for series in GATE_SERIES.values():
            kind = CandleType(series.candle_type)
            is_funding = kind == CandleType.FUNDING_RATE
            frame = rates if is_funding else self._load(pair, self.timeframe, kind, startup)
            columns |= series_column(perp, self.timeframe, frame, kind)
        return columns


def funding_by_candle(perp: DataFrame, rates: DataFrame) -> Floats:
    """Return the funding that longs pay during each candle, as a fraction; 0 without a settlement.

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
