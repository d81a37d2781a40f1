"""The inputs of a tuning: candles, rules, the space, and the part kept for the test."""

import logging
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any

from freqtrade.configuration import TimeRange
from freqtrade.enums import CandleType
from freqtrade.exchange import timeframe_to_seconds

from perp_imbalance.data.backtest_data import BacktestData
from perp_imbalance.errors import CommandError, DataError
from perp_imbalance.files import temporary_folder
from perp_imbalance.freqtrade_bridge.strategies import load_strategy
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.research.pair_history import PairHistories
from perp_imbalance.research.series_checks import missing_series
from perp_imbalance.research.strategy_sources import write_sources
from perp_imbalance.research.threshold_trades import ThresholdTrades, rules_of_config
from perp_imbalance.research.tuning.folds import DAY_NS, Folds
from perp_imbalance.research.tuning.search import Traded
from perp_imbalance.research.tuning.space import Space
from perp_imbalance.research.windows import Window, clip
from perp_imbalance.strategy.settings import Settings

_WORTH = 1e-6


@dataclass(frozen=True)
class Candles:
    """The candles of a folder on which a strategy is simulated.

    :param data: the folder with the perps that can be traded.
    :param config: the complete config.
    :param strategy: the strategy, loaded by freqtrade.
    """

    data: BacktestData
    config: Mapping[str, Any]
    strategy: Any

    @property
    def settings(self) -> Settings:
        """The config's settings, for the strategy's preset and the folder's higher timeframe."""
        settings = Settings.from_config(self.config).of_preset(self.strategy.preset)
        return settings.model_copy(update={"htf_timeframe": self.data.htf_timeframe})

    def traded(self, timerange: str) -> Traded:
        """Return the pairs with their trades in a time range.

        :raises PerpImbalanceError: if there are no candles, or rules that cannot be simulated.
        """
        folder, config, settings = self.data.folder, self.config, self.settings
        histories = PairHistories(
            folder,
            self.data.timeframe,
            settings,
            exchange=config["exchange"]["name"],
            timerange=timerange,
            data_format=config["dataformat_ohlcv"],
        )
        # Of files that end where the time range does, it says so.
        logging.getLogger("freqtrade.data.history").setLevel(logging.ERROR)
        rate = config.get("futures_funding_rate")
        found = list(histories.traded(self.data.pairs, rate))
        rules = rules_of_config(config, settings, type(self.strategy).stoploss)
        return Traded(found, settings, rules)

    def window(self, timerange: str | None, last: float) -> Window:
        """Return a time range, limited to the candles, with its end kept for the test.

        :param last: fraction of the range that is kept for the test.
        :raises SettingsError: if it contains no candles.
        """
        span = TimeRange.parse_timerange(timerange)
        frames = [
            self.data.folder.read(pair, self.data.timeframe, CandleType.FUTURES)["date"]
            for pair in self.data.pairs
        ]
        candle = timedelta(seconds=timeframe_to_seconds(self.data.timeframe))
        start, end = clip(
            span.startdt,
            span.stopdt,
            min(dates.iloc[0] for dates in frames).to_pydatetime().astimezone(UTC),
            max(dates.iloc[-1] for dates in frames).to_pydatetime() + candle,
        )
        days = int((end - start) / timedelta(days=1) * (1 - last))
        return Window(1, start, start + timedelta(days=days), end)


def strategy_alone(config: Mapping[str, Any], name: str, texts: Mapping[str, str]) -> Any:
    """Return a strategy without the values of its parameter file.

    :param config: the complete config.
    :param texts: source texts of strategies by file name.
    :raises PerpImbalanceError: if there is no such strategy, or it has no thresholds.
    """
    if not any(f"class {name}(" in text for text in texts.values()):
        raise CommandError(
            f"there is no strategy {name} among {', '.join(sorted(texts)) or 'no files'}: name one "
            "with --strategy"
        )
    with temporary_folder() as folder:
        write_sources(folder, texts)
        # Loading writes values into the config.
        alone = {**deepcopy(dict(config)), "strategy": name, "strategy_path": str(folder)}
        strategy = load_strategy(alone, with_parameters=True)
    if not hasattr(strategy, "thresholds"):
        raise CommandError(
            f"{name} has no thresholds to tune: PerpImbalance has, and what is made of it"
        )
    return strategy


def folds_of(
    traded: Traded, window: Window, count: int, objective: str, least_trades: int
) -> Folds:
    """Return the folds of a window's first part, from the first full day that can be traded."""
    first = min(int(history.market.times[0]) for history in traded.histories if history.market)
    start = -(-first // DAY_NS) * DAY_NS
    days = (int(window.test.timestamp() * 1e9) - start) // DAY_NS
    return Folds(start, days, count, objective, least_trades)


def check_gates(traded: Traded, space: Space) -> None:
    """Refuse a search with an active gate whose series is missing.

    :raises DataError: naming the first pair, its gate and the series.
    """
    every = space.thresholds({name: values[-1] for name, values in space.axes.items()})
    if every is None:
        every = space.base
    for history in traded.histories:
        if missing := missing_series(history, every, traded.settings.htf_timeframe):
            raise DataError(
                f"{history.match.perp}: {missing}: download what is missing, or take the gate off "
                "with --fix"
            )


def differences(
    trades: ThresholdTrades, thresholds: Thresholds, found: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return a message if freqtrade's trades differ from the simulated ones, else an empty list.

    :param trades: the pairs that freqtrade traded, over the same time.
    :param found: freqtrade's trades.
    """
    expected = trades.trades(thresholds)
    earned = sum(trade["profit_abs"] for trade in found)
    apart = abs(float(expected["profit_abs"].sum()) - earned)
    if len(expected) == len(found) and apart <= _WORTH * trades.rules.wallet:
        return []
    return [
        f"on the last part the simulation made {len(expected)} trades with "
        f"{expected['profit_abs'].sum():+.2f} and freqtrade {len(found)} with {earned:+.2f}: the "
        "strategy or the config does what is not simulated, so the search was of other trades"
    ]
