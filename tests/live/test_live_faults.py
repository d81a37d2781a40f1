"""A broken feed opens no trade and keeps none open; when it is whole, all is as in the backtest.

One bot lives through all faults of candles and markets at once: each pair has its own.
``make test-live`` gives the faults their full length.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.faults import (
    ABSURD,
    BEGIN,
    FULL_PLAN,
    SHORT_PLAN,
    THRESHOLDS,
    Case,
    candle_cases,
    moment,
    read,
)
from support.faulty_run import Life, live_through
from support.reliability import FULL, publish, published, table

from perp_imbalance.indicators import entry_signals
from perp_imbalance.indicators.columns import spot_premium, threshold_columns

pytestmark = pytest.mark.freqtrade

PLAN = FULL_PLAN if FULL else SHORT_PLAN
CASES = candle_cases(PLAN)
STALE_CASES = [case for case in CASES if case.stale]
HEADER = [
    *("Fault", "Candles hit", "Entries meanwhile (backtest)", "Position open before"),
    *("Warnings of ours", "of freqtrade", "Afterwards as in the backtest", "Verdict"),
]

each_case = pytest.mark.parametrize("case", CASES, ids=[case.base for case in CASES])


@pytest.fixture(scope="module")
def life(sample_datadir: Path, tmp_path_factory: pytest.TempPathFactory) -> Life:
    return live_through(tmp_path_factory.mktemp("faults"), sample_datadir, PLAN, CASES)


def held_side(life: Life, case: Case) -> str:
    return "short" if life.expected(case)["bias"].loc[BEGIN - 1] < 0 else "long"


@each_case
def test_bot_analyses_every_candle_whatever_happens(life: Life, case: Case) -> None:
    assert list(life.seen(case).index) == list(range(-1, PLAN.candles))


@pytest.mark.parametrize(
    "complaint",
    ["Unable to analyze", "caused the following exception", "OperationalException", "Traceback"],
)
def test_bot_logs_no_error_that_stops_it(life: Life, complaint: str) -> None:
    assert life.log["text"].str.contains("Bot heartbeat").any()
    assert not life.log["text"].str.contains(complaint).any()


@each_case
def test_no_entry_comes_from_a_missing_price(life: Life, case: Case) -> None:
    assert life.baseless(case) == []


@each_case
def test_columns_and_signals_are_those_of_a_backtest(life: Life, case: Case) -> None:
    assert set(life.different(case)) <= set(case.blind)


@each_case
def test_candle_without_spot_gives_no_signal(life: Life, case: Case) -> None:
    seen = life.seen(case)
    unseen = seen.loc[seen.index.isin(case.unseen)]
    assert not unseen["premium"].notna().any()
    assert not unseen[["enter_short", "enter_long"]].to_numpy().any()


@each_case
def test_trades_equal_a_backtest_with_equal_knowledge(life: Life, case: Case) -> None:
    found, wanted = life.traded(case), life.backtested(case)
    if not case.blind:
        assert found == wanted
        return
    orders = {candle + 1 for candle in case.unseen}
    assert not {trade.opened for trade in found} & orders
    assert [trade for trade in found if trade.opened > max(orders)] == [
        trade for trade in wanted if trade.opened > max(orders)
    ]


@pytest.mark.parametrize("case", STALE_CASES, ids=[case.base for case in STALE_CASES])
def test_position_without_a_spot_price_is_closed_as_stale(life: Life, case: Case) -> None:
    position = [trade for trade in life.traded(case) if trade.opened <= BEGIN][-1]
    assert position.side == held_side(life, case)
    assert position.closed is not None
    assert position.reason == "stale_spot"
    if case.recovers:
        assert position.closed == BEGIN + PLAN.stale
    else:
        # Of a market that is not listed no price is known: the position's own age counts.
        assert position.opened + PLAN.stale <= position.closed <= BEGIN + PLAN.stale


def test_exit_on_late_spot_is_one_candle_late(life: Life) -> None:
    case = next(case for case in CASES if case.base == "LATEONE")
    backtest = life.expected(case)
    leaves = int(np.flatnonzero(backtest[f"exit_{held_side(life, case)}"].loc[BEGIN:])[0]) + BEGIN
    position = [trade for trade in life.traded(case) if trade.opened <= BEGIN][-1]
    assert (position.closed, position.reason) == (leaves + 2, backtest["exit_tag"].loc[leaves])


@each_case
def test_reason_and_recovery_are_each_reported_once(life: Life, case: Case) -> None:
    told = life.told(case)
    assert 1 <= len(told) <= case.warnings
    assert len(set(told)) == len(told)
    assert len(life.told(case, "INFO")) == (len(told) if case.recovers else 0)
    for text in told:
        # A message about many pairs has their count and names the first of them.
        begun = text.partition(" (")[0]
        assert sum(post.startswith(begun) for post in life.posts) == 1


@pytest.mark.parametrize("base", ["SPOT", "PERP"])
def test_absurd_price_would_be_an_entry_if_accepted(life: Life, base: str) -> None:
    """The faults are no straw men: without the guard, ten times the price opens a trade."""
    case = next(case for case in CASES if case.base == base)
    at = moment(ABSURD)
    perp, spot = read(life.datadir, case.pair), read(life.datadir, case.spot)
    (perp if base == "PERP" else spot).loc[lambda frame: frame["date"] == at, "close"] *= 10
    spot_close, fraction = spot_premium(perp, spot)
    columns = threshold_columns(
        perp, fraction, spot_close, THRESHOLDS, max_stale_candles=PLAN.stale
    )
    unguarded = pd.DataFrame({**columns, "close": perp["close"], "premium": fraction})
    entries = entry_signals(unguarded, THRESHOLDS).loc[perp["date"] == at]
    assert entries[["enter_short", "enter_long"]].to_numpy().any()
    assert not life.seen(case).loc[ABSURD, ["enter_short", "enter_long"]].any()


def row(life: Life, case: Case) -> list[str]:
    """Return what happened in a case, from what the bot recorded, traded and logged."""
    trades, wanted = life.traded(case), life.backtested(case)
    orders = [candle + 1 for candle in case.lasts]
    entered = sum(trade.opened in orders for trade in trades)
    backtested = sum(trade.opened in orders for trade in wanted)
    different = life.different(case)
    last = max([*different, *case.lasts])
    if not case.recovers:
        afterwards = "no spot pair any more"
    else:
        back = next(c for c in life.seen(case).index if c > max([BEGIN - 1, *different]))
        delay = max(0, back - case.lasts[-1] - 1)
        afterwards = f"from candle {delay + 1} on, {PLAN.candles - last - 1} candles"
    good = set(different) <= set(case.blind) and not life.baseless(case)
    return [
        *(case.title, str(len([c for c in case.lasts if c >= 0])), f"{entered} ({backtested})"),
        *(position_story(life, case), str(len(life.told(case))), str(life.noise(case))),
        *(afterwards, "as it must be" if good else "NOT as it must be"),
    ]


def position_story(life: Life, case: Case) -> str:
    open_before = [trade for trade in life.traded(case) if trade.opened <= BEGIN]
    if case.lasts[0] < BEGIN or not open_before:
        return "none"
    trade = open_before[-1]
    if trade.closed is None:
        return "open to the end, as in the backtest"
    story = f"closed after {trade.closed - BEGIN} candles: {trade.reason}"
    if trade in life.backtested(case):
        return f"{story}, as in the backtest"
    closed = [other.closed for other in life.backtested(case) if other.opened == trade.opened]
    return f"{story}; backtest after {closed[0] - BEGIN}" if closed and closed[0] else story


@pytest.mark.skipif(not FULL, reason="writes what a full run found: make test-live")
def test_findings_are_published(life: Life) -> None:
    rows = [row(life, case) for case in CASES]
    assert {cells[-1] for cells in rows} == {"as it must be"}
    begun = "One bot, one pair for each fault, candles of 5 minutes; freqtrade's warnings count "
    begun += f"those that name the pair. Stale rule: {PLAN.stale} candles.\n\n"
    publish("faults", begun + table(HEADER, rows))


def test_every_fault_has_a_row_in_the_published_table() -> None:
    text = published("faults")
    if not text:
        pytest.skip("no full run has been published yet: make test-live")
    for case in candle_cases(FULL_PLAN):
        assert f"| {case.title} |" in text
