"""The candles that a backtest reads from a folder: tradable perps, and notes on missing data."""

import logging
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from freqtrade.configuration import TimeRange
from freqtrade.data.converter import trim_dataframe
from freqtrade.enums import CandleType
from freqtrade.exchange import timeframe_to_seconds
from pandas import DataFrame, Timedelta, Timestamp

from perp_imbalance.data.coverage import short, thin, unusable
from perp_imbalance.data.folder import (
    DEFAULT_FORMAT,
    CandleFolder,
    Key,
    cost_keys,
    not_tradable,
)
from perp_imbalance.data.left_out import left_out_line, named, none_tradable
from perp_imbalance.data.made_candles import can_be_made
from perp_imbalance.data.premium_sources import Matching, settled, with_candles
from perp_imbalance.errors import DataError
from perp_imbalance.indicators.higher_timeframe import check_higher
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.markets.perp_names import did_you_mean
from perp_imbalance.markets.spot_matching import SpotMatch, about_sources
from perp_imbalance.strategy.gate_series import downloaded_series
from perp_imbalance.strategy.settings import Settings

logger = logging.getLogger(__name__)

#: The series from which funding fees are computed, by their names in :func:`cost_keys`.
COSTS = ("funding rates", "mark prices")
# freqtrade reads larger numbers of seconds (a day in 2286) as milliseconds since 1970.
_LATEST = 9_999_999_999


@dataclass(frozen=True)
class BacktestData:
    """Perps of a folder that can be traded on a timeframe.

    :ivar matches: the perps, each with the series that it is compared with.
    :ivar htf_timeframe: the higher timeframe that the folder supports; the timeframe itself if no
        higher one is used.
    :ivar notes: one line for each thing that is left out.
    """

    folder: CandleFolder
    timeframe: str
    htf_timeframe: str
    matches: list[SpotMatch]
    notes: list[str] = field(default_factory=list)

    @property
    def pairs(self) -> list[str]:
        """The names of the perps."""
        return [match.perp for match in self.matches]


def open_backtest_data(
    datadir: Path,
    timeframe: str,
    settings: Settings,
    *,
    exchange: str = "binance",
    data_format: str = DEFAULT_FORMAT,
    pairs: Sequence[str] | None = None,
    htf_timeframe: str | None = None,
    uses_htf: bool = True,
    timerange: str | None = None,
    costs: Collection[str] = COSTS,
    startup: int = 0,
) -> BacktestData:
    """Return the perps of a folder that a backtest can trade, after checking every file it reads.

    Missing candles of the higher timeframe are made from those of the timeframe.

    :param settings: the project's settings of the config.
    :param exchange: the exchange of the config.
    :param data_format: the config's ``dataformat_ohlcv``.
    :param pairs: requested perps; None for all.
    :param htf_timeframe: requested higher timeframe; None for the config's, or for the folder's
        shortest if the config's is missing and cannot be made.
    :param uses_htf: whether the higher timeframe is used; if not, its candles may be missing.
    :param timerange: freqtrade's ``--timerange``.
    :param costs: see :func:`check_series`.
    :param startup: see :func:`within_timerange`.
    :raises DataError: if the folder lacks requested candles, or one of its files is broken.
    :raises SettingsError: if the higher timeframe is not a multiple of the timeframe.
    """
    folder = CandleFolder(datadir, data_format)
    matches, left_out = select_perps(folder, timeframe, Matching.of(exchange, settings), pairs)
    higher, made = timeframe, list[str]()
    if htf_timeframe:
        check_higher(timeframe, htf_timeframe)
    if uses_htf or htf_timeframe:
        made = make_higher(folder, timeframe, htf_timeframe or settings.htf_timeframe, matches)
        higher = fit_htf_timeframe(folder, timeframe, settings.htf_timeframe, htf_timeframe)
    matches, outside = within_timerange(folder, timeframe, matches, timerange, startup)
    matches = settled(folder, timeframe, matches, timerange)
    data = BacktestData(folder, timeframe, higher, matches)
    kinds = downloaded_series(settings.gated(Thresholds()))
    said = check_series(data, exchange=exchange, timerange=timerange, kinds=kinds, costs=costs)
    return replace(data, notes=[*left_out, *made, *outside, *about_sources(matches), *said])


