"""Slippage and fees of the same trades, and the time in which two can be compared."""

from pathlib import Path

import pandas as pd
import pytest
from support.bot_record import (
    CANDLE,
    OTHER,
    PAIR,
    SETTINGS,
    at,
    locks,
    orders,
    trades,
    with_config,
)

from perp_imbalance.errors import DataError
from perp_imbalance.reconcile import BotLog, BotRecord, Lock, Reconciliation, ledger
from perp_imbalance.reconcile.ledger import changed_settings, costs, made_late, reconcile
from perp_imbalance.reconcile.span import check_timeframe, span_of
from perp_imbalance.rehearsal import Comparison, Plan
from perp_imbalance.rehearsal.comparison import matched


@pytest.mark.parametrize(("is_short", "sign"), [(False, 1), (True, -1)])
def test_slippage_is_positive_where_the_bot_pays_more(is_short: bool, sign: int) -> None:
    tested = trades({"is_short": is_short}, {"open_date": at(20), "close_date": at(22)})
    bot = trades(
        {
            "is_short": int(is_short),
            "open_rate": 100.0 * (1 + sign * 3e-4),
            "close_rate": 101.0 * (1 - sign * 2e-4),
            "fee_open": 0.0002,
            "open_date": at(12.01),
        }
    )
    found = costs(bot, tested, CANDLE)
    assert found == pytest.approx(
        {"entry slippage": 3.0, "exit slippage": 2.0, "fees, bot": 7.0, "fees, backtest": 10.0}
    )


def test_exit_in_another_candle_does_not_count_as_slippage() -> None:
    found = costs(trades({"close_date": at(16), "close_rate": 50.0}), trades({}), CANDLE)
    assert "exit slippage" not in found
    assert costs(trades({"open_date": at(13)}), trades({}), CANDLE) == {}


@pytest.mark.parametrize(
    ("started", "first", "start"),
    [
        # A signal may be entered for a minute.
        (at(9.01), at(12), at(9)),
        (at(9.5), at(12), at(10)),
        # What it entered, it must have been able to enter.
        (at(9.5), at(9.75), at(9)),
        (None, at(12.01), at(12)),
    ],
)
def test_comparison_begins_with_the_bots_first_possible_entry(
    started: pd.Timestamp | None, first: pd.Timestamp, start: pd.Timestamp
) -> None:
    starts = (started,) if started else ()
    record = BotRecord(trades({"open_date": first}), orders(), locks(), starts=starts)
    assert span_of(record, BotLog(), CANDLE, at(20, 9))[0] == start


@pytest.mark.parametrize(
    ("log", "last", "end"),
    [
        (BotLog(), at(20, 9), at(18)),
        (BotLog(looks=(at(19),)), at(20, 9), at(19)),
        (BotLog(), at(16), at(16) - pd.Timedelta(seconds=1)),
    ],
)
def test_comparison_ends_with_traces_or_candles(
    log: BotLog, last: pd.Timestamp, end: pd.Timestamp
) -> None:
    record = BotRecord(trades({}), orders(), locks(), traces=(at(12), at(18)))
    assert span_of(record, log, CANDLE, last)[1] == end


def test_candles_that_end_before_the_bot_are_refused() -> None:
    with pytest.raises(DataError, match="the bot traded from 2025-03-01 12:00 on"):
        span_of(BotRecord(trades({}), orders(), locks()), BotLog(), CANDLE, at(3))


def test_trades_of_other_pairs_do_not_count_as_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ledger, "backtest", lambda plan, candle: trades({}))
    monkeypatch.setattr(ledger, "price_range", lambda plan: lambda *_: (0.0, 1000.0))
    config = {"exchange": {"pair_whitelist": [PAIR]}}
    plan = Plan(config, tmp_path, tmp_path, at(0).to_pydatetime(), at(24).to_pydatetime())
    record = BotRecord(trades({}, {"pair": OTHER}), orders(), locks())
    found = reconcile(record, BotLog(), plan, CANDLE, SETTINGS)
    assert found.comparison.differences == []
    assert found.live_trades == 1


def test_settings_of_matched_trades_are_compared_with_the_config() -> None:
    """A trade of another leverage opens and closes as the backtest's: only its profit differs."""
    bot = trades({}, {"open_date": at(20)}, {"open_date": at(22)})
    stored = {1: with_config(stake_amount=50), 2: {**SETTINGS, "version": "0.2.9"}}
    record = BotRecord(bot, orders(), locks(), settings=stored)
    found = changed_settings(bot, record, with_config(stake_amount=100))
    assert found == {"stake_amount was 50, is 100": 1}


@pytest.mark.parametrize(
    ("locked", "changed", "rest", "fine"),
    [
        (None, {}, 0.0, True),
        (None, {}, 30.0, False),
        (None, {"leverage was 2, is 1": 1}, 30.0, True),
        ("2025-03-01 00:00:00", {"leverage was 2, is 1": 1}, 30.0, False),
        ("2025-03-01 00:00:00", {}, 0.0, True),
    ],
)
def test_profit_without_a_cause_is_not_fine(
    locked: str | None, changed: dict[str, int], rest: float, fine: bool
) -> None:
    """A locked band judges no trades of other settings, either."""
    comparison = Comparison(1, 1, largest_rest_bps=rest)
    found = Reconciliation(
        *(at(0), at(20), comparison, {}, None, 0, None), locked=locked, changed=changed
    )
    assert found.is_fine is fine


def test_band_locked_after_trades_gets_a_note() -> None:
    bot = trades({}, {"open_date": at(20)})

    def lock(made: str) -> Lock:
        return Lock({}, [], "", [], 1, made)

    assert made_late(bot, lock("2025-03-01 11:00:00")) == []
    assert made_late(bot, None) == []
    (note,) = made_late(bot, lock("2025-03-01 13:00:00"))
    assert note.startswith("1 of 2 trades were opened before the band was locked")


@pytest.mark.parametrize(
    ("minutes", "is_refused"), [([60.0], True), ([240, None], False), ([60, 240], False)]
)
def test_bot_of_another_timeframe_is_refused(minutes: list[float], is_refused: bool) -> None:
    bot = trades(*({"timeframe": each} for each in minutes))
    record = BotRecord(bot, orders(), locks())
    if not is_refused:
        check_timeframe(record, "4h")
        return
    with pytest.raises(DataError, match="candles of 60 minutes, and the timeframe is 4h: name"):
        check_timeframe(record, "4h")


def test_bot_without_a_stored_timeframe_is_compared() -> None:
    check_timeframe(BotRecord(trades({}), orders(), locks()), "4h")


def test_costs_are_those_of_the_trades_that_are_compared() -> None:
    """A second entry in one candle is a trade of its own, which the backtest does not have."""
    bot = trades({"open_rate": 100.1}, {"open_date": at(12.5), "open_rate": 150.0})
    tested = trades({})
    assert costs(bot, tested, CANDLE)["entry slippage"] == pytest.approx(10.0)
    assert len(matched(bot, tested, CANDLE)) == 1
