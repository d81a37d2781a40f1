"""Read and store freqtrade's backtest result files: trades, wallets, market and settings."""

import json
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Annotated, Any, Literal
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, is_zipfile

import pandas as pd
from freqtrade.configuration import TimeRange
from freqtrade.constants import LAST_BT_RESULT_FN
from freqtrade.data.btanalysis import (
    get_backtest_wallet_change,
    get_latest_backtest_filename,
    load_backtest_stats,
    load_file_from_zip,
)
from freqtrade.exceptions import FreqtradeException
from pydantic import BaseModel, Field, ValidationError

from perp_imbalance.errors import CommandError, DataError
from perp_imbalance.files import atomic_write_text
from perp_imbalance.freqtrade_bridge.logs import silent_logs
from perp_imbalance.strategy.settings import SECTION

_DATES = ("open_date", "close_date")

# Errors that a file which is not a result may raise, whatever its content.
_UNREADABLE = (
    *(ValueError, LookupError, TypeError, AttributeError, ArithmeticError, OSError, EOFError),
    *(RecursionError, RuntimeError, BadZipFile, zlib.error, FreqtradeException),
)

# A result may come from somebody else: a file larger than any backtest's is not unpacked.
_MOST_BYTES = 512 * 2**20
_MOST_TIMES = 200
_SMALL_BYTES = 16 * 2**20

#: Config entries that are read from a result: those of strategy and candles. Entries that name
#: a file, a network or code are ignored.
_TAKEN = (
    *("timeframe", "trading_mode", "margin_mode", "stake_currency", "stake_amount"),
    *("max_open_trades", "dry_run_wallet", "tradable_balance_ratio", "fee", "dataformat_ohlcv"),
    *("minimal_roi", "stoploss", "trailing_stop", "trailing_stop_positive", "use_exit_signal"),
    *("trailing_stop_positive_offset", "trailing_only_offset_is_reached", "entry_pricing"),
    *("exit_pricing", "exit_profit_only", "ignore_roi_if_entry_signal", "enable_protections"),
    SECTION,
)

_Text = Annotated[str, Field(max_length=200)]
_Flag = Annotated[bool, Field(strict=True)]
_Number = Annotated[float, Field(strict=True)]
_Amount = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1e15, le=1e15)]
_Price = Annotated[_Amount, Field(gt=0)]
# 2009, the year of the first coin, to 2100; in ms.
_FIRST, _LAST = 1_230_768_000_000, 4_102_444_800_000
_Moment = Annotated[int, Field(strict=True, ge=_FIRST, le=_LAST)]


class _Order(BaseModel):
    amount: _Amount
    safe_price: _Amount
    ft_is_entry: _Flag


class _Trade(BaseModel):
    pair: _Text
    is_short: _Flag
    open_date: _Text
    close_date: _Text
    open_rate: _Price
    close_rate: _Price
    amount: _Amount
    stake_amount: _Price
    fee_open: _Amount
    fee_close: _Amount
    funding_fees: _Amount
    profit_abs: _Amount
    profit_ratio: _Amount
    exit_reason: _Text
    enter_tag: _Text | None
    orders: list[_Order]


class _WalletStats(BaseModel):
    sharpe: _Number


class _Stats(BaseModel):
    """The entries that are read from freqtrade's figures of a strategy."""

    trades: list[_Trade]
    timeframe: Annotated[str, Field(pattern=r"^[1-9]\d?[mhdw]$")]
    timerange: _Text | None = None
    backtest_start_ts: _Moment
    backtest_end_ts: _Moment
    pairlist: Annotated[list[_Text], Field(min_length=1)]
    starting_balance: _Price
    market_change: _Number
    winrate: _Amount
    profit_total: _Amount
    profit_total_abs: _Amount
    profit_factor: _Number
    max_drawdown_account: _Amount
    sharpe: _Number
    wallet_stats: _WalletStats = _WalletStats(sharpe=0.0)