def select_perps(
    folder: CandleFolder, timeframe: str, matching: Matching, wanted: Sequence[str] | None = None
) -> tuple[list[SpotMatch], list[str]]:
    """Return the perps of a folder that can be traded, and notes on those that cannot.

    :param wanted: freqtrade's names; None for every perp on the timeframe.
    :raises DataError: if a named perp is missing, or no perp can be traded.
    """
    contracts = folder.contracts(timeframe)
    missing = [pair for pair in wanted or () if pair not in contracts]
    if meant := did_you_mean(missing, contracts):
        raise DataError(
            f"{folder.datadir} has no {timeframe} candles of {', '.join(missing)}{meant}"
        )
    if missing or not contracts:
        existing = f"perps there on {timeframe}: {', '.join(contracts)}; " if contracts else ""
        raise DataError(
            f"{folder.datadir} has no {timeframe} candles of {', '.join(missing) or 'any perp'}; "
            f"{existing}timeframes there: {', '.join(folder.timeframes) or 'none'}"
        )
    matches, left_out = [], list[tuple[str, str]]()
    for pair in wanted or contracts:
        match = with_candles(matching.match(pair, folder), folder, timeframe)
        reason = not_tradable(pair) or match.reason
        if reason is None and (str(match.spot), timeframe, CandleType(match.source)) not in (
            folder.keys
        ):
            folder.read(str(match.spot), timeframe, CandleType(match.source))
            reason = f"no {timeframe} candles of {match.name}"
        if reason is None:
            matches.append(match)
        else:
            left_out.append((pair, reason))
    if not matches:
        raise none_tradable(folder, left_out)
    return matches, [left_out_line(folder, left_out)] if left_out else []


def within_timerange(
    folder: CandleFolder,
    timeframe: str,
    matches: list[SpotMatch],
    timerange: str | None,
    startup: int = 0,
) -> tuple[list[SpotMatch], list[str]]:
    """Return the perps with candles in a time range, and notes on missing candles.

    :param timerange: freqtrade's ``--timerange``; None for all candles.
    :param startup: number of leading candles of each perp that only warm up the indicators.
    :raises DataError: if no perp has candles there; names the time of the existing candles.
    """
    span = TimeRange.parse_timerange(timerange)
    start, stop = span.startts or -math.inf, span.stopts or math.inf
    length = Timedelta(seconds=timeframe_to_seconds(timeframe))
    times = {match: folder.span(match.perp, timeframe, CandleType.FUTURES) for match in matches}
    first = min(begin for begin, _ in times.values())
    end = max(last for _, last in times.values()) + length
    existing = f"{folder.datadir} has {timeframe} candles from {_minute(first)} to {_minute(end)}"
    if max(span.startts, span.stopts) > _LATEST:
        raise DataError(f"freqtrade cannot read a year of the time range {timerange}: {existing}")
    kept, outside = [], []
    for match, (begin, last) in times.items():
        traded = begin + startup * length
        if max(traded.timestamp(), start) <= min(last.timestamp(), stop):
            kept.append(match)
        else:
            reason = f"it can be traded from {_minute(traded)} to {_minute(last + length)}"
            outside.append((match.perp, f"outside the time range: {reason}"))
    if not kept:
        beyond = f", beyond the {startup} to look back on" if startup else ""
        asked = f"the time range {timerange}" if timerange else "the folder"
        raise DataError(f"{asked} has no candles{beyond}: {existing}")
    lines = [left_out_line(folder, outside)] if outside else []
    if -math.inf < start < first.timestamp() or end.timestamp() < stop < math.inf:
        lines.append(f"the time range {timerange} reaches past the candles: {existing}")
    return kept, lines


def _minute(time: Timestamp) -> str:
    return f"{time:%Y-%m-%d %H:%M}"


def by_sentence(said: Iterable[tuple[str, str]]) -> list[str]:
    """Return each distinct sentence once, after the pairs that it applies to.

    :param said: pairs and sentences.

    >>> by_sentence([("BTC", "no rates"), ("ETH", "no rates")])
    ['BTC, ETH: no rates']
    """
    found: dict[str, list[str]] = {}
    for pair, sentence in said:
        found.setdefault(sentence, []).append(pair)
    return [f"{', '.join(pairs)}: {sentence}" for sentence, pairs in found.items()]


def make_higher(
    folder: CandleFolder, timeframe: str, higher: str, matches: Sequence[SpotMatch]
) -> list[str]:
    """Make missing candles of a higher timeframe for perps and their spot pairs.

    :param higher: the requested timeframe, or the config's.
    :return: a note on the pairs for which candles were made.
    """
    if not can_be_made(timeframe, higher):
        return []
    keys = [
        key
        for match in matches
        for one in (match, *match.others)
        for key in series_keys(one, [timeframe], ())
    ]
    pairs = folder.make(dict.fromkeys(keys), higher)
    if not pairs:
        return []
    return [f"{folder.datadir} has no {higher} candles of {named(pairs)}: made of {timeframe} ones"]


