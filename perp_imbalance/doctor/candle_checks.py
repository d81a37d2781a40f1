"""Checks of a pair's candles: pure functions from candles to findings."""

import math
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from freqtrade.exchange import timeframe_to_msecs

from perp_imbalance.doctor.findings import Check, Level
from perp_imbalance.indicators.columns import HtfPremium
from perp_imbalance.indicators.premium import (
    Source,
    is_perp_itself,
    is_same_coin,
    open_times,
    price_ratio,
    source_values,
)
from perp_imbalance.indicators.quality import (
    MAX_WITHOUT_SPOT,
    WARN_TICK_NOISE,
    WARN_WITHOUT_SPOT,
    max_tick_noise,
)
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.markets.spot_matching import SpotMatch

# A feed that is this many candles late may still be a pair that nobody traded for a moment.
MAX_BEHIND = 2

_MILLISECOND = 10**6


class Freshness(NamedTuple):
    """Age of the newest price in closed candles, and the longest gap before it."""

    behind: int
    longest_gap: int
    in_grace: bool


def freshness(
    candles: pd.DataFrame,
    timeframe: str,
    now_ms: int,
    grace_ms: int = 0,
    *,
    kind: Source | Literal["futures"] = "spot",
) -> Freshness:
    """Return the age of the newest price in closed candles.

    :param candles: columns ``date``, ``close`` and ``volume``, at least one of them with a price.
    :param now_ms: the exchange's time.
    :param grace_ms: time after the close of a candle in which it may still be missing.
    :param kind: type of the candles; those of an index have no volume.
    """
    length = timeframe_to_msecs(timeframe)
    fresh = np.flatnonzero(np.isfinite(source_values(candles, kind)))
    newest = int(open_times(candles, "newest")[fresh[-1]]) // _MILLISECOND
    behind = max(0, now_ms // length - 1 - newest // length)
    gaps = np.diff(fresh) - 1
    longest = int(gaps.max()) if gaps.size else 0
    return Freshness(behind, longest, behind == 1 and now_ms % length < grace_ms)


def check_freshness(
    market: str, found: Freshness, timeframe: str, *, max_stale_candles: int = 0
) -> Check:
    """Check the age of the newest price against the usual gaps of the same candles.

    :param market: name of the market, such as ``spot PEPE/USDT``.
    :param max_stale_candles: consecutive candles without a premium that end a bias; 0 for never.
    """
    name = f"{market.partition(' ')[0]} candles"
    behind = found.behind
    if not behind or found.in_grace:
        return Check(name, Level.OK, f"{market} has the last closed {timeframe} candle")
    said = f"the newest price of {market} is {behind} {timeframe} candles late"
    if behind > max(MAX_BEHIND, found.longest_gap) or 0 < max_stale_candles < behind:
        mend = "is it halted or delisted? Wait until it trades, or take the pair off the whitelist"
        return Check(name, Level.MUST_FIX, f"{said}: {mend}")
    return Check(name, Level.WARNING, f"{said}: no entries until it trades; run the doctor again")


def check_prices(match: SpotMatch, fraction: Floats) -> list[Check]:
    """Check that perp and spot have prices of the same coin, but are not the same market.

    :param fraction: the premium of each candle, as a fraction of the spot price.
    """
    ratio = price_ratio(fraction)
    if math.isnan(ratio):
        message = f"no candle has a price of it and of {match.name} at once: see the candles"
        return [Check("price ratio", Level.MUST_FIX, message)]
    if match.is_premium:
        return []
    if not is_same_coin(ratio):
        message = (
            f"its price is {ratio:.3g} times that of {match.name} (scale {match.scale:g}): not the "
            "same coin; assign the right pair and scale in perp_imbalance.spot_pairs, or take it "
            "off the whitelist"
        )
        return [Check("price ratio", Level.MUST_FIX, message)]
    checks = [Check("price ratio", Level.OK, f"perp / scale / spot is {ratio:.4f}")]
    if is_perp_itself(fraction):
        message = (
            f"the exchange answers for {match.name} with the candles of the perp: every "
            "premium is 0; see defaultType in docs/concepts/premium.md, or take it off the "
            "whitelist"
        )
        return [*checks, Check("own spot", Level.MUST_FIX, message)]
    return [*checks, Check("own spot", Level.OK, "perp and spot are two markets")]


def check_without_spot(share: float, spot: str) -> Check:
    """Check the share of candles without a spot price."""
    name = "spot share"
    if share <= WARN_WITHOUT_SPOT:
        return Check(name, Level.OK, f"{share:.1%} of its candles have no spot price")
    said = f"{share:.0%} of its candles have no price of {spot}, and without one none is an entry"
    if share > MAX_WITHOUT_SPOT:
        return Check(name, Level.MUST_FIX, f"{said}: use a longer timeframe or another pair")
    return Check(name, Level.WARNING, f"{said}: a longer timeframe has more")


def check_tick_noise(noise: float, tick: float, market: str, enter_z: float) -> Check:
    """Check a tick against the premium's standard deviation.

    :param noise: tick divided by standard deviation: how much one tick moves z.
    :param tick: the tick as a fraction of the price.
    :param market: name of the market with this tick, such as ``spot PEPE/USDT``.
    """
    name = "tick noise"
    if noise < WARN_TICK_NOISE:
        return Check(name, Level.OK, f"one tick of {market} moves z by {noise:.2f}")
    if math.isinf(noise):
        message = (
            "its premium does not move over most windows of len_prem candles, so z means nothing"
        )
        return Check(name, Level.MUST_FIX, f"{message}; take the pair off the whitelist")
    said = (
        f"one tick of {market} is {tick * 1e4:.3g} bps and moves z by {noise:.2g} (enter_z is "
        f"{enter_z:g})"
    )
    if noise >= max_tick_noise(enter_z):
        message = f"{said}: the premium is nearly all rounding; take the pair off the whitelist"
        return Check(name, Level.MUST_FIX, message)
    message = f"{said}: signals may be rounding; a longer timeframe has less of it"
    return Check(name, Level.WARNING, message)


def check_higher_timeframe(htf: HtfPremium | None, thresholds: Thresholds, timeframe: str) -> Check:
    """Check whether the HTF gate can have a z-score.

    :param htf: the premiums of the higher timeframe; None without any.
    """
    needed = thresholds.z_lookback
    found = 0 if htf is None else int(np.isfinite(htf.premium).sum())
    if found >= needed:
        return Check("higher timeframe", Level.OK, f"{found} {timeframe} premiums")
    message = (
        f"the HTF gate needs {needed} {timeframe} premiums and the exchange gives {found}: it "
        "would pass nothing; set a shorter htf_timeframe, or use_htf to false"
    )
    return Check("higher timeframe", Level.MUST_FIX, message)
