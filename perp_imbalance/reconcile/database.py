"""What a bot's database tells: trades, orders, locks, what was stored at entries, signs of life."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pandas as pd
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from perp_imbalance.errors import DataError
from perp_imbalance.files import temporary_folder
from perp_imbalance.strategy.stored_entry import SETTINGS_KEY, SIGNAL_KEY

_TABLES = ("trades", "orders", "pairlocks", "trade_custom_data", "KeyValueStore", "wallet_history")
# What is read of those without which it is no database of freqtrade's, and which older ones lack.
_NEEDED = {
    "trades": (
        *("id", "pair", "strategy", "is_open", "is_short", "open_date", "close_date", "open_rate"),
        *("close_rate", "fee_open", "fee_close", "stake_amount", "close_profit", "enter_tag"),
        *("exit_reason", "funding_fees"),
    ),
    "orders": ("ft_trade_id", "ft_order_side", "status", "filled", "order_date"),
    "pairlocks": ("pair", "side", "reason", "lock_time", "lock_end_time"),
}
# When freqtrade writes down the wallet of a day.
_WALLET_TIME = pd.Timedelta(minutes=7)


class Unfilled(NamedTuple):
    """An entry of which nothing was filled.

    :ivar removed: when it was taken back; None where it is still open
    """

    pair: str
    is_short: bool
    placed: pd.Timestamp
    removed: pd.Timestamp | None = None


@dataclass(frozen=True)
class BotRecord:
    """What a database has of one strategy.

    :ivar trades: freqtrade's table, times in UTC; those of which anything was filled
    :ivar orders: freqtrade's table
    :ivar locks: freqtrade's ``pairlocks``
    :ivar signals: by trade, what was seen at its entry
    :ivar settings: by trade, what was set at its entry
    :ivar starts: when the bot is known to have been started, in order
    :ivar unfilled: entries of which nothing is filled yet
    :ivar traces: every moment at which it is known to have been running, in order
    """

    trades: pd.DataFrame
    orders: pd.DataFrame
    locks: pd.DataFrame
    signals: dict[int, dict[str, Any]] = field(default_factory=dict)
    settings: dict[int, dict[str, Any]] = field(default_factory=dict)
    starts: tuple[pd.Timestamp, ...] = ()
    traces: tuple[pd.Timestamp, ...] = ()
    unfilled: tuple[Unfilled, ...] = ()


def read_record(url: str, strategy: str) -> BotRecord:
    """Return what a bot's database tells of a strategy; nothing is written to it.

    :param url: SQLAlchemy's, such as ``sqlite:///tradesv3.sqlite``
    :param strategy: whose trades to take
    :raises DataError: if there is no such database, none of freqtrade's, or no trade of it
    """
    shown = _shown(url)
    with _connection(url, shown) as connection:
        existing = set(inspect(connection).get_table_names())
        if lacking := [name for name in _NEEDED if name not in existing]:
            raise DataError(
                f"{shown} is not a freqtrade database: it has no table {', '.join(lacking)}"
            )
        tables = {
            name: _read(connection, name) if name in existing else pd.DataFrame()
            for name in _TABLES
        }
    for name, columns in _NEEDED.items():
        if absent := [column for column in columns if column not in tables[name]]:
            raise DataError(
                f"{shown} is of an older freqtrade: its table {name} has no {', '.join(absent)}; "
                "start this freqtrade once with a copy of it, which brings that up to date"
            )
    trades = tables["trades"]
    if trades.empty:
        raise DataError(f"{shown} has no trades: nothing to reconcile yet")
    own = trades[trades["strategy"] == strategy].reset_index(drop=True)
    if own.empty:
        others = ", ".join(sorted(set(trades["strategy"].dropna())))
        raise DataError(
            f"{shown} has no trades of {strategy}, but of {others}: name the bot's with --strategy"
        )
    own, unfilled = _filled(own, tables["orders"])
    if own.empty:
        raise DataError(f"{shown} has no trade of {strategy} that was filled: nothing to reconcile")
    custom = _custom(tables["trade_custom_data"])
    starts = _starts(tables["KeyValueStore"], custom.get(SETTINGS_KEY, {}))
    # A database may have those of other strategies, too.
    signals, settings = (
        {trade: value for trade, value in custom.get(key, {}).items() if trade in set(own["id"])}
        for key in (SIGNAL_KEY, SETTINGS_KEY)
    )
    return BotRecord(
        own,
        tables["orders"],
        tables["pairlocks"],
        signals,
        settings,
        tuple(starts),
        tuple(_traces(tables, starts)),
        unfilled,
    )


def _filled(
    trades: pd.DataFrame, orders: pd.DataFrame
) -> tuple[pd.DataFrame, tuple[Unfilled, ...]]:
    """Return the trades that have begun, and the orders of those that have not."""
    is_short = trades.set_index("id")["is_short"].astype(bool)
    sides = orders["ft_trade_id"].map(is_short).map({True: "sell", False: "buy"})
    entries = orders[orders["ft_order_side"] == sides]
    filled = entries["filled"].fillna(0).groupby(entries["ft_trade_id"]).sum()
    empty = set(filled.index[filled == 0]) & set(trades.loc[trades["is_open"].astype(bool), "id"])
    waiting = trades[trades["id"].isin(empty)]
    entered = waiting[["pair", "is_short", "open_date"]].astype({"is_short": bool})
    unfilled = entered.itertuples(index=False, name=None)
    begun = trades[~trades["id"].isin(empty)].reset_index(drop=True)
    return begun, tuple(Unfilled(*each) for each in unfilled)


@contextmanager
def _connection(url: str, shown: str) -> Iterator[Connection]:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise DataError(
            f"{shown} is no URL of a database: write it as freqtrade's db_url, such as "
            "sqlite:///tradesv3.sqlite"
        ) from None
    try:
        with _readable(parsed) as readable:
            engine = create_engine(readable)
            if engine.dialect.name == "postgresql":
                engine = engine.execution_options(postgresql_readonly=True)
            try:
                with engine.connect() as connection:
                    yield connection
            finally:
                engine.dispose()
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise DataError(f"{shown} cannot be opened: {error}") from None
    except DBAPIError as error:
        said = str(error.orig).splitlines()[0]
        raise DataError(f"{shown} cannot be read as a database: {said}") from None


@contextmanager
def _readable(url: URL) -> Iterator[URL]:
    """Yield a URL by which a database is read without a new file in its folder."""
    if url.get_backend_name() != "sqlite":
        yield url
        return
    if not url.database or url.database == ":memory:":
        raise DataError("sqlite:// is a database in memory, gone with its bot: name one of a file")
    file = Path(url.database)
    if not file.is_file():
        raise DataError(f"there is no database {file}")
    log, index = (file.with_name(f"{file.name}-{end}") for end in ("wal", "shm"))
    if log.exists() and not index.exists():
        # SQLite would write the index into the folder of a running bot's database.
        with temporary_folder() as folder:
            for each in (file, log):
                shutil.copy(each, folder / each.name)
            yield _sqlite(folder / file.name, "mode=rw")
        return
    # Without a log of its own, nobody has a database of that kind open.
    with file.open("rb") as header:
        writes_ahead = header.read(19)[18:] == b"\x02"
    yield _sqlite(file, "immutable=1" if writes_ahead and not log.exists() else "mode=ro")


def _sqlite(file: Path, how: str) -> URL:
    # Not from text, whose quotes SQLAlchemy would take away before SQLite reads them.
    name, value = how.split("=")
    return URL.create(
        "sqlite", database=f"file:{quote(str(file.absolute()))}", query={name: value, "uri": "true"}
    )


def _shown(url: str) -> str:
    """Return a URL without its password."""
    try:
        # A driver takes passwords among its options, too.
        return make_url(url).set(query={}).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return "what --db names" if "@" in url else url


def _read(connection: Connection, name: str) -> pd.DataFrame:
    quoted = connection.dialect.identifier_preparer.quote(name)
    frame = pd.read_sql(text(f"select * from {quoted}"), connection)
    for column in frame.columns:
        if column.endswith(("_date", "_time", "_at", "datetime_value")) or column == "timestamp":
            try:
                frame[column] = pd.to_datetime(frame[column], utc=True, format="mixed")
            except ValueError as error:
                raise DataError(f"{column} of the table {name} holds no time: {error}") from None
    return frame


def _custom(stored: pd.DataFrame) -> dict[str, dict[int, dict[str, Any]]]:
    """Return what was stored at entries by key and trade; what is no JSON object is left out."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for row in stored.to_dict("records"):
        if row["cd_key"] in (SIGNAL_KEY, SETTINGS_KEY):
            try:
                value = json.loads(row["cd_value"])
            except ValueError:
                continue
            if not isinstance(value, dict):
                continue
            found.setdefault(row["cd_key"], {})[int(row["ft_trade_id"])] = value
    return found


def _starts(store: pd.DataFrame, settings: dict[int, dict[str, Any]]) -> list[pd.Timestamp]:
    told = pd.Series([one.get("started") for one in settings.values()], dtype=object)
    starts = set(pd.to_datetime(told, utc=True, format="ISO8601", errors="coerce").dropna())
    if len(store):
        is_start = store["key"].isin(["bot_start_time", "startup_time"])
        starts |= set(store.loc[is_start, "datetime_value"].dropna())
    return sorted(starts)


def _traces(tables: dict[str, pd.DataFrame], starts: list[pd.Timestamp]) -> list[pd.Timestamp]:
    found = set(starts)
    for name, columns in {
        "trades": ("open_date", "close_date"),
        "orders": ("order_date", "order_filled_date", "order_update_date"),
        "pairlocks": ("lock_time",),
        "trade_custom_data": ("created_at", "updated_at"),
    }.items():
        for column in columns:
            if column in tables[name]:
                found |= set(tables[name][column].dropna())
    if "timestamp" in tables["wallet_history"]:
        # The first days are made up when a database is new.
        days = set(tables["wallet_history"]["timestamp"].dropna() + _WALLET_TIME)
        found |= {day for day in days if starts and day > starts[0]}
    return sorted(found)
