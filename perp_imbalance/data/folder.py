"""A folder of candles in freqtrade's layout: list its series, read and check its files.

freqtrade treats a file that it cannot read as missing, and only logs that. This module raises an
error that names the file.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from freqtrade.candle_columns import get_candle_columns
from freqtrade.configuration import TimeRange
from freqtrade.constants import AVAILABLE_DATAHANDLERS
from freqtrade.data.history import get_datahandler, load_pair_history
from freqtrade.enums import CandleType, TradingMode
from freqtrade.exchange import timeframe_to_seconds
from freqtrade.misc import pair_to_filename
from pandas import DataFrame, Timestamp

from perp_imbalance.data.candle_file import (
    FUNDING_TIMEFRAME,
    READ_ERRORS,
    check_file,
    read_times,
    unreadable,
)
from perp_imbalance.data.made_candles import linked_folder, made_candles
from perp_imbalance.errors import DataError

#: Pair, timeframe and type of a series, as freqtrade's data handlers list them.
Key = tuple[str, str, CandleType]

#: The candle format that freqtrade uses if a config names none.
DEFAULT_FORMAT = "feather"
#: The only timeframe under which freqtrade stores and reads mark prices.
MARK_TIMEFRAME = FUNDING_TIMEFRAME
#: The candles that freqtrade uses as mark prices on exchanges without mark prices.
MARK_KINDS = {"hyperliquid": CandleType.FUTURES}

_EXTENSIONS = {"feather": "feather", "parquet": "parquet", "json": "json", "jsongz": "json.gz"}


def cost_keys(pair: str, exchange: str = "binance") -> dict[str, Key]:
    """Return the series from which freqtrade's backtest computes funding fees, by descriptive name.

    >>> list(cost_keys("BTC/USDT:USDT"))
    ['funding rates', 'mark prices']
    """
    mark = MARK_KINDS.get(exchange, CandleType.MARK)
    return {
        "funding rates": (pair, FUNDING_TIMEFRAME, CandleType.FUNDING_RATE),
        "mark prices": (pair, MARK_TIMEFRAME, mark),
    }


def not_tradable(pair: str) -> str | None:
    """Return why a contract is not a linear perpetual; None if it is one.

    :param pair: freqtrade's name of the contract.

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
    """Return every series in a folder with its file formats.

    :raises DataError: if a file name has an unknown candle type.
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
    """Reads the stored candles of a folder.

    :param datadir: folder in freqtrade's layout, freqtrade's ``--datadir``.
    :param data_format: the config's ``dataformat_ohlcv``; series in other formats are refused,
        because freqtrade would not find them. None accepts every format.
    :ivar keys: the readable series with their formats.
    :ivar for_freqtrade: the folder to pass to freqtrade: ``datadir``, or if :meth:`make` has made
        series, a temporary folder that contains these as well.
    :raises DataError: if the folder does not exist, or has no candles in that format.

    >>> CandleFolder(Path("user_data/data/binance")).perps("1h")  # doctest: +SKIP
    ['BTC/USDT:USDT', 'ETH/USDT:USDT']
    """

    def __init__(self, datadir: Path, data_format: str | None = None) -> None:
        if not datadir.is_dir():
            said = f"{datadir} is a file" if datadir.exists() else f"there is no folder {datadir}"
            raise DataError(f"{said}: pass a folder of candles as freqtrade's --datadir")
        self.datadir = self.for_freqtrade = datadir
        self.data_format = data_format
        self._available = available_candles(datadir)
        self._made = set[Key]()
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
        """The timeframes of all linear perps, shortest first."""
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
        """Return the market entry of a pair, as an exchange lists it; None if it is missing."""
        if not any(pair == symbol for pair, _, _ in self._available):
            return None
        base, quote, settle = split_pair(symbol)
        return {"base": base, "quote": quote, "spot": not settle}

    def make(self, keys: Iterable[Key], higher: str) -> list[str]:
        """Make missing candles of a higher timeframe, in a temporary folder.

        :param keys: the source series; see :func:`made_candles`.
        :return: the pairs for which candles were made.
        :raises DataError: if a file of those series is broken.
        """
        pairs: dict[str, None] = {}
        for pair, timeframe, kind in keys:
            key = (pair, higher, kind)
            made = self.read(pair, timeframe, kind) if key not in self._available else DataFrame()
            if made.empty or (made := made_candles(made, timeframe, higher)).empty:
                continue
            if self.for_freqtrade == self.datadir:
                self.for_freqtrade = linked_folder(self.datadir)
            data_format = self.keys[pair, timeframe, kind]
            get_datahandler(self.for_freqtrade, data_format).ohlcv_store(pair, higher, made, kind)
            self._made.add(key)
            self._available[key], self.keys[key] = [data_format], data_format
            pairs[pair] = None
        return list(pairs)

    def file(self, pair: str, timeframe: str, kind: CandleType) -> Path:
        """Return the file of an existing series."""
        data_format = self.keys[pair, timeframe, kind]
        folder, ending = self._place((pair, timeframe, kind)), ""
        if kind != CandleType.SPOT:
            folder, ending = folder / "futures", f"-{kind}"
        extension = _EXTENSIONS[data_format]
        # Use freqtrade's file name: some file systems do not distinguish 1M from 1m.
        for length in (timeframe.replace("M", "Mo"), timeframe):
            file = folder / f"{pair_to_filename(pair)}-{length}{ending}.{extension}"
            if file.exists():
                return file
            if file.is_symlink():
                raise DataError(
                    f"{file} is a link to {file.readlink()}, which does not exist: mend the link "
                    "or delete it"
                )
        raise DataError(f"{file} is gone: something else is changing {self.datadir}")

    def span(self, pair: str, timeframe: str, kind: CandleType) -> tuple[Timestamp, Timestamp]:
        """Return the open times of the first and the last candle of an existing series.

        :raises DataError: if its file has no valid times.
        """
        key = (pair, timeframe, kind)
        times = read_times(self.file(*key), self.keys[key], kind)
        return times[0], times[-1]

    def read(
        self,
        pair: str,
        timeframe: str,
        kind: CandleType,
        *,
        fill: bool = False,
        timerange: TimeRange | None = None,
        startup: int = 0,
    ) -> DataFrame:
        """Return a series, read by freqtrade; empty if its file is missing.

        :param fill: whether freqtrade fills missing candles with flat ones of volume 0, as it does
            in a backtest.
        :param timerange: the time range of a backtest; it may contain no rows.
        :param startup: candles before the time range that a backtest also reads.
        :raises DataError: if the file is broken, naming file and column and how to mend it, or if
            it exists in another format only.
        """
        key = (pair, timeframe, kind)
        if key not in self.keys:
            if key in self._available:
                raise self._wrong_format(key)
            return DataFrame(columns=get_candle_columns(kind))
        file = self.file(*key)
        check_file(file, self.keys[key], timeframe, kind)
        try:
            with _silent_reader():
                frame = load_pair_history(
                    pair,
                    timeframe,
                    self._place(key),
                    timerange=timerange,
                    startup_candles=startup,
                    fill_up_missing=fill,
                    data_format=self.keys[key],
                    candle_type=kind,
                )
        except READ_ERRORS as error:
            raise unreadable(file, self.keys[key], error) from None
        if frame.empty and timerange is None:
            raise unreadable(file, self.keys[key])
        return DataFrame(frame)

    def _place(self, key: Key) -> Path:
        """Return the folder that contains a series."""
        return self.for_freqtrade if key in self._made else self.datadir

    def _wrong_format(self, key: Key) -> DataError:
        """Return the error for a series in a format that freqtrade is not configured to read."""
        pair, timeframe, kind = key
        found, wanted = self._available[key][0], self.data_format or DEFAULT_FORMAT
        # Pairs are named: freqtrade's command otherwise converts the config's whitelist only.
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


@contextmanager
def _silent_reader() -> Iterator[None]:
    """Hide freqtrade's tracebacks about a broken file; this module reports the file in one line."""
    logger = logging.getLogger("freqtrade.data.history.datahandlers")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _hint(datadir: Path) -> str:
    """Return a hint that names a nearby folder with candles, one or two levels away."""
    near = [datadir.resolve().parent, *sorted(datadir.glob("*/")), *sorted(datadir.glob("*/*/"))]
    for folder in near:
        with suppress(DataError, OSError):
            if folder.name != "futures" and available_candles(folder):
                return f"; {folder} has: pass that one"
    return ""