def fit_htf_timeframe(
    folder: CandleFolder, timeframe: str, configured: str, wanted: str | None = None
) -> str:
    """Return the higher timeframe to use; log a warning if it is not the configured one.

    :param wanted: the requested timeframe; if None, the configured one, or the shortest one that
        the folder has.
    :raises DataError: if the folder lacks the requested timeframe.
    """
    if wanted:
        if wanted not in folder.timeframes:
            raise DataError(
                f"{folder.datadir} has no {wanted} candles for the HTF gate; timeframes there: "
                f"{', '.join(folder.timeframes)}"
            )
        return wanted
    length = timeframe_to_seconds(timeframe)
    longer = {other: timeframe_to_seconds(other) for other in folder.timeframes}
    higher = [
        other for other, seconds in longer.items() if seconds > length and not seconds % length
    ]
    if configured in higher:
        return configured
    if not higher:
        logger.warning("no higher timeframe than %s in the folder: no HTF gate passes", timeframe)
        return configured
    logger.warning("no %s candles in the folder: higher timeframe %s", configured, higher[0])
    return higher[0]


def series_keys(
    match: SpotMatch, timeframes: Sequence[str], kinds: Iterable[CandleType]
) -> list[Key]:
    """Return the series that a backtest of a perp reads, without those of funding fees.

    :param timeframes: the timeframe, and the higher one.
    :param kinds: candle types of optional gates, on the first timeframe.
    """
    spot = [(str(match.spot), timeframe, CandleType(match.source)) for timeframe in timeframes]
    return [
        *((match.perp, timeframe, CandleType.FUTURES) for timeframe in timeframes),
        *(spot if match.spot else ()),
        *((match.perp, timeframes[0], kind) for kind in kinds),
    ]


def check_series(
    data: BacktestData,
    *,
    exchange: str = "binance",
    timerange: str | None = None,
    kinds: Collection[CandleType] = (),
    costs: Collection[str] = COSTS,
) -> list[str]:
    """Check every file that a backtest of these perps reads; return what its results leave out.

    :param timerange: freqtrade's ``--timerange``.
    :param kinds: candle types of the optional gates that are on.
    :param costs: which costs to report as missing, by their names in :func:`cost_keys`.
    :return: one line per series that is missing or covers too little time, with its pairs.
    :raises DataError: naming the first broken file.
    """
    span = TimeRange.parse_timerange(timerange)
    said: list[tuple[str, str]] = []
    for match in data.matches:
        perp = trim_dataframe(
            data.folder.read(match.perp, data.timeframe, CandleType.FUTURES), span
        )
        sentences = _about_candles(data, match, perp, span, kinds)
        sentences += _about_costs(data, cost_keys(match.perp, exchange), perp, span, costs)
        said += [(match.perp, sentence) for sentence in sentences]
    return by_sentence(said)


def _about_candles(
    data: BacktestData,
    match: SpotMatch,
    perp: DataFrame,
    span: TimeRange,
    kinds: Collection[CandleType],
) -> list[str]:
    """Return messages about a perp's candles and the series of its gates."""
    said = []
    timeframes = list(dict.fromkeys([data.timeframe, data.htf_timeframe]))
    for key in series_keys(match, timeframes, kinds):
        frame = data.folder.read(*key)
        said += unusable(data.folder, key, trim_dataframe(frame, span))
        _, timeframe, kind = key
        if kind in kinds:
            name, harm = kind.replace("_", " "), "its gate lets nothing pass"
        else:
            of = "" if kind == CandleType.FUTURES else f" of {match.name}"
            name, harm = f"{timeframe} candles{of}", "nothing is entered"
        if timeframe != data.timeframe:
            # If no perp has any, a message about the folder says so.
            if timeframe not in data.folder.timeframes:
                continue
            harm = "the HTF gate lets nothing pass"
        said += thin(perp, frame, name, f"elsewhere {harm}", timeframe)
    return said


def _about_costs(
    data: BacktestData,
    keys: Mapping[str, Key],
    perp: DataFrame,
    span: TimeRange,
    costs: Collection[str],
) -> list[str]:
    """Return messages about missing funding fees, and candles that the perp lacks beside them."""
    said = []
    for name, key in keys.items():
        frame = trim_dataframe(data.folder.read(*key), span)
        said += short(perp, frame, data.timeframe, name)
        if frame.empty:
            if mend := _mend_missing(data.folder, key, told=name in costs):
                said.append(f"no {key[1]} {name} in {data.folder.datadir}{mend}")
            continue
        if name in costs or key[2] == CandleType.FUNDING_RATE:
            said += unusable(data.folder, key, frame)
        if name in costs:
            said += thin(perp, frame, name, "elsewhere funding fees are left out")
    return said


def _mend_missing(folder: CandleFolder, key: Key, *, told: bool) -> str | None:
    """Return what results lack without a series, and how to mend it.

    :param told: whether to return a message even if no older file exists.
    """
    pair, timeframe, kind = key
    harm = ": FUNDING FEES ARE LEFT OUT of results"
    others = [other for name, other, of in folder.keys if (name, of) == (pair, kind)]
    if others and key not in folder.keys:
        file = folder.file(pair, others[0], kind).name
        right = file.replace(f"-{others[0]}-", f"-{timeframe}-")
        return f"{harm}; freqtrade does not read {file}: rename it to {right}, or download it again"
    return f"{harm}; perp-imbalance download-data downloads them" if told else None
