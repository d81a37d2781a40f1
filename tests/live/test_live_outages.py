"""An exchange that fails a bot for a while costs it nothing but what happened in that while.

Spot candles that come late are here as well. ``make test-live`` makes the failures longer, too.
"""

import math
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
from support.faults import CANDLE, FIRST, Case, Plan, enters, late_by_seconds, moment
from support.faulty_run import Life, Trade, live_through
from support.reliability import FULL, publish, published, table

from perp_imbalance.replay.testing import Fault, HttpErrors, NoAnswer
from perp_imbalance.strategy.settings import Settings

pytestmark = pytest.mark.freqtrade

LATE = range(FIRST, FIRST + 3)
LATE_SECONDS = 60
# A failure begins before a candle closes, so that the bot meets it when it looks for that candle.
AHEAD = pd.Timedelta("10s")
# What ccxt waits for an answer, and how long a silent exchange does not give one.
PATIENCE_SECONDS, SILENCE_SECONDS = 10, 150
# By then the bot has made up for what a failure held up: freqtrade waits 30 s before a new look.
HELD_UP = pd.Timedelta("2min")
MINUTE, MINUTES_15, MINUTES_50 = (pd.Timedelta(minutes=minutes) for minutes in (1, 15, 50))
KINDS: dict[str, Fault] = {
    "HTTP 500 from every path": HttpErrors(status=500),
    "no answer": NoAnswer(seconds=SILENCE_SECONDS),
    "HTTP 429 with Retry-After": HttpErrors(status=429, retry_after=30),
    "HTTP 418 (banned)": HttpErrors(status=418, retry_after=60),
}
HEADER = [
    *("Failure", "Candles not analysed in time", "Orders meanwhile (backtest)"),
    *("Warnings of ours", "of freqtrade", "Afterwards as in the backtest"),
]


class Outage(NamedTuple):
    """A failure of the whole exchange.

    :ivar candle: the one that closes just after it has begun
    """

    title: str
    fault: Fault
    candle: int
    lasts: pd.Timedelta

    @property
    def begin(self) -> pd.Timestamp:
        return moment(self.candle + 1) - AHEAD

    @property
    def end(self) -> pd.Timestamp:
        return self.begin + AHEAD + self.lasts

    @property
    def recovered(self) -> int:
        """The first candle that closes when the failure and what it held up are over."""
        return math.ceil((self.end + HELD_UP - moment(0)) / CANDLE) - 1


def plan_outages() -> list[Outage]:
    """Let one failure follow the other, each with a good candle after it."""
    outages: list[Outage] = []
    candle = LATE.stop
    for lasts in (MINUTE, MINUTES_15, MINUTES_50) if FULL else (MINUTE,):
        for name, fault in KINDS.items():
            title = f"{name} for {lasts.components.minutes} min"
            outage = Outage(title, fault, candle, lasts)
            span = {"start": outage.begin, "end": outage.end}
            outages.append(outage._replace(fault=fault.model_copy(update=span)))
            candle = outage.recovered + 1
    return outages


OUTAGES = plan_outages()
CANDLES = OUTAGES[-1].recovered + 3
PLAN = Plan(candles=CANDLES, stale=12, brief=0, gone=0)
LATE_CASE = late_by_seconds(LATE.start, LATE.stop)


def busy(life: pd.DataFrame) -> bool:
    """Tell whether a position is entered or left on candles whose closes meet a failure."""
    met = [outage.candle for outage in OUTAGES if outage.lasts == MINUTE]
    orders = life[["enter_short", "enter_long", "exit_short", "exit_long"]].any(axis=1)
    return bool(orders.iloc[met].sum() >= 2)


BUSY_CASE = Case("BUSY", "", [], range(0), busy)
CASES = [LATE_CASE, BUSY_CASE]

each_case = pytest.mark.parametrize("case", CASES, ids=[case.base for case in CASES])
each_outage = pytest.mark.parametrize("outage", OUTAGES, ids=[outage.title for outage in OUTAGES])


@pytest.fixture(scope="module")
def life(sample_datadir: Path, tmp_path_factory: pytest.TempPathFactory) -> Life:
    faults = [outage.fault for outage in OUTAGES]
    folder = tmp_path_factory.mktemp("outages")
    return live_through(folder, sample_datadir, PLAN, CASES, faults=faults)


def hit(outage: Outage) -> range:
    """Return the candles in which orders may have to wait for the exchange."""
    return range(outage.candle + 1, outage.recovered + 1)


def long_enough_to_lose(outage: Outage) -> bool:
    return outage.lasts > MINUTE


HIT = {candle for outage in OUTAGES for candle in hit(outage)}
MISSED = {candle for outage in OUTAGES if long_enough_to_lose(outage) for candle in hit(outage)}


@each_case
def test_bot_continues_after_a_fault(life: Life, case: Case) -> None:
    assert life.log["text"].str.contains("Bot heartbeat").any()
    for complaint in ("OperationalException", "Unable to analyze", "Stopping trader"):
        assert not life.log["text"].str.contains(complaint).any()
    missing = set(range(-1, CANDLES)) - set(life.seen(case).index)
    assert missing <= {candle - 1 for candle in MISSED}


