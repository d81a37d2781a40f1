"""On the stepped clock a bot does what a backtest does: every candle, every trade, every message.

Nothing here depends on how fast the machine is. ``make test-live`` has more candles, and more looks
at each.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from support.freqtrade import backtest_trades, run_freqtrade
from support.parity import (
    COLUMNS,
    HOUR,
    PRESET,
    SETTINGS,
    SIGNALS,
    SPOTS,
    as_candles,
    expected_columns,
)
from support.rehearsal import live, messages_in, read_records, sample_plan
from support.reliability import FULL, publish, table

from perp_imbalance.rehearsal import even_looks, read_table
from perp_imbalance.strategy.alerts import TITLES, flip_alert, messages
from perp_imbalance.strategy.order_rules import SCALE_OUT_TAG

pytestmark = pytest.mark.freqtrade

Floats = npt.NDArray[np.float64]

# The first candle that the bot trades in opens an hour after the backtest's first.
FIRST = pd.Timestamp("2025-09-18 00:00", tz="UTC")
# Here a position is open, part of it closed.
RESTART = pd.Timestamp("2025-09-18 12:00", tz="UTC")
CANDLES, LOOKS = (1000, 6) if FULL else (48, 2)
LAST = FIRST + CANDLES * HOUR
STRATEGY = "PerpImbalanceAggressive"


class Life(NamedTuple):
    """What the bot did in two runs, with a restart in the middle of a zone."""

    recorded: pd.DataFrame
    trades: pd.DataFrame
    orders: pd.DataFrame
    messages: list[str]
    open_at_restart: set[str]
    log: str


@pytest.fixture(scope="module")
def life(sample_datadir: Path, tmp_path_factory: pytest.TempPathFactory) -> Life:
    folder = tmp_path_factory.mktemp("stepped")
    spans = [(FIRST, RESTART + 0.3 * HOUR), (RESTART + 0.4 * HOUR, LAST + 0.1 * HOUR)]
    open_at_restart: set[str] = set()
    for begin, end in spans:
        plan = sample_plan(
            *(sample_datadir, folder, moment(begin), moment(end)),
            settings=SETTINGS,
            looks=tuple(even_looks(LOOKS, 3600)),
        )
        if plan.database.exists():
            trades = read_table(plan.database, "trades")
            open_at_restart = set(trades.loc[trades["is_open"] == 1, "pair"])
        records = live(plan)
    trades, orders = (read_table(plan.database, name) for name in ("trades", "orders"))
    recorded, log = read_records(records.read_text("utf-8")), plan.log.read_text("utf-8")
    return Life(recorded, trades, orders, messages_in(log), open_at_restart, log)


def moment(time: pd.Timestamp) -> datetime:
    """Return a time just after the one given, when the exchange has opened its candle."""
    return datetime.fromtimestamp(time.timestamp(), UTC) + timedelta(seconds=1)


@pytest.fixture(scope="module")
def expected(sample_datadir: Path) -> pd.DataFrame:
    return expected_columns(sample_datadir)


@pytest.fixture(scope="module")
def backtested(sample_datadir: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    userdir = tmp_path_factory.mktemp("backtest") / "user_data"
    span = f"{(FIRST - HOUR).timestamp():.0f}-{(LAST + 30 * 24 * HOUR).timestamp():.0f}"
    process = run_freqtrade(
        *(userdir, "backtesting"),
        *("--strategy", STRATEGY, "--timerange", span),
        datadir=sample_datadir,
        overlay=SETTINGS,
    )
    assert process.returncode == 0, process.stderr
    trades = as_candles(backtest_trades(userdir)[STRATEGY])
    return trades[trades["open"] <= LAST]


def test_every_candle_is_analysed_once_in_a_run(life: Life) -> None:
    runs = [pd.date_range(FIRST - HOUR, RESTART - HOUR, freq="1h")]
    runs.append(pd.date_range(RESTART - HOUR, LAST - HOUR, freq="1h"))
    for pair, candles in life.recorded.groupby("pair"):
        assert pair in SPOTS
        assert candles["date"].tolist() == [*runs[0], *runs[1]]


@pytest.mark.parametrize("names", [COLUMNS, SIGNALS], ids=["columns", "signals"])
def test_recorded_candles_equal_those_of_a_backtest(
    life: Life, expected: pd.DataFrame, names: list[str]
) -> None:
    found, wanted = side_by_side(life, expected, names)
    assert np.nansum(np.abs(found)) > 0
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


def side_by_side(life: Life, expected: pd.DataFrame, names: list[str]) -> tuple[Floats, Floats]:
    """Return columns as the bot had them, and as a backtest has them."""
    both = life.recorded.merge(
        expected, on=["pair", "date"], how="left", suffixes=("", "_expected"), validate="m:1"
    )
    wanted = both[[f"{name}_expected" for name in names]]
    return both[names].to_numpy(float), wanted.to_numpy(float)


def entries(trades: pd.DataFrame) -> set[Any]:
    return set(trades[["pair", "open", "is_short", "enter_tag"]].itertuples(index=False, name=None))


def exits(trades: pd.DataFrame) -> set[Any]:
    closed = trades[trades["close"] <= LAST]
    columns = ["pair", "open", "close", "exit_reason"]
    return set(closed[columns].itertuples(index=False, name=None))


def test_trades_equal_those_of_a_backtest(life: Life, backtested: pd.DataFrame) -> None:
    live = as_candles(life.trades)
    assert entries(live) == entries(backtested)
    assert exits(live) == exits(backtested)
    assert len(live) == len(backtested) >= 4
    assert live["is_short"].nunique() == 2


def test_parts_are_closed_where_a_backtest_closes_them(
    life: Life, backtested: pd.DataFrame
) -> None:
    wanted = parts(
        (trade["pair"], order["order_filled_timestamp"])
        for trade in backtested.to_dict("records")
        for order in trade["orders"]
        if order["ft_order_tag"] == SCALE_OUT_TAG
    )
    found = parts_of(life)
    assert found == wanted
    assert found


def parts_of(life: Life) -> set[tuple[str, pd.Timestamp]]:
    """Return pair and candle of the bot's orders that closed part of a position."""
    orders = life.orders[life.orders["ft_order_tag"] == SCALE_OUT_TAG]
    orders = orders[orders["order_filled_date"].notna()]
    return parts(
        (pair, filled.timestamp() * 1000)
        for pair, filled in zip(orders["ft_pair"], orders["order_filled_date"], strict=True)
    )


