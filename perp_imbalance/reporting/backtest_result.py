"""The file that freqtrade leaves of a backtest: its trades, wallets, market and settings."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, is_zipfile

import pandas as pd
from freqtrade.constants import LAST_BT_RESULT_FN
from freqtrade.data.btanalysis import (
    get_backtest_wallet_change,
    get_latest_backtest_filename,
    load_backtest_stats,
    load_file_from_zip,
)

from perp_imbalance.errors import CommandError, DataError
from perp_imbalance.files import atomic_write_text

_DATES = ("open_date", "close_date")


@dataclass(frozen=True)
class Outcome:
    """What a backtest found of one strategy.

    :ivar trades: freqtrade's trades.
    :ivar stats: freqtrade's own figures.
    :ivar equity: the wallet by candle; by closed trade where the file has no wallet.
    :ivar parameters: the parameter file that the strategy traded with, None without one.
    """

    strategy: str
    trades: pd.DataFrame
    stats: Mapping[str, Any]
    equity: "pd.Series[float]"
    parameters: str | None


@dataclass(frozen=True)
class Result:
    """A backtest of one or more strategies on the same candles.

    :ivar config: the settings it was run with, without those of freqtrade's command line.
    """

    file: Path
    config: Mapping[str, Any]
    outcomes: tuple[Outcome, ...]

    @property
    def timeframe(self) -> str:
        """The candles it was run on."""
        return str(self.outcomes[0].stats["timeframe"])

    @property
    def span(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        """When its first candle opened and its last."""
        stats = self.outcomes[0].stats
        return tuple(  # type: ignore[return-value]
            pd.Timestamp(stats[f"backtest_{name}_ts"], unit="ms", tz="UTC")
            for name in ("start", "end")
        )


def newest_result(folder: Path) -> Path:
    """Return the result file that freqtrade wrote last.

    :raises CommandError: if there is none.
    """
    try:
        return folder / str(get_latest_backtest_filename(folder))
    except ValueError:
        raise CommandError(
            f"there is no result of a backtest in {folder}: run perp-imbalance backtest, or name "
            "a result file"
        ) from None


@contextmanager
def scratch_results(folder: Path) -> Iterator[Path]:
    """Yield a folder for the result of one run: freqtrade names results by the second.

    :param folder: where results are kept; :func:`keep_result` moves this one there.
    :raises CommandError: if it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix=".perp-imbalance-", dir=folder)
    except OSError as error:
        raise CommandError(f"{folder} cannot be written: {error.strerror}") from None
    with scratch as name:
        yield Path(name)


def keep_result(scratch: Path, folder: Path) -> Path | None:
    """Move a run's result to the others, as the newest, and return it; None where there is none.

    :param scratch: what freqtrade was told to write to, see :func:`scratch_results`.
    :param folder: where results are kept.
    """
    if not (scratch / LAST_BT_RESULT_FN).is_file():
        return None
    written = newest_result(scratch)
    stem = _claimed(folder, written.stem)
    # Before the result itself, which is complete with it.
    for file in sorted(scratch.glob(f"{written.stem}*"), key=lambda file: file == written):
        if file == written and stem != written.stem:
            _rename_members(file, written.stem, stem)
        file.replace(folder / (stem + file.name.removeprefix(written.stem)))
    kept = folder / f"{stem}{written.suffix}"
    newest = json.dumps({"latest_backtest": kept.name})
    atomic_write_text(folder / LAST_BT_RESULT_FN, newest)
    return kept


def _claimed(folder: Path, stem: str) -> str:
    """Return a name that no result has; an empty file holds it against other runs."""
    for number in count(1):
        name = stem if number == 1 else f"{stem}-{number}"
        try:
            (folder / f"{name}.zip").touch(exist_ok=False)
        except FileExistsError:
            continue
        return name
    raise AssertionError("counting does not end")


def _rename_members(file: Path, stem: str, name: str) -> None:
    """Rename what is in a result: freqtrade finds it by the name of the file."""
    part = file.with_suffix(".part")
    with ZipFile(file) as before, ZipFile(part, "w", ZIP_DEFLATED) as after:
        for member in before.namelist():
            after.writestr(name + member.removeprefix(stem), before.read(member))
    part.replace(file)


def read_result(file: Path) -> Result:
    """Return what a result file holds.

    :raises DataError: if it is none, or holds no trades, or names a strategy as no class can be:
        the name becomes that of a file.
    """
    if not file.is_file():
        raise DataError(f"there is no result file {file}")
    nothing = DataError(f"{file} is no result of freqtrade's backtesting, which is a .zip")
    if not is_zipfile(file):
        raise nothing
    with ZipFile(file) as archive:
        if not {f"{file.stem}.json", f"{file.stem}_config.json"} <= set(archive.namelist()):
            raise nothing
    try:
        stats = load_backtest_stats(file)["strategy"]
        config = json.loads(load_file_from_zip(file, f"{file.stem}_config.json"))
        outcomes = tuple(_outcome(file, name, found) for name, found in stats.items())
    except (ValueError, KeyError, TypeError, OSError):
        raise nothing from None
    for name in stats:
        if not name.isidentifier():
            raise DataError(f"{file} names a strategy {name!r}, which is no name of a class")
    if not any(len(outcome.trades) for outcome in outcomes):
        raise DataError(f"{file} has no trades: there is nothing to report")
    return Result(file, config, outcomes)


def _outcome(file: Path, strategy: str, stats: Mapping[str, Any]) -> Outcome:
    trades = pd.DataFrame(stats["trades"])
    for name in _DATES if len(trades) else ():
        trades[name] = pd.to_datetime(trades[name], utc=True)
    wallet = get_backtest_wallet_change(file, strategy)
    if wallet is not None and len(wallet):
        equity = wallet.groupby("date")["total_quote"].sum()
    elif len(trades):
        profits = trades.groupby("close_date")["profit_abs"].sum()
        equity = profits.cumsum() + float(stats["starting_balance"])
    else:
        equity = pd.Series(dtype=float)
    return Outcome(strategy, trades, stats, equity, _parameters(file, strategy))


def _parameters(file: Path, strategy: str) -> str | None:
    name = f"{file.stem}_{strategy}.json"
    with ZipFile(file) as archive:
        return archive.read(name).decode("utf-8") if name in archive.namelist() else None
