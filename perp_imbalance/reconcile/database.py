"""Read a bot's database: trades, orders, locks, values stored at entries, times it was running."""

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
# Columns of freqtrade's tables that are required, and those that older versions lack.
_NEEDED = {
    "trades": (
        *("id", "pair", "strategy", "is_open", "is_short", "open_date", "close_date", "open_rate"),
        *("close_rate", "fee_open", "fee_close", "stake_amount", "close_profit", "enter_tag"),
        *("exit_reason", "funding_fees"),
    ),
    "orders": ("ft_trade_id", "ft_order_side", "status", "filled", "order_date"),
    "pairlocks": ("pair", "side", "reason", "lock_time", "lock_end_time"),
}
# The time of day at which freqtrade records the wallet.
_WALLET_TIME = pd.Timedelta(minutes=7)


class Unfilled(NamedTuple):
    """An entry order without any fill.

    :ivar removed: when the order was cancelled; None while it is open
    """

    pair: str
    is_short: bool
    placed: pd.Timestamp
    removed: pd.Timestamp | None = None


@dataclass(frozen=True)
class BotRecord:
    """The records of one strategy in a bot's database.

    :ivar trades: freqtrade's table of trades with a fill, times in UTC
    :ivar orders: freqtrade's table
    :ivar locks: freqtrade's ``pairlocks``
    :ivar signals: signal values stored at the entry, by trade
    :ivar settings: settings stored at the entry, by trade
    :ivar starts: known start times of the bot, in order
    :ivar unfilled: entry orders without any fill yet
    :ivar traces: all times at which the bot is known to have been running, in order
    """

    trades: pd.DataFrame
    orders: pd.DataFrame
    locks: pd.DataFrame
    signals: dict[int, dict[str, Any]] = field(default_factory=dict)
    settings: dict[int, dict[str, Any]] = field(default_factory=dict)
    starts: tuple[pd.Timestamp, ...] = ()
    traces: tuple[pd.Timestamp, ...] = ()
    unfilled: tuple[Unfilled, ...] = ()


def read_record(url: str, strategy: str, *, is_named: bool = True) -> BotRecord:
    """Return the records of a strategy from a bot's database, which is opened read-only.

    :param url: SQLAlchemy's, such as ``sqlite:///tradesv3.sqlite``
    :param strategy: the strategy whose trades to read
    :param is_named: whether the user named the strategy
    :raises DataError: if the database does not exist, is not freqtrade's, or has no trade of the
        strategy, or if it has trades of several strategies and none was named
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
    names = sorted(set(trades["strategy"].dropna()))
    others = ", ".join(names)
    if len(names) > 1 and not is_named:
        raise DataError(f"{shown} has trades of {others}: choose one of them with --strategy")
    if own.empty:
        raise DataError(
            f"{shown} has no trades of {strategy}, but of {others}: name the bot's with --strategy"
        )
    own, unfilled = _filled(own, tables["orders"])
    if own.empty:
        raise DataError(f"{shown} has no trade of {strategy} that was filled: nothing to reconcile")
    custom = _custom(tables["trade_custom_data"])
    starts = _starts(tables["KeyValueStore"], custom.get(SETTINGS_KEY, {}))
    # A database may also contain records of other strategies.
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
    """Return the trades with a fill, and the entry orders without one."""
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
            f"{shown} is not the URL of a database: write it as freqtrade's db_url, such as "
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
    """Yield a URL that opens the database without creating a file in its folder."""
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
        # SQLite would write the index file into the folder of a running bot's database.
        with temporary_folder() as folder:
            for each in (file, log):
                shutil.copy(each, folder / each.name)
            yield _sqlite(folder / file.name, "mode=rw")
        return
    # Without a WAL file, no process has a database in WAL mode open.
    with file.open("rb") as header:
        writes_ahead = header.read(19)[18:] == b"\x02"
    yield _sqlite(file, "immutable=1" if writes_ahead and not log.exists() else "mode=ro")


def _sqlite(file: Path, how: str) -> URL:
    # Built from parts: SQLAlchemy removes quotes from the text of a URL, which SQLite needs.
    name, value = how.split("=")
    return URL.create(
        "sqlite", database=f"file:{quote(str(file.absolute()))}", query={name: value, "uri": "true"}
    )


def _shown(url: str) -> str:
    """Return a URL without its password."""
    try:
        # A driver accepts passwords among its options as well.
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
    """Return the values stored at entries, by key and trade, if they are JSON objects."""
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
        # freqtrade invents the first days when it creates a database.
        days = set(tables["wallet_history"]["timestamp"].dropna() + _WALLET_TIME)
        found |= {day for day in days if starts and day > starts[0]}
    return sorted(found)
