"""Each difference between bot and backtest gets the cause that database and log show, or none."""

from dataclasses import replace
from typing import Any

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

from perp_imbalance.reconcile import BotLog, BotRecord
from perp_imbalance.reconcile.causes import Causes
from perp_imbalance.reconcile.database import Unfilled
from perp_imbalance.rehearsal import Difference

SEEN = "z +0.80, premium +0.010 %, deviation +1.0 bps, bias none, no entry: no bias"
LATE = "z +0.80, premium unknown, deviation unknown, bias none, no entry: no bias"
NO_SPOT = "late candle: the bot had no spot price of it"
CHANGED = "changed settings: enter_z was 2.2, is 1.7"
UNFILLED = Unfilled(PAIR, False, at(12.01), at(12.2))
OLDER = {**SETTINGS, "thresholds": {"enter_z": 2.2}}
# Trades around the candle in question, 12:00, of a bot that took part in nothing then.
AROUND = trades(
    {"open_date": at(2), "close_date": at(4)}, {"open_date": at(20), "close_date": at(22)}
)
HELD = "still held its position of 2025-03-01 09:00"
NO_LOG = BotLog()
LOOKS = tuple(at(hour) for hour in range(24))


def record(bot: pd.DataFrame = AROUND, **parts: Any) -> BotRecord:
    return replace(BotRecord(bot, orders(), locks()), **parts)


def cause(
    kind: str, found: BotRecord, log: BotLog = NO_LOG, backtest: pd.DataFrame | None = None
) -> str | None:
    tested = trades({}) if backtest is None else backtest
    causes = Causes(found, log, tested, SETTINGS, CANDLE)
    difference = Difference(kind, PAIR, "long", at(12), "", "")
    return causes.explained(difference).cause


@pytest.mark.parametrize("kind", ["missed", "late"])
@pytest.mark.parametrize(
    ("parts", "log", "said"),
    [
        ({}, NO_LOG, None),
        ({}, BotLog(looks=LOOKS), None),
        ({}, BotLog(looks=LOOKS[:12] + LOOKS[13:]), "bot down: the log has no line"),
        # Looked at much later than a signal may be entered.
        (
            {},
            BotLog(looks=(*LOOKS[:12], at(12.4), *LOOKS[13:])),
            "bot down: the log has no line",
        ),
        (
            {"starts": (at(0), at(15)), "traces": (at(0), at(4), at(15), at(20))},
            NO_LOG,
            "bot down: started at 2025-03-01 15:00, without a trace since 2025-03-01 04:00",
        ),
        # It did something in between, so when it was down is not known.
        (
            {"starts": (at(0), at(15)), "traces": (at(0), at(4), at(13), at(15))},
            NO_LOG,
            None,
        ),
        # The log knows better than the database.
        (
            {"starts": (at(0), at(15)), "traces": (at(0), at(4), at(15), at(20))},
            BotLog(looks=LOOKS),
            None,
        ),
        (
            {},
            BotLog(looks=LOOKS, unfilled=(UNFILLED,)),
            "order not filled, placed",
        ),
        (
            {"unfilled": (UNFILLED,)},
            NO_LOG,
            "order not filled, placed",
        ),
        ({}, BotLog(unfilled=(Unfilled(PAIR, True, at(12.01), at(12.2)),)), None),
        (
            {},
            BotLog(unfilled=tuple(Unfilled(pair, False, at(12.01), at(12.2)) for pair in "XY")),
            "no slot: 2 of 2 taken",
        ),
        (
            {},
            BotLog(unfilled=tuple(Unfilled(pair, False, at(11.5), at(12)) for pair in "XY")),
            None,
        ),
        (
            {"locks": locks((PAIR, "long", "its signal is 900 seconds old", 12.2, 13))},
            NO_LOG,
            "late candle: its signal is 900 seconds old",
        ),
        (
            {"locks": locks(("*", "*", "MaxDrawdown", 10, 20))},
            NO_LOG,
            "locked: MaxDrawdown",
        ),
        ({"locks": locks((PAIR, "short", "StoplossGuard", 10, 20))}, NO_LOG, None),
        ({"locks": locks((PAIR, "long", "StoplossGuard", 10, 12))}, NO_LOG, None),
        (
            {"trades": trades({"open_date": at(9)})},
            NO_LOG,
            f"the bot {HELD}",
        ),
        (
            {
                "trades": trades(
                    {"pair": OTHER, "open_date": at(9)}, {"pair": "X", "open_date": at(8)}
                )
            },
            NO_LOG,
            "no slot: 2 of 2 taken",
        ),
        (
            {
                "trades": trades({"pair": OTHER, "open_date": at(9)}),
                "settings": {1: with_config(max_open_trades=1)},
            },
            NO_LOG,
            "no slot: 1 of 1 taken, max_open_trades is 2 now",
        ),
        (
            {"settings": {1: OLDER, 2: SETTINGS}},
            NO_LOG,
            CHANGED,
        ),
        (
            {"settings": {1: SETTINGS, 2: OLDER}},
            NO_LOG,
            CHANGED,
        ),
        ({"settings": {1: SETTINGS, 2: SETTINGS}}, NO_LOG, None),
        ({}, BotLog({(PAIR, at(11)): SEEN}), f"the bot saw another candle: {SEEN}"),
        ({}, BotLog({(PAIR, at(11)): LATE}), NO_SPOT),
        ({}, BotLog({(PAIR, at(12)): SEEN}), None),
    ],
)
def test_entry_that_was_missed_has_its_cause(
    kind: str, parts: dict[str, Any], log: BotLog, said: str | None
) -> None:
    found = cause(kind, record(**parts), log)
    assert (found is None) == (said is None)
    assert said is None or str(found).startswith(said)


