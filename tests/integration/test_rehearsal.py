"""A rehearsal is the same to the byte whatever the machine does, and fails in one line."""

import asyncio
import random
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from ccxt import RequestTimeout
from freqtrade import worker
from freqtrade.exceptions import DDosProtection
from freqtrade.exchange import common, exchange
from support.rehearsal import live, sample_plan
from support.stages import faulty

from perp_imbalance.errors import BridgeError, RehearsalError
from perp_imbalance.freqtrade_bridge.internals import RunningBot, running_bot
from perp_imbalance.rehearsal import Plan, even_looks, read_table, rehearse
from perp_imbalance.rehearsal import run as starting
from perp_imbalance.rehearsal.child import fix_chance, step_clock, take_time_for_answers
from perp_imbalance.rehearsal.clock import SteppedClock
from perp_imbalance.rehearsal.stage import Stage
from perp_imbalance.replay.overlay import ANSWER_HEADER
from perp_imbalance.replay.testing import LateCandles

pytestmark = pytest.mark.freqtrade

# In this time the sample market's spot pairs have an outage of six hours, and funding is charged.
START = datetime(2025, 3, 2, 19, 0, 1, tzinfo=UTC)
CANDLES = 18
# What of a log differs from process to process.
VOLATILE = r"PID=\d+|\S*/[\w./-]+|127\.0\.0\.1:\d+"


def lived(
    datadir: Path,
    folder: Path,
    start: datetime = START,
    looks: tuple[float, ...] = (1.0, 1801.0),
    **choices: Any,
) -> dict[str, Any]:
    """Return everything that a bot leaves behind."""
    folder.mkdir()
    end = start + timedelta(hours=CANDLES)
    plan = sample_plan(datadir, folder, start, end, looks=looks, walk=True, **choices)
    records = live(plan).read_text("utf-8")
    with closing(sqlite3.connect(plan.database)) as store:
        # SQLAlchemy makes indexes in the order of a set.
        dump = [line for line in store.iterdump() if line.startswith("INSERT")]
    log = re.sub(VOLATILE, "", plan.log.read_text("utf-8"))
    return {"records": records, "database": dump, "log": log, "trades": plan.database}


@pytest.fixture
def busy_machine() -> Iterator[None]:
    """Keep both cores and a third process busy."""
    workers = [
        subprocess.Popen([sys.executable, "-c", "while True: sum(range(10**6))"]) for _ in range(3)
    ]
    try:
        yield
    finally:
        for each in workers:
            each.kill()
            each.wait()


