"""Check the candle files of a backtest: complete, readable, and spot is not the perp."""

from collections.abc import Sequence
from pathlib import Path

from freqtrade.enums import CandleType
from pandas import DataFrame

from perp_imbalance.data.backtest_data import BacktestData, check_series, series_keys
from perp_imbalance.data.folder import CandleFolder, Key, available_candles, cost_keys
from perp_imbalance.doctor.findings import Check, Level
from perp_imbalance.errors import DataError
from perp_imbalance.indicators.premium import is_perp_itself, is_same_coin, price_ratio
from perp_imbalance.markets.pair_premium import pair_premium
from perp_imbalance.markets.spot_matching import SpotMatch

NAME = "local data"


def examine_local_data(
    datadir: Path,
    data_format: str,
    matches: Sequence[SpotMatch],
    timeframes: Sequence[str],
    *,
    exchange: str,
    kinds: Sequence[CandleType] = (),
) -> list[Check]:
    """Check every file that a backtest of these pairs reads.

    :param data_format: the config's ``dataformat_ohlcv``.
    :param timeframes: the timeframe, and the higher one if its gate is on.
    :param exchange: the config's exchange.
    :param kinds: series of the optional gates that a backtest reads from separate files.
    :raises DataError: if no candles have the config's format.
    """
    needed = {
        match: [
            *series_keys(match, timeframes, kinds),
            *cost_keys(match.perp, exchange).values(),
        ]
        for match in matches
    }
    if not available_candles(datadir):
        missing = [key for keys in needed.values() for key in keys]
        return [check_complete(datadir, missing, len(matches))]
    folder = CandleFolder(datadir, data_format)
    missing = []
    checks: list[Check] = []
    broken: dict[str, Check] = {}
    whole = []
    for match, keys in needed.items():
        frames: dict[Key, DataFrame] = {}
        for key in keys:
            try:
                frames[key] = folder.read(*key)
            except DataError as error:
                broken.setdefault(str(error), Check(NAME, Level.MUST_FIX, str(error), match.perp))
                continue
            if frames[key].empty:
                missing.append(key)
        for timeframe in timeframes if match.spot else ():
            perp = frames.get((match.perp, timeframe, CandleType.FUTURES))
            spot = frames.get((str(match.spot), timeframe, CandleType(match.source)))
            if perp is not None and spot is not None and len(perp) and len(spot):
                checks.append(check_files(match, perp, spot, timeframe))
        if len(frames) == len(keys) and not any(frame.empty for frame in frames.values()):
            whole.append(match)
    data = BacktestData(folder, timeframes[0], timeframes[-1], whole)
    checks += [
        Check(NAME, Level.WARNING, line)
        for line in check_series(data, exchange=exchange, kinds=kinds)
    ]
    if not missing and broken:
        return [*broken.values(), *checks]
    return [check_complete(datadir, missing, len(matches)), *broken.values(), *checks]


def check_complete(datadir: Path, missing: Sequence[Key], pairs: int) -> Check:
    """Warn about series that a backtest would miss; a live bot does not read files.

    :param missing: the series without a file.
    :param pairs: number of checked pairs.
    """
    if not missing:
        return Check(NAME, Level.OK, f"{datadir} has all that a backtest of {pairs} pairs reads")
    pair, timeframe, kind = missing[0]
    more = f" and {len(missing) - 1} more series" if len(missing) > 1 else ""
    message = (
        f"{datadir} lacks {kind} candles of {pair} {timeframe}{more}, which only a backtest needs: "
        "perp-imbalance download-data downloads them"
    )
    return Check(NAME, Level.WARNING, message)


def check_files(match: SpotMatch, perp: DataFrame, spot: DataFrame, timeframe: str) -> Check:
    """Check that local spot candles are not those of the perp, as older tools wrote them."""
    fraction = pair_premium(match, perp, spot, timeframe).fraction
    said = f"the local {timeframe} candles of {match.name}"
    if match.is_premium:
        return Check(NAME, Level.OK, f"{said} are whole", match.perp)
    if is_perp_itself(fraction):
        message = (
            f"{said} are those of the perp: delete the file and download {match.source} candles "
            "again"
        )
        return Check(NAME, Level.MUST_FIX, message, match.perp)
    ratio = price_ratio(fraction)
    if not is_same_coin(ratio):
        message = (
            f"{said} do not fit the perp's (price ratio {ratio:.3g}): delete both files and "
            "download them again"
        )
        return Check(NAME, Level.MUST_FIX, message, match.perp)
    return Check(NAME, Level.OK, f"{said} are not the perp's", match.perp)
