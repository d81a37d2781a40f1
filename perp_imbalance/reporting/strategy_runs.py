"""Recompute the columns of a result's strategies on the candles of the backtest."""

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from freqtrade.configuration import TimeRange
from freqtrade.data.history import load_data
from freqtrade.data.metrics import combine_dataframes_by_column
from freqtrade.enums import CandleType, RunMode
from freqtrade.exchange import timeframe_to_seconds

from perp_imbalance.data.backtest_data import COSTS, BacktestData, check_series, make_higher
from perp_imbalance.data.folder import DEFAULT_FORMAT, CandleFolder, available_candles
from perp_imbalance.data.premium_sources import Matching, settled, with_candles
from perp_imbalance.errors import BridgeError, DataError
from perp_imbalance.files import temporary_folder
from perp_imbalance.freqtrade_bridge.config import complete_config
from perp_imbalance.freqtrade_bridge.logs import translate_freqtrade_errors
from perp_imbalance.freqtrade_bridge.parameter_file import ParameterFile
from perp_imbalance.freqtrade_bridge.strategies import load_strategy
from perp_imbalance.indicators import Thresholds
from perp_imbalance.indicators.performance import buy_and_hold
from perp_imbalance.plotting.chart import Chart
from perp_imbalance.reporting.analysis import open_strategy_analysis
from perp_imbalance.reporting.backtest_result import Outcome, Result
from perp_imbalance.reporting.tables import Reasons, marked_wallet, with_signal_columns
from perp_imbalance.strategy.settings import Settings


@dataclass(frozen=True)
class StrategyRun:
    """A strategy of a result, with its recomputed columns.

    :ivar trades: the trades with the columns of :func:`with_signal_columns`.
    :ivar charts: by pair; pairs without candles have none.
    :ivar marked: the wallet with open positions at each candle's close; None without candles.
    :ivar no_entry: candles of all pairs by bias and reason for no entry; empty without candles.
    """

    outcome: Outcome
    thresholds: Thresholds
    trades: pd.DataFrame
    charts: Mapping[str, Chart]
    marked: "pd.Series[float] | None" = None
    no_entry: Reasons = field(default_factory=dict)


@dataclass(frozen=True)
class ReportInput:
    """The strategies of a result that can be reported, and notes on what is missing.

    :ivar market: value of buy-and-hold by candle, 1 at the beginning; empty if the candles are
        missing.
    """

    seen: Sequence[StrategyRun]
    market: "pd.Series[float]"
    notes: Sequence[str]


def load_report_input(
    result: Result, datadir: Path, strategies: Path, tell: Callable[[str], None] = lambda _: None
) -> ReportInput:
    """Compute the columns of every strategy and traded pair of a result.

    :param datadir: the candles of the backtest; if None, only trades are reported.
    :param strategies: folder of the strategies; their parameters come from the result.
    :param tell: called with the current step.
    :raises DataError: if the result has no trades, has none of this project's strategies, or a
        candle file is broken.
    """
    if not any(len(outcome.trades) for outcome in result.outcomes):
        raise DataError(f"{result.file} has no trades: there is nothing to report")
    lines, datadir = what_is_left_out(result, datadir)
    notes: dict[str, None] = dict.fromkeys(lines)
    seen, others = [], []
    prices = closes(result, datadir)
    for outcome in result.outcomes:
        tell(outcome.strategy)
        with _settings(result, outcome, strategies) as config:
            thresholds = _thresholds(config, outcome.strategy)
            if thresholds is None:
                others.append(outcome.strategy)
                continue
            charts, no_entry, missing = _charts(outcome, datadir, config)
        notes |= dict.fromkeys(missing)
        trades = outcome.trades
        if len(trades):
            candle = pd.Timedelta(seconds=timeframe_to_seconds(result.timeframe))
            frames = {pair: chart.frame for pair, chart in charts.items()}
            trades = with_signal_columns(trades, frames, candle, thresholds.exit_z)
        wallet = None
        if len(trades) and len(prices):
            wallet = marked_wallet(trades, prices, float(outcome.stats["starting_balance"]))
        seen.append(StrategyRun(outcome, thresholds, trades, charts, wallet, no_entry))
    said = f"{', '.join(others)}: no strategy in {strategies} that is based on PerpImbalance"
    if not any(len(found.trades) for found in seen):
        raise DataError(f"{result.file} is a result of {said}, nothing to report")
    return ReportInput(
        seen,
        buy_and_hold(prices),
        [*notes, *([f"Left out: {said}."] if others else [])],
    )


