"""Slippage and fees of the same trades, and the time in which two can be compared."""

from pathlib import Path

import pandas as pd
import pytest
from support.bot_record import CANDLE, OTHER, PAIR, SETTINGS, at, locks, orders, trades

from perp_imbalance.errors import DataError
from perp_imbalance.reconcile import BotLog, BotRecord, ledger
from perp_imbalance.reconcile.ledger import costs, reconcile
from perp_imbalance.reconcile.span import span_of
from perp_imbalance.rehearsal import Plan


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


def test_exit_in_another_candle_is_no_slippage() -> None:
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
def test_comparison_begins_with_what_the_bot_could_enter(
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


def test_trades_of_pairs_that_were_not_asked_for_are_no_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ledger, "backtest", lambda plan, candle: trades({}))
    config = {"exchange": {"pair_whitelist": [PAIR]}}
    plan = Plan(config, tmp_path, tmp_path, at(0).to_pydatetime(), at(24).to_pydatetime())
    record = BotRecord(trades({}, {"pair": OTHER}), orders(), locks())
    found = reconcile(record, BotLog(), plan, CANDLE, SETTINGS)
    assert found.comparison.differences == []
    assert found.live_trades == 1