@pytest.mark.parametrize(
    ("parts", "backtest", "said"),
    [
        ({"trades": trades({"enter_tag": "force_entry"})}, trades(), "forced by hand"),
        # /forceenter may have a tag of its own, but no signal.
        ({"signals": {1: {"signal": None}}}, trades(), "forced by hand"),
        ({"signals": {1: {"signal": "long_zone_z"}}}, trades(), None),
        ({"settings": {1: OLDER}}, trades(), CHANGED),
        (
            {},
            trades({"open_date": at(9)}),
            "the backtest still held its position of 2025-03-01 09:00",
        ),
        (
            {},
            trades({"pair": OTHER, "open_date": at(9)}, {"pair": "X", "open_date": at(9)}),
            "no slot in the backtest: 2 of 2 taken",
        ),
        ({}, trades({"pair": OTHER, "open_date": at(9)}), None),
    ],
)
def test_entry_of_the_bot_alone_has_its_cause(
    parts: dict[str, Any], backtest: pd.DataFrame, said: str | None
) -> None:
    bot = record(**{"trades": trades({}), **parts})
    assert cause("extra", bot, backtest=backtest) == said


@pytest.mark.parametrize(
    ("kind", "parts", "log", "said"),
    [
        ("exit", {"trades": trades({"exit_reason": "force_exit"})}, NO_LOG, "forced by hand"),
        ("tag", {"trades": trades({"enter_tag": "force_entry"})}, NO_LOG, "forced by hand"),
        ("tag", {"settings": {1: OLDER}}, NO_LOG, CHANGED),
        ("tag", {}, NO_LOG, None),
        ("exit", {}, NO_LOG, None),
        ("exit", {}, BotLog(looks=LOOKS[:15] + LOOKS[16:]), "bot down: the log has no line"),
        (
            "exit",
            {"orders": orders({"order_date": at(15.01)})},
            NO_LOG,
            "exit order not filled, placed 2025-03-01 15:00",
        ),
        ("exit", {"orders": orders({"order_date": at(13)})}, NO_LOG, None),
        (
            "exit",
            {},
            BotLog({(PAIR, at(14)): LATE}),
            NO_SPOT,
        ),
        (
            "exit",
            {"trades": trades({"exit_reason": "liquidation"})},
            NO_LOG,
            "closed by the exchange: liquidation",
        ),
    ],
)
def test_other_tag_or_end_has_its_cause(
    kind: str, parts: dict[str, Any], log: BotLog, said: str | None
) -> None:
    bot = {"trades": trades({"close_date": at(17)}), **parts}
    found = cause(kind, record(**bot), log)
    assert (found is None) == (said is None)
    assert said is None or str(found).startswith(said)


def test_known_cause_stays_where_nothing_shows_another() -> None:
    difference = Difference("missed", PAIR, "long", at(12), "", "", "known")
    known = Causes(record(), NO_LOG, trades(), SETTINGS, CANDLE).explained(difference)
    assert known.cause == "known"
    down = Causes(record(), BotLog(looks=LOOKS[:12] + LOOKS[13:]), trades(), SETTINGS, CANDLE)
    assert str(down.explained(difference).cause).startswith("bot down")
