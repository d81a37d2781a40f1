"""What the strategies of a result saw: their columns, computed anew on its candles."""

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from freqtrade.configuration import TimeRange
from freqtrade.data.history import load_data
from freqtrade.data.metrics import combine_dataframes_by_column
from freqtrade.enums import CandleType, RunMode
from freqtrade.exchange import timeframe_to_seconds

from perp_imbalance.errors import BridgeError, DataError
from perp_imbalance.freqtrade_bridge.config import complete_config
from perp_imbalance.freqtrade_bridge.logs import translate_freqtrade_errors
from perp_imbalance.freqtrade_bridge.strategies import load_strategy
from perp_imbalance.indicators import Thresholds
from perp_imbalance.plotting.chart import Chart
from perp_imbalance.reporting.analysis import open_strategy_analysis
from perp_imbalance.reporting.backtest_result import Outcome, Result
from perp_imbalance.reporting.tables import buy_and_hold, marked_wallet, with_signal_columns

#: freqtrade's, where a config names none.
DEFAULT_FORMAT = "feather"
#: Settings of a result that would write files, read others or load code: results are shared.
NOT_TAKEN = frozenset(
    {"add_config_files", "config_files", "db_url", "log_config", "logfile"}
    | {"recursive_strategy_search", "user_data_dir"}
)


@dataclass(frozen=True)
class StrategyRun:
    """A strategy of a result with what it saw.

    :ivar trades: with the columns of :func:`with_signal_columns`.
    :ivar panes: by pair; of pairs without candles there is none.
    :ivar marked: the wallet with open positions at each candle's close; None without candles.
    """

    outcome: Outcome
    thresholds: Thresholds
    trades: pd.DataFrame
    panes: Mapping[str, Chart]
    marked: "pd.Series[float] | None" = None


@dataclass(frozen=True)
class ReportInput:
    """The strategies of a result that can be reported, and what cannot be said of them.

    :ivar market: value of what bought all pairs for 1 at the beginning, by candle; empty where
        the candles are gone.
    """

    seen: Sequence[StrategyRun]
    market: "pd.Series[float]"
    notes: Sequence[str]


def load_report_input(
    result: Result, datadir: Path, strategies: Path, tell: Callable[[str], None] = lambda _: None
) -> ReportInput:
    """Compute the columns of every strategy and pair of a result that traded.

    :param datadir: the candles it was run on; without them, only trades are reported.
    :param strategies: folder of the strategies; their parameters are those of the result.
    :param tell: is told what is being computed.
    :raises DataError: if the result is of other strategies than this project's.
    """
    seen, notes, others = [], dict[str, None](), []
    prices = closes(result, datadir)
    for outcome in result.outcomes:
        tell(outcome.strategy)
        with _settings(result, outcome, strategies) as config:
            thresholds = _thresholds(config, outcome.strategy)
            if thresholds is None:
                others.append(outcome.strategy)
                continue
            panes, missing = _panes(outcome, datadir, config)
        notes |= dict.fromkeys(missing)
        trades = outcome.trades
        if len(trades):
            candle = pd.Timedelta(seconds=timeframe_to_seconds(result.timeframe))
            frames = {pair: pane.frame for pair, pane in panes.items()}
            trades = with_signal_columns(trades, frames, candle, thresholds.exit_z)
        wallet = None
        if len(trades) and len(prices):
            wallet = marked_wallet(trades, prices, float(outcome.stats["starting_balance"]))
        seen.append(StrategyRun(outcome, thresholds, trades, panes, wallet))
    said = f"{', '.join(others)}: no strategy in {strategies} that is made of PerpImbalance"
    if not any(len(found.trades) for found in seen):
        raise DataError(f"{result.file} is a result of {said}, nothing to report")
    return ReportInput(
        seen,
        buy_and_hold(prices),
        [*notes, *([f"Left out: {said}."] if others else [])],
    )


def closes(result: Result, datadir: Path) -> pd.DataFrame:
    """Return the closes of all pairs of a result by candle; none where the candles are gone."""
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
    """Yield the config of a result, with the strategies in a folder that is gone afterwards.

    Code is this project's and the trader's own; of the result only settings are taken.
    """
    with tempfile.TemporaryDirectory(prefix="perp-imbalance-") as folder:
        own = Path(folder, "strategies")
        own.mkdir()
        for file in strategies.glob("*.py"):
            shutil.copy(file, own)
        if outcome.parameters is not None:
            (own / f"{outcome.strategy}.json").write_text(outcome.parameters, encoding="utf-8")
        taken = {name: value for name, value in result.config.items() if name not in NOT_TAKEN}
        yield {
            **taken,
            **{"strategy_path": str(own), "user_data_dir": folder},
            "timeframe": result.timeframe,
            # Of a result, freqtrade strikes them out.
            "exchange": {**taken.get("exchange", {}), "key": "", "secret": ""},
        }


def _thresholds(config: Mapping[str, Any], strategy: str) -> Thresholds | None:
    """Return what a strategy traded with; None if it is not made of PerpImbalance."""
    completed = complete_config(config, runmode=RunMode.PLOT, strategy=strategy)
    try:
        found = load_strategy(completed)
    except BridgeError as error:
        if "Impossible to load Strategy" in str(error):
            return None
        raise
    if not hasattr(found, "thresholds"):
        return None
    with translate_freqtrade_errors(f"strategy {strategy}"):
        found.ft_bot_start()
        return found.thresholds()  # type: ignore[no-any-return]


def _panes(
    outcome: Outcome, datadir: Path, config: Mapping[str, Any]
) -> tuple[dict[str, Chart], list[str]]:
    """Return what there is to draw of each pair that was traded, and what is missing."""
    panes: dict[str, Chart] = {}
    missing = []
    pairs = sorted(set(outcome.trades["pair"])) if len(outcome.trades) else []
    # It tells of each pair that the first candles are only looked back on.
    quiet = logging.getLogger("freqtrade.configuration.timerange")
    try:
        with open_strategy_analysis(
            config,
            strategy=outcome.strategy,
            datadir=datadir,
            timerange=str(outcome.stats.get("timerange") or "") or None,
        ) as found:
            quiet.setLevel(logging.ERROR)
            for pair in pairs:
                try:
                    panes[pair] = found.pane(pair)
                except DataError as error:
                    missing.append(f"Without z and premium: {error}.")
    except DataError as error:
        missing.append(f"Without z, premium, panes and buy-and-hold: {error}.")
    finally:
        quiet.setLevel(logging.NOTSET)
    return panes, missing
