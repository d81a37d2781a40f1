"""The candles of a backtest: whether they are there, and whether spot is not the perp."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from freqtrade.data.history import get_datahandler
from freqtrade.enums import CandleType
from pandas import DataFrame

from perp_imbalance.doctor.findings import Check, Level
from perp_imbalance.indicators.columns import spot_premium
from perp_imbalance.indicators.premium import is_perp_itself, is_same_coin, price_ratio
from perp_imbalance.markets.spot_matching import SpotMatch

NAME = "local data"

Key = tuple[str, str, CandleType]


class Needed(NamedTuple):
    """What a backtest reads: timeframes of traded candles, mark prices and funding, other series.

    :ivar series: those of gates, on the first timeframe.
    """

    traded: Sequence[str]
    mark: str
    funding: str
    series: Sequence[CandleType] = ()

    def keys(self, match: SpotMatch) -> list[Key]:
        """Return what a backtest reads of one pair."""
        source = CandleType(match.source)
        spots = [(str(match.spot), timeframe, source) for timeframe in self.traded]
        return [
            *((match.perp, timeframe, CandleType.FUTURES) for timeframe in self.traded),
            *(spots if match.spot else ()),
            (match.perp, self.mark, CandleType.MARK),
            (match.perp, self.funding, CandleType.FUNDING_RATE),
            *((match.perp, self.traded[0], kind) for kind in self.series),
        ]


def check_complete(datadir: Path, missing: Sequence[Key], pairs: int) -> Check:
    """Say which series a backtest would miss: a warning, because a live bot reads none.

    :param missing: the series that no file holds.
    :param pairs: how many pairs were looked at.
    """
    if not missing:
        return Check(NAME, Level.OK, f"{datadir} has what a backtest of {pairs} pairs reads")
    pair, timeframe, kind = missing[0]
    more = f" and {len(missing) - 1} more series" if len(missing) > 1 else ""
    message = (
        f"{datadir} lacks {kind} candles of {pair} {timeframe}{more}, which only a backtest needs: "
        "perp-imbalance download-data brings them"
    )
    return Check(NAME, Level.WARNING, message)


def check_files(match: SpotMatch, perp: DataFrame, spot: DataFrame, timeframe: str) -> Check:
    """Compare local spot candles with the perp's: older tools wrote the one into the other."""
    fraction = spot_premium(perp, spot, match.scale, by_volume=match.has_volume).fraction
    said = f"the local {timeframe} candles of {match.name}"
    if is_perp_itself(fraction):
        message = (
            f"{said} are those of the perp: delete the file and download {match.source} candles "
            "anew"
        )
        return Check(NAME, Level.MUST_FIX, message, match.perp)
    ratio = price_ratio(fraction)
    if not is_same_coin(ratio):
        message = (
            f"{said} do not fit the perp's (price ratio {ratio:.3g}): delete both files and "
            "download them anew"
        )
        return Check(NAME, Level.MUST_FIX, message, match.perp)
    return Check(NAME, Level.OK, f"{said} are not the perp's", match.perp)


def read(datadir: Path, keys: Iterable[Key], formats: dict[Key, str]) -> list[DataFrame]:
    """Return the candles of files that are there, as they are in them."""
    return [
        get_datahandler(datadir, formats[key]).ohlcv_load(
            *key, fill_missing=False, warn_no_data=False
        )
        for key in keys
    ]
