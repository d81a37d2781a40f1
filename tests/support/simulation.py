"""Run freqtrade's own backtest inside the test's process, and simulate the same."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from freqtrade.configuration import setup_utils_configuration
from freqtrade.data import history
from freqtrade.data.converter import trim_dataframes
from freqtrade.enums import RunMode
from freqtrade.optimize.backtesting import Backtesting

from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.replay import replay_config, running_replay
from perp_imbalance.simulation import (
    REASONS,
    Markets,
    Rules,
    Signals,
    Trades,
    join,
    join_signals,
    market,
    signals,
    simulate,
)
from perp_imbalance.strategy.parameters import SPACES
from support.freqtrade import CONFIG

COMPARED = [
    *("pair", "is_short", "open_date", "close_date", "exit_reason", "leverage", "amount"),
    *("open_rate", "close_rate", "funding_fees", "profit_abs", "profit_ratio"),
]
SIGNALS = ("enter_long", "exit_long", "enter_short", "exit_short")


_BTC_ETH = ["BTC/USDT:USDT", "ETH/USDT:USDT"]
_ALTS = ["XRP/USDT:USDT", "ADA/USDT:USDT", "LTC/USDT:USDT"]
#: Folders of real candles with their pairs, timeframes and a short time range.
REAL_CANDLES = [
    ("1h_2020_2023_alts", _ALTS, ("1h", "4h"), "20210401-20210601"),
    ("1h_2020_2023", _BTC_ETH, ("1h", "4h"), "20200201-20200501"),
    ("5m_2024h1", [*_BTC_ETH, "1000PEPE/USDT:USDT"], ("5m", "1h"), "20240301-20240310"),
]


def real_overlay(timeframes: tuple[str, str], timerange: str | None) -> dict[str, Any]:
    """Return the settings for a backtest of real candles; a time range of None means all."""
    timeframe, higher = timeframes
    overlay: dict[str, Any] = {"timeframe": timeframe}
    overlay["perp_imbalance"] = {"htf_timeframe": higher}
    return overlay | ({"timerange": timerange} if timerange else {})


class Backtest:
    """freqtrade's backtest of a strategy, whose rules can be changed without a new process."""

    def __init__(
        self,
        datadir: Path,
        url: str,
        strategy: str,
        pairs: Sequence[str],
        folder: Path,
        overlay: Mapping[str, Any],
    ) -> None:
        settings: dict[str, Any] = {"enable_protections": False, **overlay, **replay_config(url)}
        settings["exchange"]["pair_whitelist"] = self.pairs = list(pairs)
        (folder / "overlay.json").write_text(json.dumps(settings), encoding="utf-8")
        options = {
            "config": [str(CONFIG), str(folder / "overlay.json")],
            "datadir": datadir,
            "user_data_dir": str(folder),
            "strategy": strategy,
            "export": "none",
        }
        self.freqtrade = Backtesting(setup_utils_configuration(options, RunMode.BACKTEST))
        self.candles, self.timerange = self.freqtrade.load_bt_data()
        self.freqtrade._set_strategy(self.freqtrade.strategylist[0])
        self.strategy = self.freqtrade.strategy
        self.frames = self.strategy.advise_all_indicators(self.candles)
        self.locks = 0

    def vary(self, pairs: Sequence[str], rules: Rules) -> None:
        """Make freqtrade trade these pairs by these rules, protections included."""
        config = self.freqtrade.config
        config["max_open_trades"] = self.strategy.max_open_trades = rules.max_open_trades
        config["stake_amount"] = rules.stake_amount or "unlimited"
        self.strategy.stoploss = rules.stoploss
        self.strategy.settings = self.strategy.settings.model_copy(
            update={
                "leverage": rules.leverage,
                "scale_out": rules.scale_out,
                "stop_on_close": rules.stop_on_close,
                "max_entry_drift": rules.max_entry_drift,
                "protections": list(rules.protections),
            }
        )
        self.freqtrade.enable_protections = config["enable_protections"] = True
        self.strategy.position_adjustment_enable = rules.scale_out > 0
        self.pairs = list(pairs)

    def use(self, thresholds: Thresholds, entry_mode: str, max_stale_candles: int) -> None:
        """Make freqtrade trade by these thresholds."""
        values = asdict(thresholds) | {
            "entry_mode": entry_mode,
            "max_stale_candles": max_stale_candles,
        }
        for name in SPACES:
            getattr(self.strategy, name).value = values[name]
        self.frames = self.strategy.advise_all_indicators(self.candles)

    def expected(self) -> pd.DataFrame:
        """Return freqtrade's trades."""
        frames = {pair: self.frames[pair].copy() for pair in self.pairs}
        traded = trim_dataframes(frames, self.timerange, self.freqtrade.required_startup)
        start, end = history.get_timerange(traded)
        found = self.freqtrade.backtest(processed=frames, start_date=start, end_date=end)
        self.locks = len(found["locks"])
        results: pd.DataFrame = found["results"]
        return results

    def signals(self) -> dict[str, pd.DataFrame]:
        """Return the candles that freqtrade trades, with the strategy's signals."""
        columns = {
            pair: self.strategy.ft_advise_signals(self.frames[pair].copy(), {"pair": pair})
            for pair in self.pairs
        }
        startup = self.freqtrade.required_startup
        traded: dict[str, pd.DataFrame] = trim_dataframes(columns, self.timerange, startup)
        return traded

    def simulated(self, rules: Rules) -> pd.DataFrame:
        """Return the simulation's trades in freqtrade's columns."""
        frames = self.signals()
        pairs = list(frames)
        markets = join([self.market(pair, frames[pair]) for pair in pairs])
        parts = [signals_of(frames[pair]) for pair in pairs]
        rules = rules._replace(fee=self.freqtrade.fee)
        return named(simulate(markets, join_signals(parts), rules), frames)

    def market(self, pair: str, frame: pd.DataFrame) -> Markets:
        """Return a pair for the simulation, with freqtrade's trading rules of it."""
        freqtrade, exchange = self.freqtrade, self.freqtrade.exchange
        ticks = freqtrade.price_pair_prec[pair].reindex(frame["date"], method="ffill").to_numpy()
        limits = exchange.markets[pair]["limits"]
        paid = freqtrade.futures_data[pair]
        tiers = [
            (
                *(tier["minNotional"], tier["maxNotional"] or np.inf),
                *(tier["maintenanceMarginRate"], tier["maxLeverage"], tier["maintAmt"]),
            )
            for tier in exchange._leverage_tiers[pair]
        ]
        return market(
            nanoseconds(frame["date"]),
            {name: frame[name].to_numpy() for name in ("open", "high", "low", "close")},
            tick=np.where(np.isnan(ticks), exchange.get_precision_price(pair), ticks),
            funding_times=nanoseconds(paid["date"]),
            funding_fees=(paid["open_fund"] * paid["open_mark"]).to_numpy(),
            amount_step=exchange.get_precision_amount(pair),
            min_amount=limits["amount"]["min"] or 0.0,
            max_amount=limits["amount"]["max"] or np.inf,
            min_cost=limits["cost"]["min"] or 0.0,
            tiers=tiers,
        )


