"""A folder of candles in freqtrade's layout: what it has, and its files read and checked.

freqtrade takes a file that it cannot read for one that does not exist, and says so in its log only.
Here such a file is an error that names it.
"""

import logging
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from freqtrade.candle_columns import OHLCV_COLUMNS, get_candle_columns
from freqtrade.constants import AVAILABLE_DATAHANDLERS
from freqtrade.data.history import get_datahandler, load_pair_history
from freqtrade.enums import CandleType, TradingMode
from freqtrade.exchange import timeframe_to_seconds
from freqtrade.misc import pair_to_filename
from pandas import DataFrame, DatetimeIndex, Timestamp
from pyarrow import dataset

from perp_imbalance.errors import DataError

#: Pair, timeframe and type of a series, as freqtrade's data handlers list them.
Key = tuple[str, str, CandleType]

#: The format in which freqtrade reads and writes candles where a config names none.
DEFAULT_FORMAT = "feather"
#: The timeframe under which freqtrade keeps funding rates, and mark prices; it reads no other.
FUNDING_TIMEFRAME = MARK_TIMEFRAME = "1h"
#: The candles that freqtrade takes for mark prices, of exchanges that have none.
MARK_KINDS = {"hyperliquid": CandleType.FUTURES}

# No perpetual and no spot market of a coin is older than this.
_OLDEST = Timestamp("2009-01-01", tz="UTC")
_DOWNLOAD = "delete it, then perp-imbalance download-data brings it anew"
# What pyarrow, pandas and freqtrade raise on a file that is not what its name says.
_READ_ERRORS = (pa.ArrowException, ValueError, TypeError, OSError, EOFError, zlib.error)
_EXTENSIONS = {"feather": "feather", "parquet": "parquet", "json": "json", "jsongz": "json.gz"}


def cost_keys(pair: str, exchange: str = "binance") -> dict[str, Key]:
    """Return what freqtrade's backtest computes funding fees from, by its name in words.

    >>> list(cost_keys("BTC/USDT:USDT"))
    ['funding rates', 'mark prices']
    """
    mark = MARK_KINDS.get(exchange, CandleType.MARK)
    return {
        "funding rates": (pair, FUNDING_TIMEFRAME, CandleType.FUNDING_RATE),
        "mark prices": (pair, MARK_TIMEFRAME, mark),
    }


def not_tradable(pair: str) -> str | None:
    """Say why a contract is not a linear perpetual; None where it is one.

    :param pair: freqtrade's name of it.

    >>> not_tradable("BTC/USDT:USDT-250926")
    'dated contract'
    >>> not_tradable("BTC/USD:BTC")
    'coin-margined'
    """
    _, quote, settle = split_pair(pair)
    if "-" in settle:
        return "dated contract"
    return "coin-margined" if settle != quote else None


def split_pair(pair: str) -> tuple[str, str, str]:
    """Return base, quote and settlement currency of a pair; the last is empty for a spot pair.

    >>> split_pair("1000PEPE/USDT:USDT")
    ('1000PEPE', 'USDT', 'USDT')
    """
    base, _, rest = pair.partition("/")
    quote, _, settle = rest.partition(":")
    return base, quote, settle


def available_candles(datadir: Path) -> dict[Key, list[str]]:
    """Return every series below a folder with the formats in which it is there.

    :raises DataError: where a file name has an unknown candle type.
    """
    found: dict[Key, list[str]] = {}
    for data_format in AVAILABLE_DATAHANDLERS:
        handler = get_datahandler(datadir, data_format)
        for mode in (TradingMode.SPOT, TradingMode.FUTURES):
            try:
                keys = handler.ohlcv_get_available_data(datadir, mode)
            except ValueError as error:
                raise DataError(
                    f"the folder {datadir} has a file whose name freqtrade cannot read: {error}"
                ) from error
            for key in keys:
                if (key[2] == CandleType.SPOT) == (mode == TradingMode.SPOT):
                    found.setdefault(key, []).append(data_format)
    return found


