"""``perp-imbalance reconcile``: databases of bots that lived through trouble, beside a backtest."""

import json
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.freqtrade import ROOT, SAMPLE_PAIRS, refused
from support.rehearsal import live, sample_plan

from perp_imbalance.cli.main import run
from perp_imbalance.reconcile import ledger
from perp_imbalance.rehearsal import Plan
from perp_imbalance.rehearsal.backtested import backtest

pytestmark = pytest.mark.freqtrade

START = datetime(2025, 9, 18, 0, 0, 1, tzinfo=UTC)
NAME = "PerpImbalanceAggressive"
Reconcile = Callable[..., tuple[int, dict[str, Any]]]


def lived(
    datadir: Path, folder: Path, *parts: tuple[int, int, Mapping[str, Any]], **choices: Any
) -> Plan:
    """Let a bot live from hour to hour, each time with settings of its own."""
    for begin, end, settings in parts:
        hours = (START + timedelta(hours=hour) for hour in (begin, end))
        plan = sample_plan(datadir, folder, *hours, settings=settings, strategy=NAME, **choices)
        live(plan)
    return plan


@pytest.fixture(scope="module")
def stopped(sample_datadir: Path, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A bot that entered longs only, was down for half a day, and entered both sides then."""
    longs: dict[str, Any] = {"perp_imbalance": {"sides": ["long"]}}
    folder = tmp_path_factory.mktemp("stopped")
    return lived(sample_datadir, folder, (0, 12, longs), (24, 30, {}))


@pytest.fixture(scope="module")
def narrow(sample_datadir: Path, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A bot with one slot, whose orders stand at its own side of the book."""
    settings = {"max_open_trades": 1, "entry_pricing": {"price_side": "same"}}
    return lived(
        *(sample_datadir, tmp_path_factory.mktemp("narrow"), (0, 30, settings)),
        looks=(1.0, 901.0, 1801.0),
        walk=True,
    )


@pytest.fixture(scope="module")
def remembered() -> Callable[..., pd.DataFrame]:
    """freqtrade's backtest, run once for each time."""
    known: dict[Any, pd.DataFrame] = {}

    def once(plan: Plan, candle: timedelta) -> pd.DataFrame:
        span = (plan.start, plan.end)
        if span not in known:
            known[span] = backtest(plan, candle)
        return known[span].copy()

    return once


@pytest.fixture
def reconcile(
    folder: Path,
    sample_datadir: Path,
    remembered: Callable[..., pd.DataFrame],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Reconcile:
    """Run the command in a folder with the shipped config, and return its code and JSON."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(ledger, "backtest", remembered)
    own = {"strategy_path": str(ROOT / "strategies"), "exchange": {"pair_whitelist": SAMPLE_PAIRS}}
    (folder / "own.json").write_text(json.dumps(own), encoding="utf-8")

    def command(*options: str | Path) -> tuple[int, dict[str, Any]]:
        config = ["-c", "config.json", "-c", "own.json", "--strategy", NAME]
        with pytest.raises(SystemExit) as left:
            run(
                [
                    *("reconcile", *config, "--datadir", str(sample_datadir), "--json"),
                    *map(str, options),
                ]
            )
        printed = capsys.readouterr()
        assert left.value.code != 2, printed.err
        return int(str(left.value.code)), json.loads(printed.out)

    return command


def causes(told: Mapping[str, Any]) -> dict[tuple[str, str], str | None]:
    """Return the cause of each difference by its kind and pair with its candle."""
    return {
        (each["kind"], f"{each['pair'].partition('/')[0]} {each['time'][5:16]}"): each["cause"]
        for each in told["comparison"]["differences"]
    }


@pytest.mark.parametrize(
    ("has_log", "down"),
    [
        (True, "bot down: the log has no line of this candle"),
        (False, "bot down: started at 2025-09-19 00:00, without a trace since 2025-09-18 12:00"),
    ],
)
def test_downtime_and_changed_settings_of_a_bot_are_reported(
    has_log: bool, down: str, stopped: Plan, reconcile: Reconcile
) -> None:
    log = ["--logfile", stopped.log] if has_log else []
    code, told = reconcile("--db", f"sqlite:///{stopped.database}", *log)
    sides = 'changed settings: sides was ["long"], is ["long", "short"]'
    assert causes(told) == {
        ("missed", "ETH 09-18 03:00"): f"{sides} (trade of 2025-09-18 03:00)",
        ("exit", "ETH 09-18 12:00"): down,
        ("missed", "BTC 09-18 13:00"): down,
        ("missed", "BTC 09-18 19:00"): down,
        ("missed", "1000PEPE 09-18 19:00"): down,
    }
    comparison = told["comparison"]
    assert comparison["entries"] == comparison["bot_trades"] == comparison["backtest_trades"] - 4
    assert told["costs_bps"]["fees, bot"] == pytest.approx(10.0)
    # The order book is one tick wide.
    assert 0 < told["costs_bps"]["entry slippage"] < 0.1
    assert abs(comparison["profit_bps"]["rest"]) < 0.1
    assert code == int(not told["is_fine"])
    assert bool(told["notes"]) is not has_log


def test_full_slots_and_unfilled_orders_are_reported(narrow: Plan, reconcile: Reconcile) -> None:
    _, told = reconcile("--db", f"sqlite:///{narrow.database}", "--logfile", narrow.log)
    found = list(causes(told).values())
    full = "no slot: 1 of 1 taken, max_open_trades is 3 now"
    assert found.count(full) >= 2
    assert sum(str(cause).startswith("order not filled, placed 2025-09-1") for cause in found) >= 2
    assert None not in found
    # What is not filled is no entry.
    assert told["comparison"]["bot_trades"] == told["comparison"]["entries"]


def test_forced_trades_are_reported_and_unknown_ones_stay(
    stopped: Plan, reconcile: Reconcile, tmp_path: Path
) -> None:
    database = tmp_path / "forced.sqlite"
    for file in stopped.folder.glob("rehearsal.sqlite*"):
        shutil.copy(file, tmp_path / file.name.replace("rehearsal", "forced"))
    with closing(sqlite3.connect(database)) as store:
        number, opened, pair = store.execute(
            "select id, open_date, pair from trades where is_short order by open_date desc"
        ).fetchone()
        earlier = pd.Timestamp(opened) - pd.Timedelta(hours=1)
        store.execute(
            "update trades set enter_tag = 'force_entry', open_date = ? where id = ?",
            [str(earlier), number],
        )
        store.commit()
    found = causes(reconcile("--db", f"sqlite:///{database}", "--logfile", stopped.log)[1])
    assert found["extra", f"{pair.partition('/')[0]} {earlier:%m-%d %H:%M}"] == "forced by hand"
    missed = f"{pair.partition('/')[0]} {pd.Timestamp(opened):%m-%d %H:%M}"
    assert str(found["missed", missed]).startswith("the bot still held its position")


def test_band_is_locked_before_and_refused_for_another_config(
    stopped: Plan,
    reconcile: Reconcile,
    sample_datadir: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, lock = reconcile("--lock", "band.json", "--timerange", "20250911-20250918")
    assert len(lock["profits_bps"]) >= 20
    assert lock["timerange"] == "20250911-20250918"
    written = Path("band.json").read_text("utf-8")
    database = ["--db", f"sqlite:///{stopped.database}", "--lock", "band.json"]
    _, told = reconcile(*database)
    assert told["locked"] == lock["made"]
    # The trades of this bot are older.
    assert any("before the band was locked" in note for note in told["notes"])
    assert told["band"]["trades"] == len(lock["profits_bps"])
    assert told["band"]["drawn"] == told["live_trades"]
    assert told["is_inside"] is (told["band"]["low"] <= told["live_bps"] <= told["band"]["high"])
    assert Path("band.json").read_text("utf-8") == written
    own = json.loads(Path("own.json").read_text("utf-8"))
    Path("own.json").write_text(json.dumps({**own, "max_open_trades": 2}), encoding="utf-8")
    options = [*database, "-c", "config.json", "-c", "own.json", "--strategy", NAME]
    message = refused([*options, "--datadir", str(sample_datadir)], capsys, "reconcile")
    assert "band.json was locked with another config (max_open_trades was 3, is 2)" in message
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "needs --db"),
        (["--db", "{db}"], "user_data/data/binance has no candles"),
        (["--db", "sqlite:///nowhere.sqlite", "--datadir", "{data}"], "no database nowhere.sqlite"),
        (["--db", "{db}", "--datadir", "nowhere"], "no folder nowhere"),
        (["--db", "{db}", "--datadir", "{data}", "--lock", "band.json"], "there is no band.json"),
        (["--lock", "config.json", "--datadir", "{data}"], "config.json exists already"),
        (
            ["--db", "{db}", "--datadir", "{data}", "--strategy", "PerpImbalance"],
            "has no trades of",
        ),
        (["--db", "{db}", "--datadir", "{data}", "--logfile", "own.json"], "no line of a candle"),
        (["--db", "{db}", "--datadir", "{data}", "--timerange", "20200101-20200201"], "nothing to"),
        (["--db", "{db}", "--datadir", "{short}"], "must reach back to 2025-08-29"),
    ],
)
def test_what_cannot_be_reconciled_is_refused_in_one_line(
    options: list[str],
    said: str,
    stopped: Plan,
    reconcile: Reconcile,
    sample_datadir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "{short}" in options:
        shutil.copytree(sample_datadir, tmp_path / "short")
        for file in (tmp_path / "short").rglob("*-1h-*.feather"):
            candles = pd.read_feather(file)
            candles[candles["date"] >= "2025-09-10"].reset_index(drop=True).to_feather(file)
    names = {"db": f"sqlite:///{stopped.database}", "data": sample_datadir}
    named = [option.format(**names, short=tmp_path / "short") for option in options]
    named = ["-c", "config.json", "-c", "own.json", "--strategy", NAME, *named]
    message = refused(named, capsys, "reconcile")
    assert said in message
    assert message.strip().count("\n") == 0
