"""Download candles with freqtrade without risk for existing files.

freqtrade writes candle files in place. A full disk or a killed process leaves half a file, and a
file that cannot be read is downloaded again from the start. So freqtrade works on copies in another
folder; each copy is verified before it replaces the user's file in one step.
"""

import logging
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from freqtrade.data.history import get_datahandler
from freqtrade.enums import CandleType, TradingMode
from freqtrade.exchange import timeframe_to_minutes

from perp_imbalance.errors import DataError
from perp_imbalance.files import atomic_write, temporary_folder
from perp_imbalance.freqtrade_bridge.process import EXIT_DOWNLOAD, run_freqtrade

#: How the name of the folder begins in which freqtrade writes, within the folder of candles.
STAGING_PREFIX = ".perp-imbalance-download-"

# What freqtrade's handlers do not catch of a broken file.
_BROKEN = (ValueError, KeyError, TypeError, AttributeError, OSError, EOFError, zlib.error)

#: Pair, timeframe and type of candles.
Series = tuple[str, str, CandleType]


class Job(NamedTuple):
    """One run of freqtrade's downloader.

    :ivar mode: ``futures`` or ``spot``.
    :ivar pairs: freqtrade's names.
    :ivar candle_types: candle types that replace freqtrade's own choice.
    """

    mode: str
    pairs: Sequence[str]
    candle_types: Sequence[str] = ()

    def expected(self, timeframes: Iterable[str]) -> Iterator[Series]:
        """Yield the series that must exist after the run, besides mark prices and funding rates."""
        for pair in self.pairs:
            for timeframe in timeframes:
                for kind in self.candle_types or [self.mode]:
                    yield pair, timeframe, CandleType(kind)

    def touches(self, series: Series, timeframes: Iterable[str]) -> bool:
        """Return whether freqtrade may write the file of a series."""
        pair, timeframe, kind = series
        if pair not in self.pairs:
            return False
        if self.candle_types:
            return kind in self.candle_types and timeframe in timeframes
        if kind in (CandleType.MARK, CandleType.FUNDING_RATE):
            return True
        # Some exchanges have the candles of the perp for its mark price, of an hour or longer.
        return kind == self.mode and (
            timeframe in timeframes or timeframe_to_minutes(timeframe) >= 60
        )


@dataclass
class Outcome:
    """The result of a download.

    :ivar written: files that are new or longer than before.
    :ivar kept: files without new candles.
    :ivar failed: why a series was not written, by name of the series.
    """

    written: int = 0
    kept: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    code: int = 0

    def __add__(self, later: "Outcome") -> "Outcome":
        """Return the results of both runs together."""
        return Outcome(
            self.written + later.written,
            self.kept + later.kept,
            self.failed | later.failed,
            self.code or later.code,
        )

    def __str__(self) -> str:
        said = f"{self.written} files written, {self.kept} without anything new"
        if self.code and not self.failed:
            said += ", freqtrade reported errors (see above)"
        if self.failed:
            series, reason = next(iter(self.failed.items()))
            said += f", {len(self.failed)} failed, whose files are as before: {series}: {reason}"
            if len(self.failed) > 1:
                said += f" (and {len(self.failed) - 1} more)"
        return said


def download(
    jobs: Sequence[Job],
    datadir: Path,
    *,
    data_format: str,
    timeframes: Sequence[str],
    timerange: str,
    configs: Sequence[Path],
) -> Outcome:
    """Run freqtrade's downloader; each file of the folder stays as it was or is complete.

    Series that were complete when the run was interrupted are kept.

    :param datadir: folder of candles in freqtrade's layout.
    :param data_format: freqtrade's ``dataformat_ohlcv``.
    :param configs: freqtrade's ``-c`` files.
    :raises DataError: if an existing file cannot be read, or the folder cannot be written.
    """
    outcome = Outcome()
    options = ["--timerange", timerange, "--timeframes", *timeframes]
    options += ["--data-format-ohlcv", data_format]
    try:
        datadir.mkdir(parents=True, exist_ok=True)
        stored = [stored_series(datadir, data_format, job, timeframes) for job in jobs]
        with temporary_folder(datadir, STAGING_PREFIX) as staging:
            for number, job in enumerate(jobs):
                step = _Step(datadir, staging / str(number), data_format, outcome)
                step.copy(stored[number])
                command = ["download-data", "--trading-mode", job.mode, *options]
                command += ["--candle-types", *job.candle_types] if job.candle_types else []
                command += ["--datadir", str(step.staging), "--pairs", *job.pairs]
                try:
                    code = run_freqtrade(command, configs=configs)
                finally:
                    step.install()
                step.name_missing(job.expected(timeframes))
                outcome.code = outcome.code or code
                if code not in (0, EXIT_DOWNLOAD):
                    break
    except OSError as error:
        raise DataError(
            f"{datadir} cannot be written: {error.strerror or error}; every file of it is as "
            f"before, or complete ({outcome})"
        ) from None
    return outcome


class Extent(NamedTuple):
    """The time range of a candle file, and the state of the file when it was read.

    :ivar first: its first date; None without candles, like ``last``.
    """

    candles: int
    first: Any
    last: Any
    state: tuple[int, int] = (0, 0)