def parts(filled: Iterable[tuple[str, float]]) -> set[tuple[str, pd.Timestamp]]:
    """Return pair and candle of orders that were filled in the rehearsed time."""
    candles = ((pair, pd.Timestamp(time, unit="ms", tz="UTC").floor("h")) for pair, time in filled)
    return {(pair, candle) for pair, candle in candles if candle <= LAST}


def test_restart_takes_over_a_position_whose_part_was_closed(life: Life) -> None:
    trades = as_candles(life.trades)
    held = trades[(trades["open"] <= RESTART) & ~(trades["close"] <= RESTART)]
    assert life.open_at_restart == set(held["pair"]) != set()


def test_every_flip_sends_one_message(life: Life, expected: pd.DataFrame) -> None:
    """On every candle that closed while the bot was running."""
    wanted = []
    for date in pd.date_range(FIRST, LAST - HOUR, freq="1h"):
        two = expected[expected["date"].between(date - HOUR, date)].groupby("pair")
        flips = (
            flip_alert(rows, pair=str(pair), preset=PRESET, kinds=TITLES) for pair, rows in two
        )
        wanted += messages(filter(None, flips))
    assert sorted(life.messages) == sorted(wanted)
    assert len(life.messages) >= 3


@pytest.mark.parametrize("complaint", [" - ERROR - ", "Outdated history", "Unable to analyze"])
def test_bot_logs_no_warning(life: Life, complaint: str) -> None:
    assert complaint not in life.log


def test_findings_are_published(
    life: Life, expected: pd.DataFrame, backtested: pd.DataFrame
) -> None:
    columns, wanted = side_by_side(life, expected, COLUMNS)
    signals, wanted_signals = side_by_side(life, expected, SIGNALS)
    trades = as_candles(life.trades)
    taken = entries(trades) & entries(backtested)
    rows = [
        ["pairs", ", ".join(SPOTS)],
        ["candles of 1h, in the bot's two runs", str(life.recorded["date"].nunique())],
        ["looks in each candle", str(LOOKS)],
        [f"largest difference of {', '.join(COLUMNS)}", f"{np.nanmax(abs(columns - wanted)):.1g}"],
        ["signals that stood on a candle", str(int(signals.sum()))],
        ["signals that differ", str(int((signals != wanted_signals).sum()))],
        ["trades that a backtest opens", str(len(backtested))],
        ["of them opened by the bot in the same candle", str(len(taken))],
        ["exits that differ in candle or reason", str(len(exits(trades) ^ exits(backtested)))],
        ["parts closed at the middle of the bands", str(len(parts_of(life)))],
        ["positions open at the restart", str(len(life.open_at_restart))],
        ["messages of flips, each sent once", str(len(life.messages))],
    ]
    publish("parity", table(["what", "found"], rows))
