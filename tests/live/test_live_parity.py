"""Live as in the backtest: the same candles give the same columns, signals, trades and messages.

``LIVE_CANDLES`` sets how many candles the bot lives through; ``make test-live`` has 100.
"""

import os
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from support.freqtrade import SAMPLE_PAIRS, Freqtrade, backtest_trades
from support.live_bot import FastClock, LiveBot, mailbox
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
from support.reliability import publish, table

from perp_imbalance.replay import running_replay
from perp_imbalance.strategy.alerts import TITLES, flip_message
from perp_imbalance.strategy.order_rules import SCALE_OUT_TAG

pytestmark = pytest.mark.freqtrade

# Absolute candles, so that what is compared does not depend on how fast the bot starts. Between
# FIRST and RESTART a backtest opens and ends three positions, two of them with a part closed at the
# middle of the bands; at RESTART one more is open.
START = datetime(2025, 9, 17, 17, 2, tzinfo=UTC)
FIRST = pd.Timestamp("2025-09-18 00:00", tz="UTC")
RESTART = pd.Timestamp("2025-09-18 12:00", tz="UTC")
CANDLES = int(os.environ.get("LIVE_CANDLES", "22"))
LAST = max(FIRST + CANDLES * pd.Timedelta("1h"), pd.Timestamp("2025-09-18 21:00", tz="UTC"))
# A candle of an hour lasts four seconds at first; an idle machine needs a third of one for each.
# Where the bot falls behind so fast a clock, it lives again on a slower one.
SPEEDS = [900, 450, 225]
# freqtrade's warning where the newest candle is not the last that closed.
OUTDATED = "Outdated history"


class Life(NamedTuple):
    """What the bot did in two runs, with a restart in the middle of a zone.

    A restart that takes less than a candle analyses a second time the one that closed last.
    """

    speed: int
    recorded: pd.DataFrame
    trades: pd.DataFrame
    orders: pd.DataFrame
    messages: list[str]
    open_at_restart: set[str]
    log: str


@pytest.fixture(scope="module")
def life(sample_datadir: Path, tmp_path_factory: pytest.TempPathFactory) -> Life:
    for speed in SPEEDS:
        found = live(sample_datadir, tmp_path_factory.mktemp("live"), speed)
        if OUTDATED not in found.log and found.recorded["date"].min() <= FIRST:
            break
        warnings.warn(f"the bot fell behind a clock at × {speed}", stacklevel=1)
    return found


def live(sample_datadir: Path, folder: Path, speed: int) -> Life:
    clock = FastClock(START, speed)
    with running_replay(sample_datadir, clock=clock) as replay, mailbox() as post:
        overlay = {"pairs": SAMPLE_PAIRS, "webhook": post.config(speed), **SETTINGS}
        bot = LiveBot(folder, clock, replay, overlay)

        def has_seen(candle: pd.Timestamp) -> bool:
            """Tell whether every pair was analysed on this candle or a later one."""
            recorded = bot.recorded()
            seen = recorded.loc[recorded["date"] >= candle, "pair"]
            return seen.nunique() == len(SPOTS)

        hours = int((LAST - pd.Timestamp(START)) / HOUR) + 1
        with bot.running() as process:
            bot.wait(process, lambda: has_seen(RESTART), hours)
        trades = bot.trades()
        open_at_restart = set(trades.loc[trades["is_open"] == 1, "pair"])
        with bot.running() as process:
            bot.wait(process, lambda: has_seen(LAST), hours)
        log = bot.log.read_text("utf-8")
        told = list(post.messages)
        return Life(speed, bot.recorded(), bot.trades(), bot.orders(), told, open_at_restart, log)


@pytest.fixture(scope="module")
def expected(sample_datadir: Path) -> pd.DataFrame:
    return expected_columns(sample_datadir)


def side_by_side(life: Life, expected: pd.DataFrame) -> pd.DataFrame:
    both = life.recorded.merge(
        expected, on=["pair", "date"], how="left", suffixes=("", "_expected"), validate="m:1"
    )
    assert len(both) == len(life.recorded)
    return both