@pytest.fixture(scope="module")
def first(sample_datadir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return lived(sample_datadir, tmp_path_factory.mktemp("rehearsal") / "first")


def test_busy_machine_changes_no_byte_of_a_rehearsal(
    first: dict[str, Any], sample_datadir: Path, tmp_path: Path, busy_machine: None
) -> None:
    for name, least in (("trades", 2), ("orders", 3), ("pairlocks", 1)):
        assert len(read_table(first["trades"], name)) >= least
    again = lived(sample_datadir, tmp_path / "again")
    for name in ("records", "database", "log"):
        assert again[name] == first[name], name


def test_shortcuts_change_no_byte_of_what_a_bot_does(
    first: dict[str, Any], sample_datadir: Path, tmp_path: Path
) -> None:
    whole = lived(sample_datadir, tmp_path / "whole", shortcuts=False)
    for name in ("records", "database"):
        assert whole[name] == first[name], name


def test_shortcuts_change_no_byte_where_stops_end_positions(
    sample_datadir: Path, tmp_path: Path
) -> None:
    """Six looks a candle, most of them while a position is open."""
    short, whole = (
        lived(
            *(sample_datadir, tmp_path / name, datetime(2025, 9, 18, 0, 0, 1, tzinfo=UTC)),
            looks=tuple(even_looks(6, 3600)),
            # So near that candles of the sample market reach it.
            settings={"stoploss": -0.01},
            shortcuts=name == "short",
        )
        for name in ("short", "whole")
    )
    assert "stoploss_on_exchange" in set(read_table(short["trades"], "trades")["exit_reason"])
    for name in ("records", "database"):
        assert whole[name] == short[name], name


def test_rehearsal_reports_its_looks(sample_datadir: Path, tmp_path: Path) -> None:
    end, told = START + timedelta(hours=1), list[int]()
    plan = sample_plan(sample_datadir, tmp_path, START, end, strategy="PerpImbalance")
    rehearse(plan, tell=told.append)
    assert told == sorted(told)
    assert {0} <= set(told) <= {0, 1, 2}


def test_back_off_moves_the_clock_without_waiting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """freqtrade waits 1, 2 and 5 seconds where an exchange refuses three requests in a row."""
    # Put back at the end of the test.
    monkeypatch.setattr(common, "asyncio", common.asyncio)
    moments: list[datetime] = []

    @common.retrier_async  # type: ignore[untyped-decorator]
    async def ask(api: Any) -> None:
        moments.append(datetime.now(UTC))
        if len(moments) <= 3:
            raise DDosProtection("slow down")

    with SteppedClock(START) as clock:
        bot = RunningBot(SimpleNamespace(), common, *[SimpleNamespace()] * 6)
        plan = Plan({}, tmp_path, tmp_path, START, START)
        step_clock(bot, clock, plan, Stage(plan), BytesIO())
        asyncio.run(ask(SimpleNamespace(name="Binance")))
    assert [(moment - START).total_seconds() for moment in moments] == [0, 1, 3, 8]


def test_requests_go_out_one_at_a_time_in_order(tmp_path: Path) -> None:
    class Client:
        busy = False
        sent: ClassVar[list[int]] = []

        async def fetch(self, number: int) -> int:
            assert not self.busy
            self.busy = True
            for _ in range(9 - number):
                await asyncio.sleep(0)
            self.busy = False
            self.sent.append(number)
            return number

    async def ask() -> list[int]:
        client = Client()
        return await asyncio.gather(*(client.fetch(number) for number in range(9)))

    state = random.getstate()
    bot = RunningBot(None, None, Client, None, SimpleNamespace(), *[None] * 3)
    fix_chance(bot, Plan({}, tmp_path, tmp_path, START, START))
    random.setstate(state)
    assert asyncio.run(ask()) == Client.sent == list(range(9))


@pytest.mark.parametrize(
    ("takes", "passed", "given_up"),
    [(None, 0, 0), (4, 4, 0), (10, 10, 3), (150, 10, 3)],
    ids=["at once", "late", "just too late", "silence"],
)
def test_slow_answers_time_out_on_the_bots_clock(
    takes: float | None, passed: float, given_up: int, tmp_path: Path
) -> None:
    """Three requests that are sent together wait together, ten seconds at most."""

    class Receiver:
        id = "binance"

        def on_rest_response(self, code: int, reason: str, *answer: Any) -> str:
            return str(answer[3])

    class Client(Receiver):
        async def fetch(self, url: str) -> Any:
            await asyncio.sleep(0)
            headers = {} if takes is None else {ANSWER_HEADER: str(takes)}
            return self.on_rest_response(200, "OK", url, "GET", headers, "{}")

    async def ask() -> list[Any]:
        client = Client()
        return await asyncio.gather(*map(client.fetch, "abc"), return_exceptions=True)

    bot = RunningBot(None, None, Client, Receiver, SimpleNamespace(), *[None] * 3)
    plan = Plan({"exchange": {"ccxt_config": {}}}, tmp_path, tmp_path, START, START)
    state = random.getstate()
    with SteppedClock(START) as clock:
        fix_chance(bot, plan)
        take_time_for_answers(bot, clock, plan)
        answers = asyncio.run(ask())
        assert datetime.now(UTC) == START + timedelta(seconds=passed)
    random.setstate(state)
    assert [type(answer) for answer in answers].count(RequestTimeout) == given_up
    assert answers.count("{}") == 3 - given_up


def test_restarts_and_seeds_have_order_ids_of_their_own(tmp_path: Path) -> None:
    def first_id(seed: int, start: datetime) -> Any:
        client = SimpleNamespace(fetch=None)
        bot = RunningBot(None, None, client, None, SimpleNamespace(), *[None] * 3)
        fix_chance(bot, Plan({}, tmp_path, tmp_path, start, start, seed=seed))
        return bot.exchange.uuid4()

    state = random.getstate()
    plans = [(1, START), (1, START), (2, START), (1, START + timedelta(hours=1))]
    ids = [first_id(*plan) for plan in plans]
    random.setstate(state)
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert ids[0].version == 4


def test_hashes_and_timezone_of_the_bot_are_fixed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "random")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    code = "import os, sys; sys.exit(f\"{os.environ['TZ']} {hash('a')}\")"
    monkeypatch.setattr(starting, "CHILD", ("-c", code))
    plan = Plan({}, tmp_path, tmp_path, START, START)
    said = []
    for _ in range(2):
        with pytest.raises(RehearsalError) as ended:
            rehearse(plan)
        said.append(str(ended.value))
    assert said == [f"UTC {said[0].split()[1]}"] * 2


@pytest.mark.parametrize(
    ("part", "name"),
    [(worker.Worker, "_sleep"), (common, "asyncio"), (exchange, "uuid4")],
)
def test_freqtrade_without_an_inner_name_is_refused(
    part: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    running_bot()
    monkeypatch.delattr(part, name)
    with pytest.raises(BridgeError, match=rf"^freqtrade \S+ lacks \S+\.{name}, .*txt"):
        running_bot()


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        ("Nowhere", "^Impossible to load Strategy 'Nowhere'"),
        ("Quitter", "^the bot stopped itself: no pairs any more"),
    ],
)
def test_bot_that_stops_itself_is_reported_in_one_line(
    strategy: str, said: str, sample_datadir: Path, tmp_path: Path
) -> None:
    plan = sample_plan(sample_datadir, tmp_path, START, START, strategy=strategy)
    with pytest.raises(RehearsalError, match=said) as refused:
        live(plan)
    assert "\n" not in str(refused.value)
    assert "Traceback" not in str(refused.value)


def test_stage_is_called_at_every_look_and_at_the_end(sample_datadir: Path, tmp_path: Path) -> None:
    end = START + timedelta(hours=1)
    plan = sample_plan(
        *(sample_datadir, tmp_path, START, end),
        looks=(1.0, 1801.0),
        stage="support.stages:NotingStage",
        options=faulty([LateCandles(pair="BTC/USDT", seconds=1)]),
    )
    live(plan)
    looks = [f"{(START + timedelta(minutes=30 * look)).timestamp():.0f}" for look in range(3)]
    assert (tmp_path / "looks.txt").read_text("utf-8").split() == [*looks, "end"]


def test_stage_that_does_not_exist_is_told_in_one_line(
    sample_datadir: Path, tmp_path: Path
) -> None:
    plan = sample_plan(sample_datadir, tmp_path, START, START, stage="support.stages:Nothing")
    with pytest.raises(RehearsalError, match=r"^no stage support\.stages:Nothing to rehearse on"):
        live(plan)


def test_folder_without_candles_is_told_in_one_line(tmp_path: Path) -> None:
    plan = sample_plan(tmp_path / "nothing", tmp_path, START, START)
    with pytest.raises(RehearsalError, match=f"there is no folder {tmp_path}/nothing") as refused:
        live(plan)
    assert "\n" not in str(refused.value)
