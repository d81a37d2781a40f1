"""A bot that only sends messages tells of every flip and crossing of a market once.

``make test-live`` has 100 pairs and 24 hours, the short run fewer of both.
"""

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from support.many_pairs import START, many_pairs
from support.parity import HOUR, PRESET, expected_columns
from support.rehearsal import live, messages_in, sample_plan
from support.reliability import FULL, publish, table

from perp_imbalance.rehearsal import read_table
from perp_imbalance.strategy.alerts import (
    TITLES,
    Alert,
    CrossingAlert,
    crossing_alert,
    flip_alert,
    market_message,
    messages,
)

pytestmark = pytest.mark.freqtrade

PAIRS, CANDLES = (100, 24) if FULL else (24, 10)
DEVIATION = CrossingAlert(kind="deviation", level=8.0, cooldown_candles=6)
PREMIUM = CrossingAlert(kind="premium", level=0.1, cooldown_candles=4)
MARKET = CrossingAlert(kind="market", level=20.0, cooldown_candles=3)
RULES = [DEVIATION, PREMIUM, MARKET]
# The bot is ended and started again within this candle.
RESTART = CANDLES // 2
# Telegram takes about as many a minute.
MOST_A_MINUTE = 20


class Life(NamedTuple):
    """What a bot has told, and what a backtest has of its candles."""

    messages: list[str]
    log: str
    database: Path
    expected: pd.DataFrame


@pytest.fixture(scope="module")
def life(sample_datadir: Path, tmp_path_factory: pytest.TempPathFactory) -> Life:
    folder = tmp_path_factory.mktemp("alerts")
    datadir = folder / "binance"
    spots = many_pairs(sample_datadir, datadir, PAIRS)
    section = {
        "alert_only": True,
        "log_candles": False,
        "alerts": [*TITLES, *(rule.model_dump(exclude_unset=True) for rule in RULES)],
    }
    for begin, end in [(0.0, RESTART + 0.3), (RESTART + 0.4, CANDLES + 0.1)]:
        plan = sample_plan(
            *(datadir, folder, moment(begin), moment(end)),
            settings={"perp_imbalance": section, "exchange": {"pair_whitelist": list(spots)}},
            stage="support.many_pairs:VolumeListStage",
            options={"number_assets": PAIRS},
        )
        live(plan)
    log = plan.log.read_text("utf-8")
    return Life(messages_in(log), log, plan.database, expected_columns(datadir, spots))


def moment(hours: float) -> datetime:
    """Return a time so many hours after the start, when the exchange has opened its candle."""
    return START + timedelta(hours=hours, seconds=1)


def crosses(values: npt.NDArray[np.float64], rule: CrossingAlert) -> int:
    """Return the side of the level that the last value is the first beyond, or 0."""
    *before, last = values[-1 - rule.cooldown_candles :]
    side = int(np.sign(last))
    if not side * last >= rule.level or any(side * value >= rule.level for value in before):
        return 0
    return side


def told_of(columns: pd.DataFrame, candle: pd.Timestamp) -> list[str]:
    """Return what a bot has to tell of a candle, from the columns of a backtest."""
    found: list[Alert | None] = []
    for name, rows in columns[columns["date"] <= candle].groupby("pair"):
        pair, last = str(name), rows.iloc[-1].to_dict()
        found.append(flip_alert(rows, pair=pair, preset=PRESET, kinds=TITLES))
        for rule in (DEVIATION, PREMIUM):
            if side := crosses(rows[rule.column].to_numpy(), rule):
                found.append(crossing_alert(rule, side, pair, last))
    wanted = messages(filter(None, found))
    since = candle - MARKET.cooldown_candles * HOUR
    near = columns[columns["date"].between(since, candle)]
    counts = near.groupby("date")["deviation_bps"].agg(
        known="count", beyond=lambda column: (column <= -10).sum()
    )
    if crosses((100 * counts["beyond"] / counts["known"]).to_numpy(), MARKET) == 1:
        last = counts.iloc[-1]
        wanted.append(market_message(MARKET, int(last["beyond"]), int(last["known"])))
    return wanted


@pytest.fixture(scope="module")
def wanted(life: Life) -> dict[pd.Timestamp, list[str]]:
    """What is to be told by candle, of each that closed while the bot was running."""
    candles = pd.date_range(START, periods=CANDLES, freq="1h")
    return {candle: told_of(life.expected, candle) for candle in candles}


def test_every_flip_and_crossing_is_reported_once(
    life: Life, wanted: dict[pd.Timestamp, list[str]]
) -> None:
    all_wanted = [message for told in wanted.values() for message in told]
    assert sorted(life.messages) == sorted(all_wanted)
    assert max(map(len, wanted.values())) <= MOST_A_MINUTE
    assert max(map(len, all_wanted)) < 2000


@pytest.mark.parametrize(
    "title",
    [
        *TITLES.values(),
        *(f"{kind} {side}" for kind in ("Deviation", "Premium") for side in ("above", "below")),
        "Market above",
    ],
)
def test_every_kind_of_alert_comes_up(life: Life, title: str) -> None:
    assert any(message.startswith(title) for message in life.messages)


def test_many_pairs_of_one_look_share_a_message(life: Life) -> None:
    assert any(" pairs: " in message for message in life.messages)


def test_alert_only_bot_has_its_pairs_and_no_trade(life: Life) -> None:
    assert f"Whitelist with {PAIRS} pairs" in life.log
    assert read_table(life.database, "trades").empty
    assert " - ERROR - " not in life.log


def test_findings_are_published(life: Life, wanted: dict[pd.Timestamp, list[str]]) -> None:
    all_wanted = Counter(message for told in wanted.values() for message in told)
    found = Counter(life.messages)
    rows = [
        ["pairs of the VolumePairList", str(PAIRS)],
        ["candles of 1h, with a restart in the middle", str(CANDLES)],
        ["messages that the columns of a backtest ask for", str(all_wanted.total())],
        ["of them lost", str((all_wanted - found).total())],
        ["messages repeated, or not asked for", str((found - all_wanted).total())],
        ["of all messages, those of several pairs", str(sum(" pairs: " in m for m in found))],
        ["most messages of one look", str(max(map(len, wanted.values())))],
        ["characters of the longest", str(max(map(len, found)))],
    ]
    publish("alerts", table(["what", "found"], rows))
