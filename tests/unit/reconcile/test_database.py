"""A bot's database is read whole, also while the bot runs, and nothing is made beside it."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from support.bot_record import PAIR, SETTINGS, at, locks, orders, trades

from perp_imbalance.errors import DataError
from perp_imbalance.reconcile import read_record
from perp_imbalance.reconcile.database import Unfilled

NAME = "PerpImbalance"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    """The database of a bot that runs: its newest rows are in the log beside it."""
    file = tmp_path / "bot.sqlite"
    stored = json.dumps({**SETTINGS, "started": at(3).isoformat()})
    bought = {"ft_order_side": "buy", "filled": 1.0}
    custom = [
        {"ft_trade_id": 1, "cd_key": key, "cd_value": value, "created_at": at(12)}
        for key, value in (("entry_settings", stored), ("entry_signal", "no JSON"))
    ]
    times = [("bot_start_time", at(1)), ("startup_time", at(15)), ("migration", None)]
    both = trades({"strategy": NAME}, {"strategy": NAME, "open_date": at(20), "is_open": True})
    both["close_date"] = pd.NaT
    tables = {
        "orders": orders(*({**bought, "ft_trade_id": number} for number in (1, 2))),
        "pairlocks": locks((PAIR, "*", "StoplossGuard", 17, 18)),
        "trade_custom_data": pd.DataFrame(custom),
        "KeyValueStore": pd.DataFrame(times, columns=["key", "datetime_value"]),
        # The first one is made up by freqtrade when a database is new.
        "wallet_history": pd.DataFrame({"timestamp": [at(0), at(24)]}),
    }
    with closing(sqlite3.connect(file)) as store:
        store.execute("pragma journal_mode = wal")
        for name, table in tables.items():
            table.to_sql(name, store, index=False)
        both[:1].to_sql("trades", store, index=False)
        store.execute("pragma wal_checkpoint(truncate)")
        both[1:].to_sql("trades", store, index=False, if_exists="append")
        yield file


def contents(folder: Path) -> dict[str, bytes]:
    # The index of a database that is open says who reads it.
    return {
        file.name: file.read_bytes() for file in folder.iterdir() if file.suffix != ".sqlite-shm"
    }


def test_running_database_is_read_with_its_newest_rows(running: Path) -> None:
    before = contents(running.parent)
    record = read_record(f"sqlite:///{running}", NAME)
    assert contents(running.parent) == before
    assert list(record.trades["open_date"]) == [at(12), at(20)]
    assert record.starts == (at(1), at(3), at(15))
    wallet = at(24) + pd.Timedelta(minutes=7)
    assert record.traces == (at(1), at(3), at(12), at(15), at(17), at(20), wallet)
    assert list(record.settings) == [1]
    assert record.signals == {}


@pytest.mark.parametrize(
    ("copied", "trades"), [(["bot.sqlite"], 1), (["bot.sqlite", "bot.sqlite-wal"], 2)]
)
def test_copy_of_a_running_database_is_read_and_left_alone(
    running: Path, tmp_path: Path, copied: list[str], trades: int
) -> None:
    folder = tmp_path / "a copy"
    folder.mkdir()
    for name in copied:
        shutil.copy(running.parent / name, folder)
    before = contents(folder)
    assert len(read_record(f"sqlite:///{folder / 'bot.sqlite'}", NAME).trades) == trades
    assert contents(folder) == before
    assert {file.name for file in folder.iterdir()} == set(copied)


def test_database_of_an_odd_name_is_read(running: Path, tmp_path: Path) -> None:
    shutil.copy(running, tmp_path / "one? 100%25.sqlite")
    assert len(read_record(f"sqlite:///{tmp_path}/one%3F 100%2525.sqlite", NAME).trades) == 1


@pytest.mark.parametrize("stored", ["[1]", '"text"', '{"started": "once"}', '{"started": null}'])
def test_foreign_stored_values_of_a_trade_are_ignored(stored: str, running: Path) -> None:
    with closing(sqlite3.connect(running)) as store:
        store.execute("update trade_custom_data set cd_value = ?", [stored])
        store.commit()
    assert read_record(f"sqlite:///{running}", NAME).starts == (at(1), at(15))


def test_values_stored_by_another_strategy_are_ignored(running: Path) -> None:
    with closing(sqlite3.connect(running)) as store:
        store.execute("update trades set strategy = 'Other' where id = 1")
        store.commit()
    record = read_record(f"sqlite:///{running}", NAME)
    assert list(record.trades["id"]) == [2]
    assert record.settings == {}


def test_unfilled_order_is_not_a_trade(running: Path) -> None:
    with closing(sqlite3.connect(running)) as store:
        store.execute("update orders set filled = 0 where ft_trade_id = 2")
        store.commit()
    record = read_record(f"sqlite:///{running}", NAME)
    assert list(record.trades["id"]) == [1]
    assert record.unfilled == (Unfilled(PAIR, False, at(20)),)


@pytest.mark.parametrize(
    ("url", "change", "said"),
    [
        ("sqlite:///{folder}/nothing.sqlite", None, "there is no database {folder}/nothing.sqlite"),
        ("sqlite://", None, "in memory"),
        ("bot.sqlite", None, "bot.sqlite is not the URL of a database"),
        ("nosuch://user:word@host/x", None, "nosuch://user:***@host/x cannot be opened"),
        ("nosuch://host/x?password=word", None, "nosuch://host/x cannot be opened"),
        ("nosuch://user:word@host:port/x", None, "what --db names is not the URL of a database"),
        ("nosuch:/user:word@host/x", None, "what --db names is not the URL of a database"),
        (
            "sqlite:///{file}",
            "alter table trades drop column funding_fees",
            "is of an older freqtrade: its table trades has no funding_fees",
        ),
        ("sqlite:///{file}", "update trades set open_date = 'once'", "open_date of the table"),
        ("sqlite:///{file}", "drop table pairlocks", "it has no table pairlocks"),
        ("sqlite:///{file}", "delete from trades", "has no trades"),
        ("sqlite:///{file}", "update trades set strategy = 'Mine'", "no trades of PerpImbalance, "),
        (
            "sqlite:///{file}",
            "update trades set is_open = 1; update orders set filled = 0",
            "that was filled",
        ),
        ("sqlite:///{text}", None, "cannot be read as a database: file is not a database"),
    ],
)
def test_invalid_database_is_refused_in_one_line(
    url: str, change: str | None, said: str, running: Path
) -> None:
    if change:
        with closing(sqlite3.connect(running)) as store:
            store.executescript(change)
            store.commit()
    other = running.parent / "text.sqlite"
    other.write_text("not a database, but long enough to be looked at" * 9)
    names = {"folder": running.parent, "file": running, "text": other}
    with pytest.raises(DataError) as refused:
        read_record(url.format(**names), NAME)
    assert said.format(**names) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "word" not in str(refused.value)


def test_one_of_two_strategies_has_to_be_chosen(running: Path) -> None:
    with closing(sqlite3.connect(running)) as store:
        store.execute("update trades set strategy = 'Other' where id = 2")
        store.commit()
    said = "has trades of Other, PerpImbalance: choose one of them with --strategy"
    with pytest.raises(DataError, match=said):
        read_record(f"sqlite:///{running}", NAME, is_named=False)
    assert len(read_record(f"sqlite:///{running}", NAME).trades) == 1
