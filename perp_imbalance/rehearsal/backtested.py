"""Backtest the time range of a rehearsal with freqtrade."""

import math
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import pandas as pd
from freqtrade.data.btanalysis import load_backtest_stats
from freqtrade.enums import CandleType
from freqtrade.exchange import timeframe_to_seconds

from perp_imbalance.data.backtest_data import BacktestData
from perp_imbalance.data.folder import CandleFolder
from perp_imbalance.errors import RehearsalError
from perp_imbalance.files import temporary_folder
from perp_imbalance.freqtrade_bridge.process import capture_freqtrade, error_line
from perp_imbalance.rehearsal.comparison import PriceRange
from perp_imbalance.rehearsal.plan import Plan
from perp_imbalance.replay import local_config, running_replay
from perp_imbalance.strategy.parameters import STARTUP_CANDLES

# In the last candle of a backtest, freqtrade closes open trades and enters nothing.
_CANDLES_BEYOND = 3


def check_span(data: BacktestData, start: datetime, stop: datetime) -> None:
    """Raise if bot and backtest cannot both trade the whole time range.

    Without enough candles of history a backtest starts later. On the last candle of the folder it
    closes positions that a bot keeps open.

    :raises RehearsalError: naming the first or the last day that can be rehearsed.
    """
    candle = timedelta(seconds=timeframe_to_seconds(data.timeframe))
    spans = [data.folder.span(pair, data.timeframe, CandleType.FUTURES) for pair in data.pairs]
    # A backtest's first entry comes one candle after its start.
    first = min(begin for begin, _ in spans) + (STARTUP_CANDLES + 1) * candle
    last = max(end for _, end in spans)
    if start < first:
        raise RehearsalError(
            f"{start:%Y-%m-%d} is too early: the candles in {data.folder.datadir} begin at "
            f"{min(spans)[0]:%Y-%m-%d %H:%M}, and {STARTUP_CANDLES} candles are needed "
            f"before the time range: start it at {first.ceil('D'):%Y%m%d} or later"
        )
    if stop > last:
        raise RehearsalError(
            f"{stop:%Y-%m-%d} is too late: the last candle in {data.folder.datadir} opens "
            f"{last:%Y-%m-%d %H:%M}: end the time range at {last.floor('D'):%Y%m%d} or earlier"
        )


def backtest(plan: Plan, candle: timedelta, cwd: Path | None = None) -> pd.DataFrame:
    """Return the trades that freqtrade's backtest opens in the time range of a plan.

    :param candle: length of the plan's candles
    :param cwd: as in :func:`perp_imbalance.rehearsal.rehearse`
    :raises RehearsalError: if freqtrade refuses to backtest it
    """
    # A backtest's first entry comes one candle after its start.
    span = [plan.start - candle, plan.end + _CANDLES_BEYOND * candle]
    with temporary_folder() as folder, running_replay(plan.datadir) as replay:
        options = ["backtesting", "--datadir", str(plan.datadir), "--cache", "none"]
        options += ["--timerange", "-".join(str(int(moment.timestamp())) for moment in span)]
        options += ["--backtest-directory", str(folder)]
        config = local_config(plan.config, replay.url)
        process = capture_freqtrade(options, local_config=config, cwd=cwd)
        if process.returncode:
            raise RehearsalError(f"the backtest of the same candles failed: {error_line(process)}")
        stats = load_backtest_stats(folder)
    (outcome,) = stats["strategy"].values()
    return within(pd.DataFrame(outcome["trades"]), plan.end)


def within(trades: pd.DataFrame, end: datetime) -> pd.DataFrame:
    """Return trades that opened before a time; a trade that closed later is returned as open."""
    if trades.empty:
        columns = ["pair", "is_short", "open_date", "close_date", "enter_tag", "exit_reason"]
        return pd.DataFrame(columns=columns)
    for name in ("open_date", "close_date"):
        trades[name] = pd.to_datetime(trades[name], utc=True)
    trades = trades[trades["open_date"] <= end].reset_index(drop=True)
    still_open = ~(trades["close_date"] <= end)
    trades.loc[still_open, "close_date"] = pd.NaT
    trades.loc[still_open, "exit_reason"] = None
    return trades


def price_range(plan: Plan) -> PriceRange:
    """Return a function that gives the lowest and highest price of a pair in a candle.

    :return: the function; it raises DataError if a file of the plan's folder is broken
    """

    @cache
    def candles(pair: str) -> pd.DataFrame:
        folder = CandleFolder(plan.datadir, plan.config.get("dataformat_ohlcv"))
        frame = folder.read(pair, plan.config["timeframe"], CandleType.FUTURES, fill=True)
        return frame.set_index("date")[["low", "high"]]

    def prices(pair: str, time: pd.Timestamp) -> tuple[float, float]:
        frame = candles(pair)
        if time not in frame.index:
            return math.nan, math.nan
        low, high = frame.loc[[time]].to_numpy(dtype=float)[0]
        return float(low), float(high)

    return prices