class _Exchange(BaseModel):
    name: _Text
    pair_whitelist: list[_Text] = []
    pair_blacklist: list[_Text] = []


class _Config(BaseModel):
    """The entries that are read from a result's config in addition to ``_TAKEN``.

    :ivar datadir: the folder of the candles, which is only read.
    """

    exchange: _Exchange
    datadir: str | None = None
    dataformat_ohlcv: Literal["json", "jsongz", "feather", "parquet"] = "feather"


class _Parameters(BaseModel):
    params: dict[str, dict[str, str | int | float | bool | None]]


@dataclass(frozen=True)
class Outcome:
    """The backtest result of one strategy.

    :ivar trades: freqtrade's trades.
    :ivar stats: freqtrade's own figures.
    :ivar equity: the balance at each candle, or after each closed trade if the result file has no
        balances.
    :ivar parameters: the parameter file that the strategy used; None if it used none.
    """

    strategy: str
    trades: pd.DataFrame
    stats: Mapping[str, Any]
    equity: "pd.Series[float]"
    parameters: str | None


@dataclass(frozen=True)
class Result:
    """A backtest of one or more strategies on the same candles.

    :ivar config: the settings of the run that are safe to use: none names files, network or code.
    """

    file: Path
    config: Mapping[str, Any]
    outcomes: tuple[Outcome, ...]

    @property
    def timeframe(self) -> str:
        """The timeframe of the backtest."""
        return str(self.outcomes[0].stats["timeframe"])

    @property
    def span(self) -> tuple[pd.Timestamp, pd.Timestamp]:
        """Open times of the first and the last candle."""
        stats = self.outcomes[0].stats
        return tuple(  # type: ignore[return-value]
            pd.Timestamp(stats[f"backtest_{name}_ts"], unit="ms", tz="UTC")
            for name in ("start", "end")
        )


def newest_result(folder: Path) -> Path:
    """Return the result file that freqtrade wrote last.

    :raises CommandError: if there is no result file.
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
    """Yield a temporary folder for one run: freqtrade names results by the second, which may clash.

    :param folder: the folder of all results, to which :func:`keep_result` moves the run's result.
    :raises CommandError: if the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix=".perp-imbalance-", dir=folder)
    except OSError as error:
        raise CommandError(f"{folder} cannot be written: {error.strerror}") from None
    with scratch as name:
        yield Path(name)


def keep_result(scratch: Path, folder: Path) -> Path | None:
    """Move a run's result to the folder of results as the newest; None if the run wrote none.

    :param scratch: the folder to which freqtrade wrote, see :func:`scratch_results`.
    :param folder: the folder of all results.
    """
    if not (scratch / LAST_BT_RESULT_FN).is_file():
        return None
    written = newest_result(scratch)
    stem = _claimed(folder, written.stem)
    # Written before the result itself, which is complete only with this file.
    for file in sorted(scratch.glob(f"{written.stem}*"), key=lambda file: file == written):
        if file == written and stem != written.stem:
            _rename_members(file, written.stem, stem)
        file.replace(folder / (stem + file.name.removeprefix(written.stem)))
    kept = folder / f"{stem}{written.suffix}"
    newest = json.dumps({"latest_backtest": kept.name})
    atomic_write_text(folder / LAST_BT_RESULT_FN, newest)
    return kept


def _claimed(folder: Path, stem: str) -> str:
    """Return an unused result name; an empty file reserves it against other runs."""
    for number in count(1):
        name = stem if number == 1 else f"{stem}-{number}"
        try:
            (folder / f"{name}.zip").touch(exist_ok=False)
        except FileExistsError:
            continue
        return name
    raise AssertionError("counting does not end")