def what_is_left_out(result: Result, datadir: Path) -> tuple[list[str], Path]:
    """Return notes on series that the folder lacks, and on costs that the trades leave out.

    :return: the notes, and the folder in which freqtrade also finds the higher timeframe.
    :raises DataError: if a candle file is broken.
    """
    data_format = str(result.config.get("dataformat_ohlcv", DEFAULT_FORMAT))
    if not datadir.is_dir() or not available_candles(datadir):
        return [], datadir
    folder = CandleFolder(datadir, data_format)
    settings, exchange = Settings.from_config(result.config), result.config["exchange"]["name"]
    matching = Matching.of(exchange, settings)
    stats = result.outcomes[0].stats
    existing = set(folder.perps(result.timeframe))
    timeframe, timerange = result.timeframe, str(stats.get("timerange") or "") or None
    matches = settled(
        *(folder, timeframe),
        [
            with_candles(matching.match(pair, folder), folder, timeframe)
            for pair in stats["pairlist"]
            if pair in existing
        ],
        timerange,
    )
    trades = pd.concat([outcome.trades for outcome in result.outcomes if len(outcome.trades)])
    lines = make_higher(folder, timeframe, settings.htf_timeframe, matches)
    # Fees that a trade has paid count, even if their series is missing from the folder now.
    paid = set(trades.loc[trades["funding_fees"] != 0, "pair"])
    for costs, of in (
        (COSTS, [match for match in matches if match.spot and match.perp not in paid]),
        ((), [match for match in matches if match.spot and match.perp in paid]),
    ):
        data = BacktestData(folder, timeframe, settings.htf_timeframe, of)
        lines += check_series(data, exchange=exchange, timerange=timerange, costs=costs)
    return lines, folder.for_freqtrade


def closes(result: Result, datadir: Path) -> pd.DataFrame:
    """Return the closes of all pairs of a result by candle; empty if the candles are missing."""
    start, end = result.span
    candles = load_data(
        datadir,
        result.timeframe,
        list(result.outcomes[0].stats["pairlist"]),
        timerange=TimeRange("date", "date", int(start.timestamp()), int(end.timestamp())),
        data_format=str(result.config.get("dataformat_ohlcv", DEFAULT_FORMAT)),
        candle_type=CandleType.FUTURES,
    )
    return combine_dataframes_by_column(candles) if candles else pd.DataFrame()


@contextmanager
def _settings(result: Result, outcome: Outcome, strategies: Path) -> Iterator[dict[str, Any]]:
    """Yield the config of a result, with the strategies in a temporary folder.

    The code comes from this project and the trader's folder; the result supplies settings only.
    """
    with temporary_folder() as folder:
        own = Path(folder, "strategies")
        own.mkdir()
        for file in strategies.glob("*.py"):
            shutil.copy(file, own)
        if outcome.parameters is not None:
            name = f"the parameter file of {outcome.strategy} in {result.file}"
            parameters = ParameterFile.parse(outcome.parameters, name)
            parameters.write(own / f"{outcome.strategy}.json", outcome.strategy)
        yield {
            **result.config,
            **{"strategy_path": str(own), "user_data_dir": str(folder)},
            "timeframe": result.timeframe,
            # freqtrade removes these from a result.
            "exchange": {**result.config.get("exchange", {}), "key": "", "secret": ""},
        }


def _thresholds(config: Mapping[str, Any], strategy: str) -> Thresholds | None:
    """Return a strategy's thresholds; None if it is not based on PerpImbalance."""
    completed = complete_config(config, runmode=RunMode.PLOT, strategy=strategy)
    try:
        found = load_strategy(completed)
    except BridgeError as error:
        if "Impossible to load Strategy" in str(error):
            return None
        raise
    except (TypeError, AttributeError) as error:
        raise DataError(f"the parameters of {strategy} in the result: {error}") from None
    if not hasattr(found, "thresholds"):
        return None
    with translate_freqtrade_errors(f"strategy {strategy}"):
        found.ft_bot_start()
        return found.thresholds()  # type: ignore[no-any-return]


def _charts(
    outcome: Outcome, datadir: Path, config: Mapping[str, Any]
) -> tuple[dict[str, Chart], Reasons, list[str]]:
    """Return charts of traded pairs, reasons for no entry of all pairs, and what is missing."""
    charts: dict[str, Chart] = {}
    reasons: Counter[tuple[int, str]] = Counter()
    missing = []
    traded = set(outcome.trades["pair"]) if len(outcome.trades) else set()
    # freqtrade logs for each pair that startup candles are skipped.
    quiet = logging.getLogger("freqtrade.configuration.timerange")
    try:
        with open_strategy_analysis(
            config,
            strategy=outcome.strategy,
            datadir=datadir,
            timerange=str(outcome.stats.get("timerange") or "") or None,
        ) as found:
            quiet.setLevel(logging.ERROR)
            for pair in sorted({*outcome.stats["pairlist"], *traded}):
                try:
                    chart = found.chart(pair)
                except DataError as error:
                    if pair in traded:
                        missing.append(f"Without z and premium: {error}.")
                    continue
                reasons.update(zip(chart.frame["bias"], chart.frame["no_entry"], strict=True))
                if pair in traded:
                    charts[pair] = chart
    except DataError as error:
        missing.append(f"Without z, premium, charts and buy-and-hold: {error}.")
    finally:
        quiet.setLevel(logging.NOTSET)
    return charts, reasons, missing