@pytest.mark.parametrize("column", COLUMNS)
def test_columns_equal_those_of_a_backtest_on_every_candle(
    life: Life, expected: pd.DataFrame, column: str
) -> None:
    both = side_by_side(life, expected)
    np.testing.assert_allclose(
        both[column].astype(float), both[f"{column}_expected"], rtol=1e-9, atol=1e-9
    )


def test_signals_equal_those_of_a_backtest_on_every_candle(
    life: Life, expected: pd.DataFrame
) -> None:
    both = side_by_side(life, expected)
    found = both[SIGNALS].astype(int)
    assert found.to_numpy().sum() > 0
    np.testing.assert_array_equal(found, both[[f"{name}_expected" for name in SIGNALS]])


def test_every_candle_of_a_run_is_analysed_once_and_in_order(life: Life) -> None:
    for _, run in life.recorded.groupby(["pair", "started"]):
        assert (run["date"].diff().dropna() == HOUR).all()
    for _, candles in life.recorded.groupby("pair"):
        assert candles["started"].nunique() == 2
        assert candles["date"].is_monotonic_increasing


@pytest.fixture
def backtested(freqtrade: Freqtrade, sample_datadir: Path, tmp_path: Path) -> pd.DataFrame:
    process = freqtrade(
        *("backtesting", "--strategy", "PerpImbalanceAggressive"),
        *("--timerange", f"{START:%Y%m%d}-{START + pd.Timedelta('30D'):%Y%m%d}"),
        datadir=sample_datadir,
        overlay=SETTINGS,
    )
    assert process.returncode == 0, process.stderr
    return as_candles(backtest_trades(tmp_path / "user_data")["PerpImbalanceAggressive"])


def acted_on(life: Life) -> set[tuple[str, pd.Timestamp]]:
    """Return pair and opening of the candles in which orders for recorded signals were placed.

    Without the first candle of a run, which may be an hour old when the bot has started, and the
    last one: the bot may have been stopped between signal and order.
    """
    dates = life.recorded["date"]
    runs = life.recorded.groupby(["pair", "started"])["date"]
    inner = life.recorded[(dates > runs.transform("min")) & (dates < runs.transform("max"))]
    return set(zip(inner["pair"], inner["date"] + HOUR, strict=True))


def test_trades_equal_those_of_a_backtest(life: Life, backtested: pd.DataFrame) -> None:
    acted = acted_on(life)

    def seen(trades: pd.DataFrame, column: str) -> Any:
        return [key in acted for key in zip(trades["pair"], trades[column], strict=True)]

    live = as_candles(life.trades).set_index(["pair", "open"])
    entered = backtested[seen(backtested, "open")]
    assert set(entered.set_index(["pair", "open"]).index) <= set(live.index)
    ended = entered[seen(entered, "close")].set_index(["pair", "open"])
    assert len(ended) >= 2
    for column in ("is_short", "enter_tag", "close", "exit_reason"):
        assert live.loc[ended.index, column].tolist() == ended[column].tolist(), column


def test_parts_are_closed_where_a_backtest_closes_them(
    life: Life, backtested: pd.DataFrame
) -> None:
    acted = acted_on(life)
    ids = as_candles(life.trades).set_index(["pair", "open"])["id"]
    expected_parts, parts = set(), set()
    for trade in backtested.to_dict("records"):
        key: Any = (trade["pair"], trade["open"])
        if key not in ids.index:
            continue
        filled = [
            pd.Timestamp(order["order_filled_timestamp"], unit="ms", tz="UTC")
            for order in trade["orders"]
            if order["ft_order_tag"] == SCALE_OUT_TAG
        ]
        expected_parts |= {(key, date) for date in filled if (key[0], date) in acted}
        mine = life.orders[
            (life.orders["ft_trade_id"] == ids[key])
            & (life.orders["ft_order_tag"] == SCALE_OUT_TAG)
        ]
        dates = mine["order_filled_date"].dt.floor("h")
        parts |= {(key, date) for date in dates if (key[0], date) in acted}
    assert expected_parts
    assert parts == expected_parts