class CandleFolder:
    """The one reader of stored candles.

    :param datadir: folder in freqtrade's layout, freqtrade's ``--datadir``.
    :param data_format: the config's ``dataformat_ohlcv``: a series in another format is refused,
        because freqtrade would not see it. None reads every format.
    :ivar keys: the series that can be read, with their formats.
    :raises DataError: if there is no such folder, or it has no candles in that format.

    >>> CandleFolder(Path("user_data/data/binance")).perps("1h")  # doctest: +SKIP
    ['BTC/USDT:USDT', 'ETH/USDT:USDT']
    """

    def __init__(self, datadir: Path, data_format: str | None = None) -> None:
        if not datadir.is_dir():
            said = f"{datadir} is a file" if datadir.exists() else f"there is no folder {datadir}"
            raise DataError(f"{said}: pass a folder of candles as freqtrade's --datadir")
        self.datadir, self.data_format = datadir, data_format
        self._available = available_candles(datadir)
        self.keys: dict[Key, str] = {}
        for key, formats in sorted(self._available.items()):
            wanted = data_format or (DEFAULT_FORMAT if DEFAULT_FORMAT in formats else formats[-1])
            if wanted in formats:
                self.keys[key] = wanted
        if not self._available:
            raise DataError(
                f"the folder {datadir} has no candles in freqtrade's layout, such as "
                f"BTC_USDT-1h.feather or futures/BTC_USDT_USDT-1h-futures.feather{_hint(datadir)}"
            )
        if not self.keys:
            raise self._wrong_format(next(iter(self._available)))

    @property
    def timeframes(self) -> list[str]:
        """The timeframes on which there is any linear perp, shortest first."""
        found = {
            timeframe
            for pair, timeframe, kind in self._available
            if kind == CandleType.FUTURES and not not_tradable(pair)
        }
        return sorted(found, key=timeframe_to_seconds)

    def contracts(self, timeframe: str) -> list[str]:
        """Return every contract on a timeframe: linear perps and all others, in every format."""
        return sorted(
            pair
            for pair, length, kind in self._available
            if kind == CandleType.FUTURES and length == timeframe
        )

    def perps(self, timeframe: str) -> list[str]:
        """Return the linear perps on a timeframe."""
        return [pair for pair in self.contracts(timeframe) if not not_tradable(pair)]

    def market(self, symbol: str) -> Mapping[str, Any] | None:
        """Stand in for an exchange's list of markets: what the folder has is active."""
        if not any(pair == symbol for pair, _, _ in self._available):
            return None
        base, quote, settle = split_pair(symbol)
        return {"base": base, "quote": quote, "spot": not settle}

    def file(self, pair: str, timeframe: str, kind: CandleType) -> Path:
        """Return the file of a series that is there."""
        data_format = self.keys[pair, timeframe, kind]
        folder, ending = self.datadir, ""
        if kind != CandleType.SPOT:
            folder, ending = folder / "futures", f"-{kind}"
        extension = _EXTENSIONS[data_format]
        # As freqtrade names it: some file systems cannot tell 1M from 1m.
        for length in (timeframe.replace("M", "Mo"), timeframe):
            file = folder / f"{pair_to_filename(pair)}-{length}{ending}.{extension}"
            if file.exists():
                return file
        raise DataError(f"{file} is gone: something else is changing {self.datadir}")

    def read(self, pair: str, timeframe: str, kind: CandleType, *, fill: bool = False) -> DataFrame:
        """Return a series through freqtrade's own reader; without rows where there is no file.

        :param fill: whether freqtrade fills missing candles with flat ones of volume 0, as it does
            in a backtest.
        :raises DataError: if its file is broken, naming file and column and how to mend it, or if
            it is there in another format only.
        """
        key = (pair, timeframe, kind)
        if key not in self.keys:
            if key in self._available:
                raise self._wrong_format(key)
            return DataFrame(columns=get_candle_columns(kind))
        file = self.file(*key)
        check_file(file, self.keys[key], kind)
        try:
            with _silent_reader():
                frame = load_pair_history(
                    pair,
                    timeframe,
                    self.datadir,
                    fill_up_missing=fill,
                    data_format=self.keys[key],
                    candle_type=kind,
                )
        except _READ_ERRORS as error:
            raise _unreadable(file, self.keys[key], error) from None
        if frame.empty:
            raise _unreadable(file, self.keys[key])
        return DataFrame(frame)

    def _wrong_format(self, key: Key) -> DataError:
        """Say that a series has a format that freqtrade is not configured to read."""
        pair, timeframe, kind = key
        found, wanted = self._available[key][0], self.data_format or DEFAULT_FORMAT
        # Named, because freqtrade's command else converts what the config's whitelist has: perps.
        pairs = sorted(
            {
                name
                for (name, _, _), formats in self._available.items()
                if found in formats and wanted not in formats
            }
        )
        return DataError(
            f"{self.datadir} has {pair} {timeframe} {kind} as {found}, and the config's "
            f"dataformat_ohlcv is {wanted}: convert it with freqtrade convert-data --format-from "
            f"{found} --format-to {wanted} --datadir {self.datadir} --pairs {' '.join(pairs)}"
        )


