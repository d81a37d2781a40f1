"""Trade the imbalance between a perpetual and its spot pair: the preset "balanced intraday".

This file only connects freqtrade to the functions that compute. ``docs/reference`` explains the
columns, thresholds and the config section ``perp_imbalance``.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from freqtrade.enums import TRADE_MODES, CandleType, RunMode, TradingMode
from freqtrade.exceptions import OperationalException
from pandas import DataFrame

from perp_imbalance import __version__
from perp_imbalance.errors import PerpImbalanceError
from perp_imbalance.indicators.columns import (
    HtfPremium,
    htf_premium,
    source_column,
    threshold_columns,
    with_columns,
)
from perp_imbalance.indicators.higher_timeframe import check_higher
from perp_imbalance.indicators.signals import entry_columns, exit_columns
from perp_imbalance.indicators.thresholds import TIMEFRAME
from perp_imbalance.markets.exchange_name import exchange_name
from perp_imbalance.markets.pair_premium import pair_premium
from perp_imbalance.markets.spot_matching import SpotMatch, match_spot
from perp_imbalance.markets.spot_setting import check_spot_setting
from perp_imbalance.strategy.charts import FreqtradeCharts, chart_columns
from perp_imbalance.strategy.feed import WatchedFeed
from perp_imbalance.strategy.gate_series import GateSeries, missing_series
from perp_imbalance.strategy.parameters import STARTUP_CANDLES, OwnParameters, with_preset
from perp_imbalance.strategy.positions import Positions
from perp_imbalance.strategy.premium_sources import PremiumSources
from perp_imbalance.strategy.settings import Settings
from perp_imbalance.strategy.stored_entry import StoredEntries


@with_preset("balanced")
class PerpImbalance(
    OwnParameters,
    Positions,
    StoredEntries,
    WatchedFeed,
    PremiumSources,
    GateSeries,
    FreqtradeCharts,
):
    """Short where perp longs are crowded, long where perp shorts are, until the crowd has left."""

    INTERFACE_VERSION = 3

    timeframe = TIMEFRAME
    can_short = True
    process_only_new_candles = True
    startup_candle_count = STARTUP_CANDLES

    # Positions end with the bias; the stoploss limits the loss if the bias is wrong. It is a share
    # of the price at any leverage: signals occur on wicks, and a near stop would sell their bottom.
    minimal_roi = {"0": 100}  # noqa: RUF012
    stoploss = -0.30
    use_exit_signal = True
    order_types = {  # noqa: RUF012
        "entry": "limit",
        "exit": "limit",
        "stoploss": "market",
        "stoploss_on_exchange": True,
        "emergency_exit": "market",
    }

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        if config.get("trading_mode") != TradingMode.FUTURES:
            raise OperationalException(
                f'{type(self).__name__} trades perps: set "trading_mode": "futures" and '
                '"margin_mode": "isolated" in the config'
            )
        try:
            self.settings = Settings.from_config(config).of_preset(self.preset)
            if config["runmode"] in TRADE_MODES and self.settings.uses_spot:
                check_spot_setting(config)
            self.apply_money_settings(PerpImbalance)
        except PerpImbalanceError as error:
            raise OperationalException(str(error)) from None
        self.htf_premiums: dict[str, HtfPremium] = {}

    def version(self) -> str:
        """Return the version of the project."""
        return __version__

    def check_parameters(self) -> None:
        """Raise if the parameters have values that cannot be traded."""
        super().check_parameters()
        self.check_gates()
        if self.needs_htf():
            check_higher(self.timeframe, self.settings.htf_timeframe)

    @property
    def in_hyperopt(self) -> bool:
        """Return whether hyperopt changes thresholds after the indicators are computed."""
        return bool(self.config["runmode"] == RunMode.HYPEROPT)

    def needs_htf(self) -> bool:
        """Return whether this run needs candles of the higher timeframe."""
        if self.in_hyperopt and self.use_htf.in_space:
            return True
        return bool(self.use_htf.value)

    def spot_of(self, pair: str) -> SpotMatch:
        """Return the match of a perp with its spot pair, or the reason why it has none."""
        return self.settled.get(pair) or match_spot(
            pair,
            self.dp.market,
            exchange=exchange_name(self.config),
            overrides=self.settings.spot_pairs,
            source=self.settings.premium_source,
        )

    def informatives_of(self, pair: str) -> list[tuple[str, str, CandleType]]:
        """Return the series that a pair needs in addition to its own candles."""
        match = self.spot_of(pair)
        if match.spot is None:
            return []
        kind = CandleType(match.source)
        wanted = [(match.spot, self.timeframe, kind)]
        if self.needs_htf():
            wanted.append((match.spot, self.settings.htf_timeframe, kind))
            wanted.append((pair, self.settings.htf_timeframe, CandleType.FUTURES))
        return [*wanted, *self.gate_series_keys_of(pair)]

    def informative_pairs(self) -> list[tuple[str, str, CandleType]]:
        """Return the spot pair of every perp, and both on the higher timeframe if needed."""
        pairs = self.dp.current_whitelist()
        return [series for pair in pairs for series in self.informatives_of(pair)]

    def candles(self, pair: str, timeframe: str, candle_type: CandleType) -> DataFrame:
        """Return freqtrade's candles; if there are none, an empty frame with the same columns."""
        frame = self.dp.get_pair_dataframe(pair, timeframe, candle_type)
        return frame if len(frame) else DataFrame(columns=["date", "close", "volume"])

    def populate_indicators(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        """Add the premium and, unless hyperopt will vary them, all other columns."""
        pair = metadata["pair"]
        self.unfit.pop(pair, None)
        match = self.settle_source(pair, dataframe)
        spot = self.source_candles(match)
        _, premium, reason, _ = pair_premium(match, dataframe, spot, self.timeframe)
        if reason and self.awaits_source(pair):
            self.unfit[pair] = reason
        elif reason:
            self.refuse(pair, "spot pair", reason)
        elif self.needs_htf():
            self.htf_premiums[pair] = self.htf_premium_of(pair, match)
        crowd = self.series_columns(dataframe, pair)
        if not reason and (missing := missing_series(crowd)):
            self.refuse(pair, "gate", missing)
        source = source_column(premium["premium"], match.premium_source)
        columns: dict[str, Any] = {**premium, **crowd, "premium_source": source}
        if not self.in_hyperopt:
            columns |= self.threshold_columns_of(dataframe, columns, pair)
            if self.is_drawn:
                columns |= chart_columns(columns["premium_pct"], self.thresholds())
        # Joined once: pandas takes longer to add columns than it takes to compute them.
        dataframe = with_columns(dataframe, columns)
        if self.in_hyperopt:
            return dataframe
        if self.config["runmode"] in TRADE_MODES:
            self.announce(dataframe, pair)
        return dataframe

    def htf_premium_of(self, pair: str, match: SpotMatch) -> HtfPremium:
        """Return the higher timeframe's premium; without one, the HTF gate lets nothing pass."""
        timeframe = self.settings.htf_timeframe
        premiums = htf_premium(
            self.candles(pair, timeframe, CandleType.FUTURES),
            self.candles(str(match.spot), timeframe, CandleType(match.source)),
            timeframe,
            match.scale,
            source=match.source,
        )
        if not np.isfinite(premiums.premium).any():
            reason = f"the HTF gate has no {timeframe} candles of it and {match.name}"
            self.refuse(pair, "higher timeframe", reason)
        return premiums

    def threshold_columns_of(
        self, dataframe: DataFrame, columns: Mapping[str, Any] | DataFrame, pair: str
    ) -> dict[str, Any]:
        """Return the columns that depend on thresholds.

        :param dataframe: the perp's candles.
        :param columns: columns of the premium and of other series, by name.
        """
        return threshold_columns(
            dataframe,
            np.asarray(columns["premium"]),
            np.asarray(columns["spot_close"]),
            self.thresholds(),
            timeframe=self.timeframe,
            htf=self.htf_premiums.get(pair),
            max_stale_candles=self.max_stale_candles.value,
            series=self.known_series(columns),
            keep=self.in_hyperopt,
        )

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        """Set entries where bias and gates allow. In hyperopt, compute the columns first."""
        if self.in_hyperopt:
            columns = self.threshold_columns_of(dataframe, dataframe, metadata["pair"])
            dataframe = with_columns(dataframe, columns)
        signals = entry_columns(
            dataframe,
            self.thresholds(),
            self.entry_mode.value,
            self.settings.entered_sides,
        )
        return dataframe.assign(**signals)

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        """Set exits where the bias no longer has the position's side."""
        return dataframe.assign(**exit_columns(dataframe))
