"""Write the sample market in freqtrade's layout, with a label; a write is complete or undone."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from perp_imbalance.data.sample.market import (
    DEFAULT_DAYS,
    DEFAULT_SEED,
    DEFAULT_START,
    PAIRS,
    Market,
    generate_market,
)
from perp_imbalance.errors import DataError
from perp_imbalance.files import temporary_folder

logger = logging.getLogger(__name__)

# Increased whenever the same seed gives other candles; ensure_sample_market then rewrites.
GENERATOR_VERSION = 2

LABEL_NAME = "README.txt"
_TITLE = "SYNTHETIC candles: a generated sample market, no exchange ever traded at these prices."
_FILES_TITLE = "files:"


@dataclass(frozen=True)
class SampleMarket:
    """A sample market on disk: its folder, time range, pairs and files.

    :ivar datadir: the folder, for freqtrade's ``--datadir``.
    :ivar start: open of the first candle.
    :ivar end: end of the last candle.
    :ivar pairs: all pairs, perps first.
    :ivar files: the candle files, relative to ``datadir``.
    :ivar outage: first and last open time of the hours without spot candles.
    :ivar halt: first and last open time of the hours in which spot is frozen without volume.
    :ivar extremes: open time and side (+1 perp dear, -1 cheap) of the episodes' peaks.
    """

    datadir: Path
    seed: int
    start: datetime
    end: datetime
    pairs: tuple[str, ...]
    files: tuple[str, ...]
    outage: tuple[datetime, datetime]
    halt: tuple[datetime, datetime]
    extremes: tuple[tuple[datetime, int], ...]


def write_sample_market(
    datadir: Path,
    *,
    seed: int = DEFAULT_SEED,
    start: datetime = DEFAULT_START,
    days: int = DEFAULT_DAYS,
    pairs: Collection[str] = PAIRS,
) -> SampleMarket:
    """Write a SYNTHETIC market of 1h and 4h candles, mark prices and funding rates.

    The market has perps with their spot pairs and premium indices. The candles are realistic in
    shape; a modest reversal of the premium is built in (see
    :mod:`perp_imbalance.data.sample.model`), so results on them do not show that money can be made.
    An older sample in the folder is replaced; at any time, the folder is complete or absent.

    :param datadir: folder to write, for freqtrade's ``--datadir``; new, empty or an older sample.
    :param seed: seed, >= 0: the same seed gives the same candles everywhere.
    :param start: open of the first candle: midnight UTC.
    :param days: length of the sample, 30 to 3650.
    :param pairs: the perps of the sample, by default all of :data:`PAIRS`.
    :raises CommandError: if an argument is out of range.
    :raises DataError: if the folder holds other files, or cannot be written.
    """
    datadir = datadir.expanduser().resolve()
    market = generate_market(seed, start, days, pairs)
    try:
        _refuse_foreign(datadir)
        datadir.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(datadir.parent, ".perp-imbalance-sample-") as workshop:
            fresh = Path(workshop, "new")
            fresh.mkdir()
            files = _store(market, fresh)
            sample = _describe(market, datadir, files)
            Path(fresh, LABEL_NAME).write_text(_label(sample, days), encoding="utf-8")
            if datadir.exists():
                datadir.rename(Path(workshop, "old"))
            fresh.rename(datadir)
    except OSError as error:
        raise DataError(f"The sample market cannot be written to {datadir}: {error}.") from error
    return sample


def ensure_sample_market(
    datadir: Path,
    *,
    seed: int = DEFAULT_SEED,
    days: int = DEFAULT_DAYS,
    pairs: Collection[str] = PAIRS,
) -> Path:
    """Return the folder of a sample market; write it if it is absent or outdated.

    :param datadir: folder for freqtrade's ``--datadir``.
    :param seed: required seed of the sample.
    :param days: required length.
    :param pairs: required perps; the sample has no others.
    :raises DataError: if the folder holds other files, or cannot be written.
    """
    datadir = datadir.expanduser().resolve()
    label = _read_label(datadir)
    if label.startswith(_heading(seed, DEFAULT_START, days, pairs)) and all(
        Path(datadir, name).is_file() for name in _labelled_files(label)
    ):
        return datadir
    logger.info("Writing the synthetic sample market to %s.", datadir)
    return write_sample_market(datadir, seed=seed, days=days, pairs=pairs).datadir


def _store(market: Market, folder: Path) -> tuple[str, ...]:
    """Write all series with freqtrade's own data handler, and return the file names."""
    # Imported here: freqtrade takes seconds to import; --help and a ready sample do not need it.
    from freqtrade.data.history import get_datahandler
    from freqtrade.enums import CandleType

    handler = get_datahandler(folder, "feather")
    for series in market.series:
        handler.ohlcv_store(
            series.pair, series.timeframe, series.frame, CandleType.from_string(series.kind)
        )
    return tuple(sorted(path.relative_to(folder).as_posix() for path in _candle_files(folder)))