def test_restart_in_a_zone_repeats_no_entry(life: Life, backtested: pd.DataFrame) -> None:
    assert life.open_at_restart
    live = as_candles(life.trades)
    assert not live.duplicated(["pair", "open"]).any()
    entries = set(zip(backtested["pair"], backtested["open"], strict=True))
    # An order on the first candle of a run may come an hour late.
    late = {(pair, opened + HOUR) for pair, opened in entries}
    assert set(zip(live["pair"], live["open"], strict=True)) <= entries | late
    last = max(opened for _, opened in acted_on(life))
    ended = backtested[backtested["close"] < last].set_index(["pair", "open"])["exit_reason"]
    for trade in live.itertuples():
        key: Any = (trade.pair, trade.open)
        if key in ended.index:
            assert not trade.is_open, trade
            assert trade.exit_reason == ended[key]


def test_every_flip_sends_one_message(life: Life, expected: pd.DataFrame) -> None:
    """The first candle of a run closed about when the bot began, the last when it was stopped."""
    wanted: set[str] = set()
    unsure: set[str] = set()
    for (pair, _), run in life.recorded.groupby(["pair", "started"]):
        table = expected[expected["pair"] == pair]
        for date in run["date"]:
            rows = table[table["date"] <= date]
            message = flip_message(rows, pair=str(pair), preset=PRESET, kinds=TITLES)
            if message:
                (unsure if date in set(run["date"].iloc[[0, -1]]) else wanted).add(message)
    assert len(wanted) >= 3
    assert wanted <= set(life.messages) <= wanted | unsure
    assert len(set(life.messages)) == len(life.messages)


@pytest.mark.parametrize(
    "complaint",
    [OUTDATED, "Unable to analyze", "caused the following exception"],
)
def test_bot_complains_of_nothing(life: Life, complaint: str) -> None:
    assert "Bot heartbeat" in life.log
    assert complaint not in life.log


def test_figures_of_the_full_run_are_published(
    life: Life, expected: pd.DataFrame, backtested: pd.DataFrame
) -> None:
    both = side_by_side(life, expected)
    apart = [
        (both[column].astype(float) - both[f"{column}_expected"]).abs().max() for column in COLUMNS
    ]
    signals = both[SIGNALS].astype(int).to_numpy()
    same = signals == both[[f"{name}_expected" for name in SIGNALS]].to_numpy()
    acted = acted_on(life)
    opened = [key in acted for key in zip(backtested["pair"], backtested["open"], strict=True)]
    live = as_candles(life.trades).set_index(["pair", "open"])
    entered = backtested[opened].set_index(["pair", "open"])
    taken = len(entered.index.intersection(live.index))
    rows = [
        ["pairs", ", ".join(SAMPLE_PAIRS)],
        ["candles of 1h, in the bot's two runs", str(life.recorded["date"].nunique())],
        ["speed of the clock", f"× {life.speed}"],
        [f"largest difference of {', '.join(COLUMNS)}", f"{max(apart):.1g}"],
        ["signals that stood on a candle", str(int(signals.sum()))],
        ["signals that differ", str(int((~same).sum()))],
        ["trades that a backtest opens", str(len(entered))],
        ["of them opened by the bot in the same candle", str(taken)],
        ["parts closed at the middle of the bands", str(len(parts_of(life)))],
        ["positions open at the restart", str(len(life.open_at_restart))],
        ["messages of flips, each sent once", str(len(life.messages))],
    ]
    assert rows[-2][1] != "0"
    publish("parity", table(["what", "found"], rows))


def parts_of(life: Life) -> pd.DataFrame:
    """Return the filled orders that closed part of a position."""
    return life.orders[
        (life.orders["ft_order_tag"] == SCALE_OUT_TAG) & life.orders["order_filled_date"].notna()
    ]
