"""Run a bot with faults, and compare its life with a backtest."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from perp_imbalance.rehearsal import read_table
from perp_imbalance.replay.candle_store import Series
from perp_imbalance.replay.testing import Fault
from perp_imbalance.replay.testing.faults import CandleFault
from support.faults import CANDLE, TIMEFRAME, Case, Plan, expected_table, moment, read
from support.faults import write_fault_market as write_market
from support.rehearsal import live, logged, messages_in, read_records, sample_plan
from support.stages import FaultyStage, faulty

# Seconds after a candle's opening at which the bot looks. At 61 s a spot candle that is a minute
# late has arrived, at 91 s freqtrade waits for none, at 121 s a missing price is reported.
LOOKS = (1.0, 31.0, 61.0, 91.0, 121.0, 211.0)
MARKETS_REFRESH_MINUTES = 15
COLUMNS = ["premium", "z_raw", "z", "bias"]
SIGNALS = ["enter_short", "enter_long", "exit_short", "exit_long"]
SAME_COIN = 0.2


class MarketStage(FaultyStage):
    """A stage with faults, whose bot reads the market list every quarter of an hour."""

    def config(self, config: dict[str, Any]) -> Mapping[str, Any]:
        """Return the bot's config."""
        config["exchange"]["markets_refresh_interval"] = MARKETS_REFRESH_MINUTES
        return super().config(config)


class Trade(NamedTuple):
    """A position, by the candles of its entry and exit."""

    side: str
    opened: int
    closed: int | None
    reason: str | None