def stored_series(
    datadir: Path, data_format: str, job: Job, timeframes: Sequence[str]
) -> dict[Series, Extent]:
    """Return the existing files of the series that a job writes.

    :raises DataError: naming a file that cannot be read, which is not treated as missing.
    """
    handler = get_datahandler(datadir, data_format)
    return {
        series: read_extent(handler, series)
        for series in handler.ohlcv_get_available_data(datadir, TradingMode(job.mode))
        if job.touches(series, timeframes)
    }


def read_extent(handler: Any, series: Series) -> Extent:
    """Return the extent of a candle file, read with freqtrade's own handler, which logs its errors.

    :raises DataError: if the file cannot be read, or its candles are not sorted by time.
    """
    file = _file(handler, series)
    pair, timeframe, kind = series
    try:
        state = file.stat()
        with _logged_errors() as errors:
            frame = handler._ohlcv_load(pair, timeframe, None, kind)
    except _BROKEN as error:
        errors = [str(error)]
    if errors:
        raise DataError(
            f"{file} cannot be read as candles ({errors[0].splitlines()[0]}): restore it from a "
            "backup, or delete it and download it again"
        )
    dates = frame["date"]
    if dates.isna().any() or not dates.is_monotonic_increasing:
        raise DataError(f"{file} has candles out of order: delete it and download it again")
    first, last = (dates.iloc[0], dates.iloc[-1]) if len(dates) else (None, None)
    return Extent(int(dates.nunique()), first, last, (state.st_mtime_ns, state.st_size))


@contextmanager
def _logged_errors() -> Iterator[list[str]]:
    """Collect the errors that freqtrade's handlers log, and hide them."""
    errors: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR:
                cause = record.exc_info[1] if record.exc_info else None
                errors.append(str(cause or record.getMessage()))

    logger = logging.getLogger("freqtrade.data.history.datahandlers")
    collect, propagate = Collect(), logger.propagate
    logger.addHandler(collect)
    logger.propagate = False
    try:
        yield errors
    finally:
        logger.removeHandler(collect)
        logger.propagate = propagate


def _file(handler: Any, series: Series) -> Path:
    pair, timeframe, kind = series
    file: Path = handler._pair_data_filename(handler._datadir, pair, timeframe, kind)
    return file


class _Step:
    """A run of freqtrade in a separate folder, and the installation of its files."""

    def __init__(self, datadir: Path, staging: Path, data_format: str, outcome: Outcome) -> None:
        self.staging, self.outcome = staging, outcome
        self.own = get_datahandler(datadir, data_format)
        self.copies = get_datahandler(staging, data_format)
        self.before: dict[Series, Extent] = {}
        self.found: set[Series] = set()
        (staging / "futures").mkdir(parents=True)

    def copy(self, stored: Mapping[Series, Extent]) -> None:
        """Copy existing files, so that freqtrade appends to the copies."""
        self.before.update(stored)
        for series in stored:
            shutil.copy(_file(self.own, series), _file(self.copies, series))

    def install(self) -> None:
        """Replace the user's files, except with files that lost candles."""
        for mode in (TradingMode.SPOT, TradingMode.FUTURES):
            for series in self.copies.ohlcv_get_available_data(self.staging, mode):
                self.found.add(series)
                try:
                    self._install(series)
                except DataError as error:
                    self.outcome.failed[_name(series)] = str(error)

    def _install(self, series: Series) -> None:
        source, target = _file(self.copies, series), _file(self.own, series)
        old = self.before.get(series)
        try:
            new = read_extent(self.copies, series)
        except DataError:
            raise DataError("freqtrade could not write its file whole: is the disk full?") from None
        if old is None and not new.candles:
            raise DataError("the exchange gives no candles in that time range")
        if old is not None and old.candles:
            # Without anything new, freqtrade drops the last candle, as one that may be unfinished.
            if old.candles - new.candles <= 1 and (new.last is None or new.last < old.last):
                self.outcome.kept += 1
                return
            if new.candles < old.candles or new.first > old.first or new.last < old.last:
                raise DataError(f"freqtrade made {new.candles} candles of {old.candles}")
        if old is not None and source.read_bytes() == target.read_bytes():
            self.outcome.kept += 1
            return
        _replace(source, target, old)
        self.outcome.written += 1

    def name_missing(self, expected: Iterable[Series]) -> None:
        """Record series that are missing after the run, which freqtrade only logs."""
        for series in expected:
            if series not in self.found:
                reason = "freqtrade could not download it, see its log above"
                self.outcome.failed.setdefault(_name(series), reason)


def _name(series: Series) -> str:
    pair, timeframe, kind = series
    return f"{pair} {timeframe} {kind}"


def _replace(source: Path, target: Path, old: Extent | None) -> None:
    """Replace a file in one step, after the new one is on disk.

    :raises DataError: if another process has changed the old file.
    """
    # Of a link, the file it leads to is replaced.
    target = target.resolve()
    state = None
    with suppress(FileNotFoundError):
        found = target.stat()
        state = (found.st_mtime_ns, found.st_size)
    if state != (old.state if old else None):
        raise DataError("another process changed the file meanwhile: download it again")
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.stat().st_dev != target.parent.stat().st_dev:
        with atomic_write(target) as part:
            shutil.copy(source, part)
        return
    with source.open("rb") as written:
        os.fsync(written.fileno())
    source.replace(target)