@each_case
def test_no_entry_comes_from_a_missing_price(life: Life, case: Case) -> None:
    assert life.baseless(case) == []


@each_case
def test_columns_and_signals_are_those_of_a_backtest(life: Life, case: Case) -> None:
    assert life.different(case) == []


def apart(trades: list[Trade]) -> list[Trade]:
    """Return the trades that were neither opened nor closed within a long failure."""
    return [trade for trade in trades if not {trade.opened, trade.closed} & MISSED]


@each_case
def test_trades_equal_a_backtest_except_long_failures(life: Life, case: Case) -> None:
    wanted = apart(life.backtested(case))
    assert wanted
    assert [trade for trade in apart(life.traded(case)) if trade in wanted] == wanted


@each_case
def test_nothing_is_opened_that_a_backtest_does_not_open(life: Life, case: Case) -> None:
    wanted = {(trade.opened, trade.side) for trade in life.backtested(case)}
    assert {(trade.opened, trade.side) for trade in life.traded(case)} <= wanted


def test_late_spot_candle_loses_no_entry(life: Life) -> None:
    backtest = life.expected(LATE_CASE)
    signals = [candle for candle in LATE if enters(backtest.loc[candle:candle], range(1))]
    assert signals
    ages = {
        int((date - moment(0)) // CANDLE) - 1: (date - date.floor(CANDLE)).total_seconds()
        for date in life.entered(LATE_CASE)["open_date"]
    }
    for candle in signals:
        assert candle in ages
        assert LATE_SECONDS <= ages[candle] <= Settings().max_entry_age_seconds


def test_late_spot_candle_is_not_reported(life: Life) -> None:
    assert life.told(LATE_CASE) == []


@each_outage
def test_failure_is_met_and_survived(life: Life, outage: Outage) -> None:
    lines = warnings_during(life, outage)
    assert len(lines)
    assert not life.told(BUSY_CASE)
    after = life.seen(BUSY_CASE).index
    assert outage.recovered in after


def warnings_during(life: Life, outage: Outage) -> pd.DataFrame:
    """Return what freqtrade's log complains of while a failure lasts."""
    log = life.log[life.log["level"].isin(["WARNING", "ERROR"])]
    until = moment(outage.recovered + 1)
    return log[(log["time"] >= outage.begin) & (log["time"] < until)]


def orders(trades: list[Trade], candles: range) -> int:
    return sum((trade.opened in candles) + (trade.closed in candles) for trade in trades)


def row(life: Life, outage: Outage) -> list[str]:
    """Return what a failure did, from what the bot recorded, traded and logged."""
    seen = [life.seen(case) for case in CASES]
    candles = range(outage.candle, outage.recovered)
    missed = sum(candle not in rows.index for rows in seen for candle in candles)
    placed, wanted = (
        sum(orders(traded(case), hit(outage)) for case in CASES)
        for traded in (life.traded, life.backtested)
    )
    different = {candle for case in CASES for candle in life.different(case)}
    back = next(c for c in seen[0].index if c > outage.candle and moment(c + 1) >= outage.end)
    since = "from the first candle on" if back not in different else "NO"
    return [
        *(outage.title, f"{missed} of {len(candles) * len(CASES)}", f"{placed} ({wanted})"),
        *(str(len(life.told(BUSY_CASE))), str(len(warnings_during(life, outage))), since),
    ]


def late_row(life: Life) -> list[str]:
    """Return what spot candles that come late did."""
    candles = range(LATE.start + 1, LATE.stop + 1)
    placed, wanted = (
        orders(trades, candles) for trades in (life.traded(LATE_CASE), life.backtested(LATE_CASE))
    )
    ages = [
        (date - date.floor(CANDLE)).total_seconds()
        for date in life.entered(LATE_CASE)["open_date"]
        if moment(candles.start) <= date < moment(candles.stop)
    ]
    within = f"{placed} ({wanted}), entry {max(ages):.0f} s after its candle" if ages else "none"
    told, noise = len(life.told(LATE_CASE)), life.noise(LATE_CASE, moment(LATE.stop + 0.5))
    return [LATE_CASE.title, "0", within, str(told), str(noise), "all the time"]


@pytest.mark.skipif(not FULL, reason="writes what a full run found: make test-live")
def test_findings_are_published(life: Life) -> None:
    rows = [late_row(life), *(row(life, outage) for outage in OUTAGES)]
    assert "NO" not in {cells[-1] for cells in rows}
    begun = f"One bot with two pairs, candles of 5 minutes; ccxt waits {PATIENCE_SECONDS} s for an "
    begun += f"answer, of which there is none for {SILENCE_SECONDS} s.\n\n"
    publish("outages", begun + table(HEADER, rows))


def test_every_failure_has_a_row_in_the_published_table() -> None:
    text = published("outages")
    if not text:
        pytest.skip("no full run has been published yet: make test-live")
    for title in [LATE_CASE.title, *KINDS]:
        assert f"| {title}" in text
