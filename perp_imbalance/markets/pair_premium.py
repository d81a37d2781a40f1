"""Compute the premium of a perp over its spot pair or index, for bot, scan, doctor and research."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from pandas import DataFrame

from perp_imbalance.indicators.columns import HtfPremium, htf_premium, premium_columns, spot_premium
from perp_imbalance.indicators.premium import is_perp_itself
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.markets.spot_matching import SpotMatch, price_refusal

_NO_CANDLES = ("date", "open", "high", "low", "close", "volume")


class PairPremium(NamedTuple):
    """The premiums of a perp, one per candle.

    :ivar fraction: unfiltered premiums, for sanity checks of the prices.
    :ivar columns: ``spot_close``, ``premium``, ``premium_pct``; all NaN if the match is refused.
    :ivar refusal: why names or prices do not match; None if they do.
    :ivar htf: premiums of the higher timeframe; None without candles of it, or if the match is
        refused.
    """

    fraction: Floats
    columns: dict[str, Floats]
    refusal: str | None
    htf: HtfPremium | None


def pair_premium(
    match: SpotMatch,
    perp: DataFrame,
    spot: DataFrame | None,
    timeframe: str,
    *,
    htf: tuple[DataFrame | None, DataFrame | None, str] | None = None,
) -> PairPremium:
    """Return the premium of a perp, or the reason why it cannot be traded.

    :param match: the source of the premium, and the scale.
    :param perp: candles of the perp, in order of time.
    :param spot: candles of ``match.spot`` on the same timeframe; None without candles.
    :param timeframe: the length of these candles, for the message.
    :param htf: candles of both on a higher timeframe, and that timeframe.
    :raises DataError: if candles are not in order of time.

    >>> match = SpotMatch("X/USDT:USDT", "X/USDT", 1, "identical", None)
    >>> dates = pd.date_range("2025-01-01", periods=2, freq="1h", tz="UTC")
    >>> perp = pd.DataFrame({"date": dates, "close": [1.02, 1.01], "volume": 1.0})
    >>> pair_premium(match, perp, perp.assign(close=1.0), "1h").columns["premium_pct"].round(2)
    array([2., 1.])
    >>> pair_premium(match, perp, None, "1h").refusal
    'it has no 1h candle in which both it and X/USDT were traded'
    """
    found = spot_premium(perp, _frame(spot), match.scale, source=match.source)
    columns = premium_columns(found)
    refusal = match.reason or price_refusal(match, found.fraction, timeframe)
    if refusal:
        columns = {name: np.full(len(perp), np.nan) for name in columns}
    return PairPremium(
        found.fraction, columns, refusal, None if refusal else _htf_premium(match, htf)
    )


def settle(
    match: SpotMatch,
    perp: DataFrame,
    candles_of: Callable[[SpotMatch], DataFrame | None],
    timeframe: str,
) -> SpotMatch:
    """Return the first source of a perp's premium whose prices match; the last if none does.

    A spot pair with the right name and the wrong price is skipped like a missing one. Candles of
    the perp stored under the name of its spot pair are not skipped: the user must mend them.

    :param match: the match by names, with its alternatives.
    :param perp: candles of the perp, in order of time.
    :param candles_of: returns candles of a source on the same timeframe.
    :param timeframe: the length of these candles, for the message.
    """
    while match.others:
        reason = passed_over(match, perp, candles_of(match), timeframe)
        if reason is None:
            break
        match = match.next(reason)
    return match


def passed_over(
    match: SpotMatch,
    perp: DataFrame,
    candles: DataFrame | None,
    timeframe: str,
    *,
    is_live: bool = False,
) -> str | None:
    """Return why the prices of a source do not match those of the perp; None if they match.

    :param is_live: whether the candles were just requested; a source without candles is then not
        refused, since a request may have failed.
    """
    if perp.empty or (is_live and match.source == "spot" and _frame(candles).empty):
        return None
    found = spot_premium(perp, _frame(candles), match.scale, source=match.source)
    reason = price_refusal(match, found.fraction, timeframe)
    return None if is_perp_itself(found.fraction) and not match.is_premium else reason


def _htf_premium(
    match: SpotMatch, htf: tuple[DataFrame | None, DataFrame | None, str] | None
) -> HtfPremium | None:
    if htf is None:
        return None
    perp, spot, timeframe = htf
    premiums = htf_premium(_frame(perp), _frame(spot), timeframe, match.scale, source=match.source)
    return premiums if np.isfinite(premiums.premium).any() else None


def _frame(candles: DataFrame | None) -> DataFrame:
    """Return candles; an empty frame with their columns if there are none."""
    if candles is None or candles.empty:
        return DataFrame(columns=list(_NO_CANDLES))
    return candles
