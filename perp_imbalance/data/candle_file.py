"""Check candle files: required columns, times in UTC on their grid, and usable values.

freqtrade accepts any numbers: it does not report prices that are not above 0, or candles that are
half an hour late, and its results are wrong. This module refuses such files.
"""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from freqtrade.candle_columns import OHLCV_COLUMNS, get_candle_columns
from freqtrade.enums import CandleType
from freqtrade.exchange import timeframe_to_seconds
from numpy.typing import NDArray
from pandas import DataFrame, DatetimeIndex, Series, Timedelta, Timestamp
from pyarrow import dataset

from perp_imbalance.errors import DataError

#: The only timeframe under which freqtrade stores and reads funding rates. It pays a rate only
#: if a mark price opens in the same second.
FUNDING_TIMEFRAME = "1h"
#: What pyarrow, pandas and freqtrade raise on a file whose content does not match its name.
READ_ERRORS = (pa.ArrowException, ValueError, TypeError, OSError, EOFError, zlib.error)
#: How to mend a broken file.
DOWNLOAD = "delete it, then perp-imbalance download-data downloads it again"

# No perpetual and no spot market is older than this.
_OLDEST = Timestamp("2009-01-01", tz="UTC")
_PRICES = ("open", "high", "low", "close")
_PRICED = (CandleType.SPOT, CandleType.FUTURES, CandleType.MARK, CandleType.INDEX)
_TRADED = (CandleType.SPOT, CandleType.FUTURES)
_INTEREST = ("open_interest_amount", "open_interest_value")


def check_file(file: Path, data_format: str, timeframe: str, kind: CandleType) -> None:
    """Raise unless a file holds candles of a type that freqtrade can read, sorted by time.

    :raises DataError: naming file and column, and how to mend the file.
    """
    stored = _stored(file, data_format, kind)
    wanted = get_candle_columns(kind)
    lacking = [name for name in wanted if name not in stored.columns]
    if lacking and not (kind == CandleType.FUNDING_RATE and _is_legacy(stored)):
        raise DataError(
            f"{file} has no column {', '.join(lacking)}; freqtrade reads {', '.join(wanted)}: "
            f"rename its columns, or {DOWNLOAD}"
        )
    times = _times(file, stored)
    _check_grid(file, times, timeframe, kind)
    _check_values(file, stored, kind)


def read_times(file: Path, data_format: str, kind: CandleType) -> DatetimeIndex:
    """Return the times of a file's rows, in order.

    :raises DataError: as :func:`check_file` does for times.
    """
    return _times(file, _stored(file, data_format, kind, ["date"]))


def usable_rows(frame: DataFrame, kind: CandleType) -> NDArray[np.bool_]:
    """Return a mask of the rows whose values are valid.

    :param frame: a series as freqtrade reads it.

    >>> frame = DataFrame({"funding_rate": [1e-4, np.nan], "date": pd.Timestamp("2025-01-01")})
    >>> usable_rows(frame, CandleType.FUNDING_RATE)
    array([ True, False])
    """
    usable = np.ones(len(frame), dtype=bool)
    for columns, least, _ in _rules(frame, kind):
        usable &= np.any([_is_number(frame[name], least) for name in columns], axis=0)
    if kind == CandleType.FUNDING_RATE:
        times = frame["date"].dt.floor("s")
        usable &= (times == times.dt.floor(FUNDING_TIMEFRAME)).to_numpy()
    return usable


def usable_value(kind: CandleType) -> str:
    """Return in words what a row needs to be usable, such as "price or volume"."""
    if kind == CandleType.FUNDING_RATE:
        return "rate at a full hour"
    return "open interest" if kind == CandleType.OPEN_INTEREST else "price or volume"


def unreadable(file: Path, data_format: str, error: Exception | None = None) -> DataError:
    """Return the error for a file that cannot be read."""
    if isinstance(error, OSError) and error.strerror:
        return DataError(f"{file} cannot be read: {error.strerror}")
    return DataError(
        f"{file} cannot be read as {data_format}: it is cut off or of another format; {DOWNLOAD}"
    )


def _rules(frame: DataFrame, kind: CandleType) -> list[tuple[tuple[str, ...], float, str]]:
    """Return the value rules of a series: columns, their lower bound, and a description."""
    if kind == CandleType.FUNDING_RATE:
        column = "funding_rate" if "funding_rate" in frame else "open"
        return [((column,), -np.inf, "number")]
    if kind == CandleType.OPEN_INTEREST:
        return [(_INTEREST, 0.0, "number above 0")]
    rules: list[tuple[tuple[str, ...], float, str]]
    rules = [((name,), 0.0, "price above 0") for name in _PRICES if kind in _PRICED]
    if kind == CandleType.PREMIUMINDEX:
        rules = [((name,), -np.inf, "number") for name in _PRICES]
    if kind in _TRADED:
        # A candle without trades has a volume of 0.
        rules.append((("volume",), np.nextafter(0.0, -1.0), "number"))
    return rules


def _is_number(values: "Series[Any]", least: float) -> NDArray[np.bool_]:
    """Return a mask of the values that are finite numbers above a bound."""
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.asarray((numbers > least) & (numbers < np.inf))


