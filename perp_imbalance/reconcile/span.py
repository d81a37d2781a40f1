"""Find the pairs and the time range that can be compared."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from freqtrade.enums import CandleType
from freqtrade.exchange import timeframe_to_minutes

from perp_imbalance.data.backtest_data import BacktestData
from perp_imbalance.data.folder import CandleFolder
from perp_imbalance.errors import DataError
from perp_imbalance.freqtrade_bridge.pairs import expand_whitelist, names_pairs
from perp_imbalance.markets.perp_names import did_you_mean
from perp_imbalance.markets.spot_matching import some
from perp_imbalance.reconcile.database import BotRecord
from perp_imbalance.reconcile.log import BotLog
from perp_imbalance.strategy.parameters import STARTUP_CANDLES

#: Seconds after a candle's opening up to which an order is on time.
FIRST_LOOK = 60.0
# What an exchange says of a perp.
_PERP = {"swap": True, "linear": True}


def span_of(
    record: BotRecord, log: BotLog, candle: pd.Timedelta, until: pd.Timestamp
) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the time range for the comparison: when the bot is known to run.

    :param until: opening of the last available candle
    :raises DataError: if that is before the bot's start
    """
    opened = record.trades["open_date"]
    begun = min([opened.min(), *record.starts[:1]])
    start = begun.floor(candle)
    if begun - start > pd.Timedelta(seconds=FIRST_LOOK) and opened.min() >= start + candle:
        start += candle
    last = max([*record.traces[-1:], *log.looks[-1:], opened.max()])
    # A backtest ends what is open in the last candle.
    end = min(last, until - pd.Timedelta(seconds=1))
    if end < start:
        raise DataError(
            f"no candles of the span: the bot traded from {start:%Y-%m-%d %H:%M} on, the candles "
            f"end at {until + candle:%Y-%m-%d %H:%M}"
        )
    return start, end


def pairs_of(
    config: Mapping[str, Any],
    record: BotRecord | None,
    datadir: Path,
    timeframe: str,
    asked: Sequence[str] | None = None,
) -> tuple[list[str], list[str]]:
    """Return the pairs to compare, and notes about those that are left out.

    By default these are the pairs of the config's whitelist that the folder has, and all pairs that
    the bot traded.

    :param record: record of the bot; None if there is none yet
    :param asked: pairs named by the user; None for the default
    :raises DataError: if there is no pair, or the folder lacks a pair that the bot traded
    """
    folder = CandleFolder(datadir, config["dataformat_ohlcv"])
    existing = folder.perps(timeframe)
    traded = sorted(set(record.trades["pair"])) if record else []
    if asked:
        return list(asked), []
    wanted = expand_whitelist(config, dict.fromkeys(existing, _PERP))
    left_out = [pair for pair in wanted if pair not in existing and pair not in traded]
    meant = did_you_mean(left_out, existing)
    notes = [f"no {timeframe} candles of {some(left_out)}: left out{meant}"] if left_out else []
    if not names_pairs(config):
        notes.append(
            f"the config's pairs come from {config['pairlists'][0]['method']}, which keeps no "
            "record: compared are those of the whitelist and those that the bot traded"
        )
    if missing := [pair for pair in traded if pair not in existing]:
        raise DataError(
            f"no candles of the span: {datadir} has no {timeframe} candles of {some(missing)}, "
            "which the bot traded; download them, or name other pairs with --pairs"
        )
    pairs = [pair for pair in dict.fromkeys([*wanted, *traded]) if pair in existing]
    if not wanted and not pairs:
        raise DataError(
            "the config's exchange.pair_whitelist has no pairs: name them there or with --pairs"
        )
    if not pairs:
        raise DataError(f"{datadir} has no {timeframe} candles of the config's pairs{meant}")
    return pairs, notes


def last_candle(data: BacktestData) -> pd.Timestamp:
    """Return the opening of the last candle that all pairs have in common."""
    return min(_span(data, pair)[1] for pair in data.pairs)


def first_start(data: BacktestData, candle: pd.Timedelta) -> pd.Timestamp:
    """Return the first candle in which a backtest can enter, after its start-up candles."""
    return min(_span(data, pair)[0] for pair in data.pairs) + (STARTUP_CANDLES + 1) * candle


def check_timeframe(record: BotRecord, timeframe: str) -> None:
    """Raise where a bot traded on candles of other lengths only.

    :param timeframe: of the backtest
    :raises DataError: naming both
    """
    # freqtrade stores minutes; older tables have none.
    minutes = set(record.trades.get("timeframe", pd.Series(dtype=float)).dropna().astype(int))
    if minutes and timeframe_to_minutes(timeframe) not in minutes:
        traded = ", ".join(f"{each} minutes" for each in sorted(minutes))
        raise DataError(
            f"the bot traded on candles of {traded}, and the timeframe is {timeframe}: name the "
            "bot's own with --timeframe, or in the config"
        )


def check_history(data: BacktestData, start: pd.Timestamp, candle: pd.Timedelta) -> None:
    """Raise if the candles do not contain the history that a backtest needs before the bot's start.

    :raises DataError: naming the first candle that is needed
    """
    if first_start(data, candle) > start:
        needed = start - (STARTUP_CANDLES + 1) * candle
        raise DataError(
            f"no candles of the span: the bot began on {start:%Y-%m-%d %H:%M}, for which "
            f"{data.folder.datadir} must reach back to {needed:%Y-%m-%d %H:%M}; download them, or "
            f"begin later with --timerange {first_start(data, candle).ceil('D'):%Y%m%d}-"
        )


def _span(data: BacktestData, pair: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    return data.folder.span(pair, data.timeframe, CandleType.FUTURES)