def _describe(market: Market, datadir: Path, files: tuple[str, ...]) -> SampleMarket:
    """Return the description of what was written, with dates instead of hours."""

    def span(first: int, length: int) -> tuple[datetime, datetime]:
        return moment(first), moment(first + length - 1)

    def moment(hour: int) -> datetime:
        return market.start + timedelta(hours=hour)

    pairs = {series.pair for series in market.series}
    return SampleMarket(
        datadir=datadir,
        seed=market.seed,
        start=market.start,
        end=market.start + timedelta(days=market.days),
        pairs=tuple(sorted(pairs, key=lambda pair: (":" not in pair, pair))),
        files=files,
        outage=span(*market.events.outage),
        halt=span(*market.events.halt),
        extremes=tuple((moment(e.peak), e.side) for e in market.events.episodes),
    )


def _candle_files(folder: Path) -> list[Path]:
    return list(folder.rglob("*.feather"))


def _heading(seed: int, start: datetime, days: int, pairs: Collection[str]) -> str:
    """Return the first lines of the label, which identify the sample."""
    return (
        f"{_TITLE}\n"
        "Made by perp-imbalance to show that everything runs. Results on them say nothing about "
        "money.\n\n"
        f"generator version: {GENERATOR_VERSION}\nseed: {seed}\n"
        f"start: {start:%Y-%m-%d}\ndays: {days}\n"
        f"pairs: {', '.join(pair for pair in PAIRS if pair in pairs)}\n"
    )


def _label(sample: SampleMarket, days: int) -> str:
    """Return the text of the label."""
    form = "%Y-%m-%d %H:%M"
    spans = {"spot outage": sample.outage, "spot halt": sample.halt}
    lines = [f"{name}: {a:{form}} to {b:{form}}" for name, (a, b) in spans.items()]
    lines += [
        f"extreme premium: {when:{form}}, perp {'dear' if side > 0 else 'cheap'}"
        for when, side in sample.extremes
    ]
    lines += ["", _FILES_TITLE, *sample.files]
    return _heading(sample.seed, sample.start, days, sample.pairs) + "\n".join(lines) + "\n"


def _read_label(datadir: Path) -> str:
    """Return the text of a folder's label; empty if it has none."""
    try:
        return Path(datadir, LABEL_NAME).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{datadir / LABEL_NAME} cannot be read: {error}.") from error


def is_sample_market(datadir: Path) -> bool:
    """Return whether a folder holds a generated sample market."""
    return _read_label(datadir).startswith(_TITLE)


def _labelled_files(label: str) -> list[str]:
    return label.partition(f"\n{_FILES_TITLE}\n")[2].splitlines()


def _refuse_foreign(datadir: Path) -> None:
    """Raise DataError if writing would destroy files that this module did not write."""
    if not datadir.exists():
        return
    if not datadir.is_dir():
        raise DataError(f"{datadir} is a file; name a folder for the sample market.")
    label = _read_label(datadir)
    if not is_sample_market(datadir):
        if any(datadir.iterdir()):
            raise DataError(
                f"{datadir} holds files that do not belong to a sample market; name another folder."
            )
        return
    known = {datadir / name for name in _labelled_files(label)}
    foreign = sorted(path for path in _candle_files(datadir) if path not in known)
    if foreign:
        raise DataError(
            f"{foreign[0]} is not part of the sample market; move it elsewhere before the sample "
            "is written again."
        )