def check_file(file: Path, data_format: str, kind: CandleType) -> None:
    """Raise unless a file holds what freqtrade reads as candles of a type, in order of time.

    :raises DataError: naming file and column, and how to mend it.
    """
    if not file.is_file():
        raise DataError(f"{file} is not a file: move it elsewhere")
    if not file.stat().st_size:
        raise DataError(f"{file} is empty (0 bytes): {_DOWNLOAD}")
    try:
        stored = _stored(file, data_format, kind)
    except _READ_ERRORS as error:
        raise _unreadable(file, data_format, error) from None
    wanted = get_candle_columns(kind)
    lacking = [name for name in wanted if name not in stored.columns]
    if lacking and not (kind == CandleType.FUNDING_RATE and _is_legacy(stored.columns)):
        raise DataError(
            f"{file} has no column {', '.join(lacking)}; freqtrade reads {', '.join(wanted)}: "
            f"rename its columns, or {_DOWNLOAD}"
        )
    _check_dates(file, stored.dates)


@dataclass(frozen=True)
class _Stored:
    """What a file has: the names of its columns, and its dates."""

    columns: Sequence[str]
    dates: "pd.Series[Any] | None"


def _stored(file: Path, data_format: str, kind: CandleType) -> _Stored:
    if data_format in ("feather", "parquet"):
        table = dataset.dataset(file, format=data_format)
        names = table.schema.names
        has_dates = "date" in names
        return _Stored(
            names, table.to_table(columns=["date"])["date"].to_pandas() if has_dates else None
        )
    # Rows of numbers without names: freqtrade goes by their count.
    rows = pd.read_json(file, orient="values")
    names = get_candle_columns(kind)
    if kind == CandleType.FUNDING_RATE and rows.shape[1] == len(OHLCV_COLUMNS):
        names = OHLCV_COLUMNS
    dates = pd.to_datetime(rows[0], unit="ms", utc=True) if rows.size else None
    return _Stored(names[: rows.shape[1]], dates)


def _is_legacy(columns: Sequence[str]) -> bool:
    """Tell whether funding rates are kept as freqtrade did before 2026: as candles."""
    return set(OHLCV_COLUMNS).issubset(columns)


def _check_dates(file: Path, dates: "pd.Series[Any] | None") -> None:
    """Raise unless dates are times in UTC that rise."""
    if dates is None or dates.empty:
        raise DataError(f"{file} holds no candles: {_DOWNLOAD}")
    column = f'{file}, column "date"'
    if not pd.api.types.is_datetime64_any_dtype(dates.dtype):
        raise DataError(
            f"{column} holds {dates.dtype}, not times: write it anew with "
            'pandas.to_datetime(frame["date"], unit="ms", utc=True) (the unit is the file\'s), or '
            f"{_DOWNLOAD}"
        )
    times = DatetimeIndex(dates)
    if times.tz is None:
        raise DataError(
            f'{column} has no timezone: write it anew with frame["date"].dt.tz_localize("UTC"), '
            f"or {_DOWNLOAD}"
        )
    if times.hasnans:
        raise DataError(f"{column} has rows without a time: {_DOWNLOAD}")
    if times.min() < _OLDEST:
        raise DataError(
            f"{column} begins at {times.min():%Y-%m-%d %H:%M}: its numbers have another unit than "
            f"was assumed; write it anew, or {_DOWNLOAD}"
        )
    if not times.is_monotonic_increasing or not times.is_unique:
        at = times[1:][times[1:] <= times[:-1]][0]
        raise DataError(
            f"{column} repeats a time or is out of order at {at:%Y-%m-%d %H:%M}: write it anew "
            f'with frame.drop_duplicates("date").sort_values("date"), or {_DOWNLOAD}'
        )


def _unreadable(file: Path, data_format: str, error: Exception | None = None) -> DataError:
    if isinstance(error, OSError) and error.strerror:
        return DataError(f"{file} cannot be read: {error.strerror}")
    return DataError(
        f"{file} cannot be read as {data_format}: it is cut off or of another format; {_DOWNLOAD}"
    )


@contextmanager
def _silent_reader() -> Iterator[None]:
    """Keep freqtrade's tracebacks about a broken file out of the log: our own line follows."""
    logger = logging.getLogger("freqtrade.data.history.datahandlers")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _hint(datadir: Path) -> str:
    """Name the folder that was meant, where it is one or two steps away."""
    near = [datadir.resolve().parent, *sorted(datadir.glob("*/")), *sorted(datadir.glob("*/*/"))]
    for folder in near:
        with suppress(DataError, OSError):
            if folder.name != "futures" and available_candles(folder):
                return f"; {folder} has: pass that one"
    return ""