def nanoseconds(dates: "pd.Series[pd.Timestamp]") -> Any:
    return dates.dt.as_unit("ns").astype("int64").to_numpy()


def signals_of(frame: pd.DataFrame) -> Signals:
    given = {name: frame[name].to_numpy() for name in SIGNALS}
    return signals(**given, middle=frame["bb_middle"].to_numpy())


def named(trades: Trades, frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return trades in freqtrade's columns."""
    pairs = list(frames)
    rows = []
    for trade in trades:
        pair = pairs[trade["pair"]]
        frame = frames[pair]
        reason = REASONS[trade["reason"]]
        if reason == "exit_signal":
            reason = frame["exit_tag"].iloc[trade["exit_row"] - 1]
        rows.append(
            {
                "pair": pair,
                "is_short": trade["side"] < 0,
                "open_date": frame["date"].iloc[trade["entry_row"]],
                "close_date": frame["date"].iloc[trade["exit_row"]],
                "exit_reason": reason,
                "funding_fees": trade["funding"],
                **{name: trade[name] for name in ("leverage", "amount", "open_rate")},
                **{name: trade[name] for name in ("close_rate", "profit_abs", "profit_ratio")},
            }
        )
    return pd.DataFrame(rows, columns=COMPARED)


def assert_same_trades(found: pd.DataFrame, expected: pd.DataFrame, told: str = "") -> None:
    """Compare trade by trade; numbers must agree within 1e-9."""
    keys = ["open_date", "pair", "is_short"]
    tables = []
    for table in (found, expected):
        dates = {
            name: pd.to_datetime(table[name], utc=True) for name in ("open_date", "close_date")
        }
        dates = {name: column.dt.as_unit("ms") for name, column in dates.items()}
        table = table[COMPARED].assign(**dates).astype({"is_short": bool})
        tables.append(table.sort_values(keys, ignore_index=True))
    pd.testing.assert_frame_equal(
        tables[0], tables[1], check_dtype=False, rtol=0, atol=1e-9, obj=told
    )


@contextmanager
def backtest(
    datadir: Path, strategy: str, pairs: Sequence[str], folder: Path, **overlay: Any
) -> Iterator[Backtest]:
    """Prepare a backtest with a replay of its candles."""
    with running_replay(datadir) as replay:
        made = Backtest(datadir, replay.url, strategy, pairs, folder, overlay)
        try:
            yield made
        finally:
            Backtesting.cleanup()