def _stored(
    file: Path, data_format: str, kind: CandleType, columns: list[str] | None = None
) -> DataFrame:
    """Return the content of a file without freqtrade's conversions.

    :param columns: columns to read; None for all.
    """
    if not file.is_file():
        raise DataError(f"{file} is not a file: move it elsewhere")
    if not file.stat().st_size:
        raise DataError(f"{file} is empty (0 bytes): {DOWNLOAD}")
    try:
        if data_format in ("feather", "parquet"):
            table = dataset.dataset(file, format=data_format)
            known = [name for name in columns or table.schema.names if name in table.schema.names]
            return DataFrame(table.to_table(columns=known).to_pandas(ignore_metadata=True))
        # Rows without column names: freqtrade identifies columns by position.
        rows = pd.read_json(file, orient="values")
        names = get_candle_columns(kind)
        if kind == CandleType.FUNDING_RATE and rows.shape[1] == len(OHLCV_COLUMNS):
            names = OHLCV_COLUMNS
        rows = rows.iloc[:, : len(names)].set_axis(names[: rows.shape[1]], axis=1)
        if rows.size:
            rows["date"] = pd.to_datetime(rows["date"], unit="ms", utc=True)
        return rows
    except READ_ERRORS as error:
        raise unreadable(file, data_format, error) from None


def _is_legacy(stored: DataFrame) -> bool:
    """Return whether funding rates are stored as candles, as freqtrade did before 2026."""
    return set(OHLCV_COLUMNS).issubset(stored.columns)


def _times(file: Path, stored: DataFrame) -> DatetimeIndex:
    """Return the times of the rows.

    :raises DataError: unless they are ascending times in UTC.
    """
    if "date" not in stored or stored.empty:
        raise DataError(f"{file} holds no candles: {DOWNLOAD}")
    dates = stored["date"]
    column = f'{file}, column "date"'
    if not pd.api.types.is_datetime64_any_dtype(dates.dtype):
        is_number = pd.api.types.is_numeric_dtype(dates.dtype)
        unit = ', unit="ms", utc=True) (the unit is the file\'s)' if is_number else ", utc=True)"
        raise DataError(
            f"{column} holds {dates.dtype if is_number else 'text'}, not times: write it again "
            f'with pandas.to_datetime(frame["date"]{unit}, or {DOWNLOAD}'
        )
    times = DatetimeIndex(dates)
    if times.tz is None:
        raise DataError(
            f'{column} has no timezone: write it again with frame["date"].dt.tz_localize("UTC"), '
            f"or {DOWNLOAD}"
        )
    if times.hasnans:
        raise DataError(f"{column} has rows without a time: {DOWNLOAD}")
    if (times.tz_localize(None) != times.tz_convert(None)).any():
        raise DataError(
            f"{column} is in the timezone {times.tz}, in which freqtrade moves candles to other "
            f'times: write it again with frame["date"].dt.tz_convert("UTC"), or {DOWNLOAD}'
        )
    if times.min() < _OLDEST:
        raise DataError(
            f"{column} begins at {times.min():%Y-%m-%d %H:%M}: its numbers have another unit than "
            f"was assumed; write it again, or {DOWNLOAD}"
        )
    if not times.is_monotonic_increasing or not times.is_unique:
        at = times[1:][times[1:] <= times[:-1]][0]
        raise DataError(
            f"{column} repeats a time or is out of order at {at:%Y-%m-%d %H:%M}: write it again "
            f'with frame.drop_duplicates("date").sort_values("date"), or {DOWNLOAD}'
        )
    return times


def _check_grid(file: Path, times: DatetimeIndex, timeframe: str, kind: CandleType) -> None:
    """Raise unless candles open at multiples of their length, counted from midnight.

    freqtrade fills missing candles on that grid and moves all others back to it, so that a close
    would be known too early. Funding is settled at the exchange's times; :func:`usable_rows`
    checks these.
    """
    if kind == CandleType.FUNDING_RATE:
        return
    grid = min(Timedelta(seconds=timeframe_to_seconds(timeframe)), Timedelta(days=1))
    off = times != times.floor(grid)
    if off.any():
        raise DataError(
            f'{file}, column "date": {off.sum()} of {times.size} candles do not open when a '
            f"{timeframe} candle does, the first at {times[off][0]:%Y-%m-%d %H:%M:%S}: its name or "
            f"its times are wrong; {DOWNLOAD}"
        )


def _check_values(file: Path, stored: DataFrame, kind: CandleType) -> None:
    """Raise if a column holds text, or has no usable value."""
    for columns, least, wanted in _rules(stored, kind):
        for name in columns:
            if not pd.api.types.is_numeric_dtype(stored[name].dtype):
                stored[name] = _numbers(file, stored, name)
        if not np.any([_is_number(stored[name], least) for name in columns]):
            raise DataError(
                f'{file}, column "{columns[0]}" has no {wanted} in any of its {len(stored)} rows: '
                f"{DOWNLOAD}"
            )


def _numbers(file: Path, stored: DataFrame, name: str) -> "Series[Any]":
    """Return the numbers of a text or object column, converted as freqtrade does."""
    numbers = pd.to_numeric(stored[name], errors="coerce")
    text = numbers.isna() & stored[name].notna()
    # freqtrade reads these strings as a missing number too.
    text &= stored[name].astype(str).str.strip().str.lower() != "nan"
    if text.any():
        raise DataError(
            f'{file}, column "{name}" holds text that is not a number at '
            f"{stored['date'][text].iloc[0]:%Y-%m-%d %H:%M}: {DOWNLOAD}"
        )
    return numbers
