"""Compute a strategy's columns by running freqtrade over local candles."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from freqtrade.configuration import TimeRange
from freqtrade.data.converter import trim_dataframe
from freqtrade.data.dataprovider import DataProvider
from freqtrade.data.history import load_pair_history
from freqtrade.enums import CandleType, RunMode
from freqtrade.exchange import timeframe_to_seconds

from perp_imbalance.errors import CommandError, DataError
from perp_imbalance.freqtrade_bridge.config import complete_config
from perp_imbalance.freqtrade_bridge.exchange import open_exchange
from perp_imbalance.freqtrade_bridge.logs import quiet_freqtrade, translate_freqtrade_errors
from perp_imbalance.freqtrade_bridge.strategies import load_strategy
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.indicators.signals import no_entry_reasons
from perp_imbalance.plotting.chart import Chart
from perp_imbalance.research.pair_history import funding_by_candle


class StrategyAnalysis:
    """A strategy of this project that can compute its columns for any pair of a folder.

    :ivar config: freqtrade's config of the run.
    :ivar strategy: freqtrade's strategy object.
    """

    def __init__(self, config: dict[str, Any], exchange: Any) -> None:
        self.config = config
        self.strategy = load_strategy(config)
        with translate_freqtrade_errors(f"strategy {config['strategy']}"):
            self.strategy.dp = DataProvider(config, exchange)
            if not hasattr(self.strategy, "thresholds"):
                raise CommandError(
                    f"{config['strategy']} is not based on PerpImbalance: the chart is drawn "
                    "from the columns and thresholds of PerpImbalance and its presets"
                )
            self.strategy.ft_bot_start()

    def chart(self, pair: str, *, funding: bool = False) -> Chart:
        """Return the chart of a pair over the config's timerange.

        :param funding: whether the chart includes the funding rate.
        :raises DataError: if the pair has no candles, or no spot prices to compare them with.
        """
        frame = self._analysed(pair)
        return Chart(
            pair=pair,
            timeframe=str(self.config["timeframe"]),
            seconds=timeframe_to_seconds(self.config["timeframe"]),
            strategy=str(self.config["strategy"]),
            htf_timeframe=self.strategy.settings.htf_timeframe,
            thresholds=self.strategy.thresholds(),
            frame=frame,
            funding=self._funding(pair, frame) if funding else None,
        )

    def _analysed(self, pair: str) -> pd.DataFrame:
        """Return the timerange's candles and columns; earlier candles warm up the indicators."""
        timeframe, folder = self.config["timeframe"], self.config["datadir"]
        timerange = TimeRange.parse_timerange(self.config.get("timerange"))
        startup = self.strategy.startup_candle_count
        candles = load_pair_history(
            pair,
            timeframe,
            folder,
            timerange=timerange,
            startup_candles=startup,
            data_format=self.config["dataformat_ohlcv"],
            candle_type=CandleType.FUTURES,
        )
        within = " in that time range" if self.config.get("timerange") else ""
        nothing = DataError(
            f"{folder} has no {timeframe} candles of {pair}{within}, beyond the {startup} that the "
            "strategy looks back on"
        )
        if candles.empty:
            raise nothing
        spot = self.strategy.spot_of(pair)
        if spot.spot is None:
            raise DataError(f"{pair}: {spot.reason}")
        timerange.adjust_start_if_necessary(
            timeframe_to_seconds(timeframe), startup, candles["date"].iloc[0]
        )
        analysed = self.strategy.analyze_ticker(candles, {"pair": pair})
        if not np.isfinite(analysed["premium"].to_numpy()).any():
            reason = self.strategy.unfit.get(pair, f"no candle of {spot.spot} is traded")
            raise DataError(f"{pair} has no premium in that time range: {reason}")
        # Before the trim: the entry of a zone may lie before the timerange.
        analysed["no_entry"] = no_entry_reasons(
            analysed,
            self.strategy.thresholds(),
            self.strategy.entry_mode.value,
            self.strategy.settings.entered_sides,
        )
        frame = trim_dataframe(analysed, timerange)
        if frame.empty:
            raise nothing
        return pd.DataFrame(frame).reset_index(drop=True)

    def _funding(self, pair: str, frame: pd.DataFrame) -> Floats:
        """Return what longs pay during each candle, in percent; NaN where no funding is due."""
        rates = self.strategy.dp.get_pair_dataframe(
            pair, self.config["timeframe"], CandleType.FUNDING_RATE
        )
        if rates.empty:
            raise DataError(
                f"{self.config['datadir']} has no funding rates of {pair}: perp-imbalance "
                "download-data downloads them"
            )
        return funding_by_candle(frame, rates) * 100.0


@contextmanager
def open_strategy_analysis(
    config: Mapping[str, Any], *, strategy: str, datadir: Path, timerange: str | None = None
) -> Iterator[StrategyAnalysis]:
    """Return the analysis of a strategy on a folder of candles, whose pairs are the market list.

    :param config: the complete config, as ``merged_config`` returns it.
    :param strategy: class name of the strategy.
    :param timerange: freqtrade's ``--timerange``.
    :raises BridgeError: if freqtrade refuses the config or the strategy.
    """
    from perp_imbalance.replay import local_config, running_replay

    with running_replay(datadir) as replay:
        options: dict[str, Any] = {
            "strategy": strategy,
            "datadir": str(datadir),
            "timerange": timerange,
        }
        local = local_config(config, replay.url)
        completed = complete_config(local, runmode=RunMode.PLOT, **options)
        with open_exchange(completed) as exchange, quiet_freqtrade():
            yield StrategyAnalysis(completed, exchange)
