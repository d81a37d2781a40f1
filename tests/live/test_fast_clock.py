"""A bot on sockets and a clock that runs by itself: what a stepped clock cannot show.

Which candles it meets depends on the machine. What is tested holds on any of them.
"""

from datetime import UTC, datetime
from itertools import chain, combinations, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from support.live_bot import FastClock, LiveBot, mailbox
from support.parity import COLUMNS, HOUR, PRESET, SIGNALS, SPOTS, expected_columns
from support.rehearsal import logged

from perp_imbalance.rehearsal.run import EXIT_INTERRUPTED
from perp_imbalance.replay import running_replay
from perp_imbalance.strategy.alerts import TITLES, flip_alert, messages

pytestmark = pytest.mark.freqtrade

START = datetime(2025, 9, 17, 17, 2, tzinfo=UTC)
# A candle of an hour lasts four seconds.
SPEED = 900
CANDLES = 3
# After each look, unless less than a minute has passed since the last one.
LOOKS, HEARTBEAT = 4, "Bot heartbeat"
# How often the bot looks for news, in seconds of its own clock.
LOOK_SECONDS = 600
KEY = ["pair", "date"]


class Life(NamedTuple):
    """What the bot did until it had seen some candles of each pair and sent a message."""

    recorded: pd.DataFrame
    messages: list[str]
    log: pd.DataFrame
    exit_code: int | None


@pytest.fixture(scope="module")
def life(sample_datadir: Path, tmp_path_factory: pytest.TempPathFactory) -> Life:
    clock, folder = FastClock(START, SPEED), tmp_path_factory.mktemp("fast")
    with running_replay(sample_datadir, clock=clock) as replay, mailbox() as post:
        settings = {"internals": {"process_throttle_secs": LOOK_SECONDS}}
        bot = LiveBot(folder, clock, replay, {"webhook": post.config(SPEED), **settings})
        messages = folder / "messages.log"

        def has_lived() -> bool:
            seen = bot.recorded().groupby("pair").size()
            if len(seen) < len(SPOTS) or min(seen) < CANDLES or not post.messages:
                return False
            return messages.read_text("utf-8").count(HEARTBEAT) >= LOOKS

        with bot.running() as process:
            bot.wait(process, has_lived)
            text = messages.read_text("utf-8")
        # Of its life alone: freqtrade logs an error where an interrupt cuts off a transaction.
        log = logged(text[: text.rfind("\n") + 1])
        return Life(bot.recorded(), list(post.messages), log, process.returncode)


@pytest.fixture(scope="module")
def expected(sample_datadir: Path) -> pd.DataFrame:
    return expected_columns(sample_datadir)


def test_columns_and_signals_are_those_of_a_backtest(life: Life, expected: pd.DataFrame) -> None:
    names = COLUMNS + SIGNALS
    wanted = life.recorded[KEY].merge(expected, on=KEY, how="left", validate="m:1")[names]
    found = life.recorded[names].to_numpy(float)
    np.testing.assert_allclose(found, wanted.to_numpy(float), rtol=1e-9, atol=1e-9)


def test_messages_of_flips_arrive_once(life: Life, expected: pd.DataFrame) -> None:
    flips = []
    for pair, run in life.recorded.groupby("pair"):
        table, before = expected[expected["pair"] == pair], None
        for date in run["date"]:
            rows = table[table["date"] <= date]
            flip = flip_alert(rows, pair=str(pair), preset=PRESET, kinds=TITLES, before=before)
            flips += [flip] if flip else []
            before = int(rows["bias"].iloc[-1])
    # Which of them the bot meets in one look, and tells in one message, depends on the machine.
    looks = [combinations(flips, size) for size in range(1, len(SPOTS) + 1)]
    wanted = {text for met in chain.from_iterable(looks) for text in messages(met)}
    assert set(life.messages) <= wanted
    assert len(set(life.messages)) == len(life.messages)


def test_bot_waits_between_looks_but_not_past_a_candle(life: Life) -> None:
    """A slow machine makes a look longer, and never a pause shorter."""
    beats = life.log.loc[life.log["text"].str.startswith(HEARTBEAT), "time"]
    assert len(beats) >= LOOKS
    for before, after in pairwise(beats):
        new_candle = after.floor(HOUR) > before.floor(HOUR)
        assert new_candle or after - before >= pd.Timedelta(LOOK_SECONDS - 1, "s")


def test_bot_logs_no_warning_and_ends_when_interrupted(life: Life) -> None:
    assert not life.log["level"].isin(["ERROR", "CRITICAL"]).any()
    assert life.exit_code == EXIT_INTERRUPTED