class Life(NamedTuple):
    """What the bot did, and the data it had."""

    plan: Plan
    datadir: Path
    recorded: pd.DataFrame
    trades: pd.DataFrame
    log: pd.DataFrame
    posts: list[str]

    def seen(self, case: Case) -> pd.DataFrame:
        """Return a pair's candles as the bot last had them, by number."""
        rows = self.recorded[self.recorded["pair"] == case.pair]
        rows = rows.assign(candle=((rows["date"] - moment(0)) / CANDLE).round().astype(int))
        rows = rows[rows["candle"] < self.plan.candles]
        return rows.drop_duplicates("candle", keep="last").set_index("candle").sort_index()

    def traded(self, case: Case) -> list[Trade]:
        """Return a pair's trades in candles of the life."""
        found = []
        for row in self.entered(case).to_dict("records"):
            opened, closed = (
                None if pd.isna(row[name]) else int((row[name] - moment(0)) // CANDLE)
                for name in ("open_date", "close_date")
            )
            side = "short" if row["is_short"] else "long"
            found.append(Trade(side, int(opened or 0), closed, row["exit_reason"]))
        return within(found, self.plan)

    def entered(self, case: Case) -> pd.DataFrame:
        """Return the rows of a pair's trades, in order of entry."""
        return self.trades[self.trades["pair"] == case.pair].sort_values("open_date")

    def expected(self, case: Case) -> pd.DataFrame:
        """Return a backtest's columns of a pair."""
        return expected_table(self.datadir, case, self.plan)

    def backtested(self, case: Case) -> list[Trade]:
        """Return a backtest's trades on the signals up to the end of the life."""
        table = self.expected(case)
        return within(simulated(table.loc[-1 : self.plan.candles]), self.plan)

    def different(self, case: Case) -> list[int]:
        """Return the candles that differ from a backtest."""
        seen = self.seen(case)
        wanted = self.expected(case).loc[seen.index]
        columns = COLUMNS + SIGNALS
        same = np.isclose(
            seen[columns].astype(float),
            wanted[columns].astype(float),
            *(1e-9, 1e-9),
            equal_nan=True,
        )
        return [int(candle) for candle in seen[~same.all(axis=1)].index]

    def told(self, case: Case, level: str = "WARNING") -> list[str]:
        """Return our log's messages about a pair, alone or with others of the same look."""
        ours = self.log[~self.log["logger"].str.startswith("freqtrade")]
        ours = ours[ours["level"] == level]
        alone = ours["text"].str.startswith(f"{case.pair} gives")
        named = rf"pairs give .*(?:: |, ){re.escape(case.pair)}(?: \(|,|$)"
        return list(ours["text"][alone | ours["text"].str.contains(named)])

    def noise(self, case: Case, until: pd.Timestamp | None = None) -> int:
        """Return the number of freqtrade's own warnings about a pair or its spot pair."""
        theirs = self.log[self.log["logger"].str.startswith("freqtrade")]
        if until is not None:
            theirs = theirs[theirs["time"] < until]
        named = theirs["text"].str.contains(rf"\b{case.base}/USDT", regex=True)
        return int((theirs["level"].isin(["WARNING", "ERROR", "CRITICAL"]) & named).sum())

    def baseless(self, case: Case) -> list[str]:
        """Return the trades whose candle had no price of perp and spot at their entry."""
        found = []
        for opened in self.entered(case)["open_date"].tolist():
            signal = opened.floor(CANDLE) - CANDLE
            perp, spot = (
                price_at(self.datadir, case, pair, signal, opened)
                for pair in (case.pair, case.spot)
            )
            if not perp or not spot or abs(perp / spot - 1) > SAME_COIN:
                found.append(f"{case.pair} {opened}: perp {perp}, spot {spot}")
        return found


def within(trades: list[Trade], plan: Plan) -> list[Trade]:
    """Return the trades up to the last candle."""
    last = plan.candles - 1
    return [
        trade
        if trade.closed is not None and trade.closed <= last
        else trade._replace(closed=None, reason=None)
        for trade in trades
        if trade.opened <= last
    ]


def simulated(table: pd.DataFrame) -> list[Trade]:
    """Return the trades of a table's signals; orders are filled in the next candle."""
    trades: list[Trade] = []
    position: Trade | None = None
    for candle, row in table.iterrows():
        order = int(str(candle)) + 1
        if position and row[f"exit_{position.side}"]:
            trades.append(position._replace(closed=order, reason=row["exit_tag"]))
            position = None
        for side in ("short", "long"):
            if position is None and row[f"enter_{side}"]:
                position = Trade(side, order, None, None)
    return trades + ([position] if position else [])


def price_at(
    datadir: Path, case: Case, pair: str, candle: pd.Timestamp, now: pd.Timestamp
) -> float | None:
    """Return a candle's close if the exchange had shown it, and it was traded, by now."""
    frame = read(datadir, pair)
    times = frame["date"].dt.tz_convert(None).to_numpy("datetime64[ms]").astype(np.int64)
    values = frame[["open", "high", "low", "close", "volume"]].to_numpy(float)
    length = int(CANDLE.total_seconds() * 1000)
    series = Series(times, times + length, values)
    for fault in case.faults:
        if isinstance(fault, CandleFault) and fault.pair == pair:
            series = fault.shown(series, int(now.timestamp() * 1000))
    at = int(candle.timestamp() * 1000)
    for *_, close, volume in series.values[series.times == at]:
        if volume > 0 and np.isfinite(close) and close > 0:
            return float(close)
    return None


def live_through(
    folder: Path,
    sample: Path,
    plan: Plan,
    cases: list[Case],
    *,
    looks: tuple[float, ...] = LOOKS,
    faults: Sequence[Fault] = (),
) -> Life:
    """Run a bot on the cases, with further faults of the whole exchange.

    Its first look is at the opening of candle 0, its last one in the candle after the plan's last.
    """
    datadir = folder / "data" / "binance"
    write_market(sample, datadir, plan, cases)
    settings = {
        "exchange": {"pair_whitelist": [case.pair for case in cases]},
        "timeframe": TIMEFRAME,
        "max_open_trades": len(cases),
        # A 5-minute candle moves as far as the sample's hours: only signals may end a trade.
        "stoploss": -0.99,
        "perp_imbalance": {
            "max_stale_candles": plan.stale,
            "max_entry_drift": 0.05,
            "protections": [],
        },
    }
    rehearsal = sample_plan(
        *(datadir, folder, moment(0) + timedelta(seconds=looks[0])),
        moment(plan.candles + 1) - timedelta(seconds=1),
        settings=settings,
        looks=looks,
        # Shortcuts are off: they assume candles that never change.
        shortcuts=False,
        stage="support.faulty_run:MarketStage",
        options=faulty([*faults, *(fault for case in cases for fault in case.faults)]),
    )
    records = live(rehearsal)
    recorded, log = read_records(records.read_text("utf-8")), rehearsal.log.read_text("utf-8")
    trades = read_table(rehearsal.database, "trades")
    return Life(plan, datadir, recorded, trades, logged(log), messages_in(log))