def _rename_members(file: Path, stem: str, name: str) -> None:
    """Rename the files inside a result archive: freqtrade finds them by the archive's name."""
    part = file.with_suffix(".part")
    with ZipFile(file) as before, ZipFile(part, "w", ZIP_DEFLATED) as after:
        for member in before.namelist():
            after.writestr(name + member.removeprefix(stem), before.read(member))
    part.replace(file)


def read_result(file: Path) -> Result:
    """Return the content of a result file.

    :raises DataError: if the file is not a result, or contains a strategy name that is not a valid
        class name: file names are made from it.
    """
    if not file.is_file():
        raise DataError(f"there is no result file {file}")
    nothing = DataError(f"{file} is not a result of freqtrade's backtesting, which is a .zip")
    if not is_zipfile(file):
        raise nothing
    try:
        with ZipFile(file) as archive:
            _check_size(file, archive)
            if not {f"{file.stem}.json", f"{file.stem}_config.json"} <= set(archive.namelist()):
                raise nothing
        # Hide freqtrade's log of missing files; the error below reports them.
        with silent_logs():
            stats = load_backtest_stats(file)["strategy"]
            if not stats:
                raise nothing
            config = _taken(json.loads(load_file_from_zip(file, f"{file.stem}_config.json")))
            outcomes = tuple(_outcome(file, name, found) for name, found in stats.items())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(f"{nothing}: {place}: {first['msg']}") from None
    except _UNREADABLE:
        raise nothing from None
    for name in stats:
        if not name.isidentifier():
            raise DataError(f"{file} names a strategy {name!r}, which is not a valid class name")
    return Result(file, config, outcomes)


def _check_size(file: Path, archive: ZipFile) -> None:
    """Raise if the unpacked file would be far larger than any backtest's.

    :raises DataError: naming the file.
    """
    entries = archive.infolist()
    packed = sum(entry.file_size for entry in entries) > _MOST_BYTES or any(
        entry.file_size > max(_SMALL_BYTES, _MOST_TIMES * entry.compress_size) for entry in entries
    )
    if packed:
        raise DataError(f"{file} unpacks to more than any result of a backtest: it is not read")


def _taken(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the safe entries of a result's config; the result may come from somebody else."""
    kept = {name: config[name] for name in _TAKEN if name in config}
    # Entries that freqtrade requires to read a config.
    kept |= {"dry_run": True, "pairlists": [{"method": "StaticPairList"}]}
    return kept | _Config.model_validate(config).model_dump(exclude_none=True)


def _outcome(file: Path, strategy: str, given: Mapping[str, Any]) -> Outcome:
    known = _Stats.model_validate(given).model_dump(exclude_unset=True, exclude={"trades"})
    stats = {**given, **known}
    if not stats["backtest_start_ts"] < stats["backtest_end_ts"]:
        raise ValueError
    TimeRange.parse_timerange(stats.get("timerange"))
    trades = pd.DataFrame(stats["trades"])
    for name in _DATES if len(trades) else ():
        trades[name] = pd.to_datetime(trades[name], format="ISO8601", utc=True)
        first, last = (pd.Timestamp(moment, unit="ms", tz="UTC") for moment in (_FIRST, _LAST))
        if not trades[name].between(first, last).all():
            raise ValueError
    wallet = get_backtest_wallet_change(file, strategy)
    if wallet is not None and len(wallet):
        equity = wallet.groupby("date")["total_quote"].sum().astype(float)
    elif len(trades):
        profits = trades.groupby("close_date")["profit_abs"].sum()
        equity = profits.cumsum() + float(stats["starting_balance"])
    else:
        equity = pd.Series(dtype=float)
    return Outcome(strategy, trades, stats, equity, _parameters(file, strategy))


def _parameters(file: Path, strategy: str) -> str | None:
    name = f"{file.stem}_{strategy}.json"
    with ZipFile(file) as archive:
        if name not in archive.namelist():
            return None
        text = archive.read(name).decode("utf-8")
    _Parameters.model_validate(json.loads(text))
    return text
