"""Check one pair: from its candles to figures and findings."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from freqtrade.enums import CandleType
from pandas import DataFrame

from perp_imbalance.data.left_out import FEW, named
from perp_imbalance.doctor import candle_checks, premium_checks, series_checks
from perp_imbalance.doctor.findings import Check, Level, PairFigures
from perp_imbalance.doctor.request_checks import Requests
from perp_imbalance.indicators.premium import mask_outliers, price_ratio, source_values
from perp_imbalance.indicators.quality import (
    premium_stdev,
    relative_tick,
    tick_noise,
    without_spot,
)
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.markets.pair_premium import PairPremium, pair_premium, passed_over
from perp_imbalance.markets.spot_matching import SpotMatch
from perp_imbalance.strategy.gate_series import gate_series, gate_series_keys
from perp_imbalance.strategy.settings import Settings

#: The name of the check that a perp has something to be compared with.
SPOT_PAIR = "spot pair"

_MARKETS = {CandleType.FUTURES: "perp", CandleType.PREMIUMINDEX: "premium_index"}


class Plan(NamedTuple):
    """The data that the strategy needs of each pair.

    :ivar strategy: the strategy, loaded by freqtrade; None if only candles are checked.
    :ivar switch_places: where the user can change the switch of each optional gate.
    """

    timeframe: str
    startup_candles: int
    settings: Settings
    thresholds: Thresholds
    strategy: Any = None
    switch_places: Mapping[str, str] = MappingProxyType({})

    @property
    def timeframes(self) -> list[str]:
        """The timeframe, and the higher one if the HTF gate is on."""
        higher = [self.settings.htf_timeframe] if self.thresholds.use_htf else []
        return [self.timeframe, *higher]

    def gate_series_keys_of(
        self, perp: str, funding_timeframe: str
    ) -> list[tuple[str, str, CandleType]]:
        """Return the series of the active optional gates."""
        kinds = gate_series(self.thresholds)
        return gate_series_keys(perp, kinds, self.timeframe, funding_timeframe)


class PairSnapshot(NamedTuple):
    """Data of a pair from the exchange.

    :ivar frames: candles by pair, timeframe and type, without series that have no candles.
    :ivar now_ms: the exchange's time before the candles were fetched.
    :ivar grace_ms: time after a close in which freqtrade waits for a late candle.
    :ivar precision: price step by pair, as stated by the exchange.
    :ivar funding_timeframe: freqtrade's timeframe of the funding rates in ``frames``.
    :ivar beside: another source of the pair's premium for comparison; it may have no candles.
    :ivar requests: requests of a bot at a candle on which all its timeframes close.
    """

    frames: Mapping[tuple[str, str, CandleType], DataFrame]
    now_ms: int
    grace_ms: int
    precision: Mapping[str, float]
    funding_timeframe: str = "1h"
    beside: SpotMatch | None = None
    requests: Requests = Requests()

    def source_candles(self, match: SpotMatch, timeframe: str) -> DataFrame | None:
        """Return the candles of a perp's premium source."""
        return self.frames.get((str(match.spot), timeframe, CandleType(match.source)))


@dataclass(slots=True)
class PairFindings:
    """The figures and findings of one pair."""

    figures: PairFigures
    checks: list[Check] = field(default_factory=list)

    def add(self, *checks: Check) -> None:
        """Add findings about this pair."""
        self.checks += [replace(check, pair=self.figures.perp) for check in checks]

    def measured(self, **figures: float | int | str | None) -> None:
        """Set figures."""
        self.figures = replace(self.figures, **figures)  # type: ignore[arg-type]


def examine_pair(match: SpotMatch, given: PairSnapshot, plan: Plan) -> PairFindings:
    """Check a perp and its spot pair."""
    scale = match.scale if match.spot else None
    found = PairFindings(PairFigures(match.perp, match.spot and match.name, scale, match.rule))
    perp = _feed(found, given, plan, match.perp, CandleType.FUTURES)
    if match.spot is None:
        message = f"{match.reason}: assign one in perp_imbalance.spot_pairs, or take it off the "
        found.add(Check(SPOT_PAIR, Level.MUST_FIX, message + "whitelist"))
        return found
    found.add(_about_match(match))
    spot = _feed(found, given, plan, match.spot, CandleType(match.source))
    if perp is not None and spot is not None:
        htf = _htf_candles(match, given, plan) if plan.thresholds.use_htf else None
        premium = pair_premium(match, perp, spot, plan.timeframe, htf=htf)
        _examine_premium(found, match, given, plan, (perp, spot, premium))
        _examine_crowd(found, match, given, plan, perp)
    return found


def settle_pair(
    match: SpotMatch, fetch: Callable[[SpotMatch], PairSnapshot], timeframe: str
) -> tuple[SpotMatch, PairSnapshot]:
    """Return the match whose prices agree, as the bot chooses it, and its candles.

    :param match: the match by names, with its alternatives.
    :param fetch: requests the candles of a source and of the perp.
    """
    given = fetch(match)
    while match.others:
        perp = given.frames.get((match.perp, timeframe, CandleType.FUTURES), DataFrame())
        candles = given.source_candles(match, timeframe)
        reason = passed_over(match, perp, candles, timeframe, is_live=True)
        if reason is None:
            break
        match = match.next(reason)
        given = fetch(match)
    return match, given


def merge_spotless(checks: Sequence[Check]) -> list[Check]:
    """Return the checks with all findings about missing spot pairs merged into one."""
    spotless = [
        check for check in checks if check.name == SPOT_PAIR and check.level is Level.MUST_FIX
    ]
    if len(spotless) <= FEW:
        return list(checks)
    pairs = [str(check.pair) for check in spotless]
    message = (
        f"{len(pairs)} pairs have no spot pair ({named(pairs)}): take them off the whitelist, "
        'assign spot pairs in perp_imbalance.spot_pairs, or set premium_source to "auto"; '
        "perp-imbalance pairs --whitelist lists them with the reasons"
    )
    at = list(checks).index(spotless[0])
    kept = [check for check in checks if check not in spotless]
    return [*kept[:at], Check(SPOT_PAIR, Level.MUST_FIX, message), *kept[at:]]


def _about_match(match: SpotMatch) -> Check:
    """Report the source of a perp's premium; warn about the user's own choice."""
    message = f"{match.name} × {match.scale:g} ({match.rule})"
    if match.passed_over:
        return Check(SPOT_PAIR, Level.WARNING, f"{match.name}, because {match.passed_over}")
    if match.rule != "override":
        return Check(SPOT_PAIR, Level.OK, message)
    message += ": your own assignment in perp_imbalance.spot_pairs; only its prices are checked"
    return Check(SPOT_PAIR, Level.WARNING, message)


def _feed(
    found: PairFindings, given: PairSnapshot, plan: Plan, pair: str, kind: CandleType
) -> DataFrame | None:
    """Check the age of a series; return the series if it has a price."""
    market = _MARKETS.get(kind, str(kind))
    frame = given.frames.get((pair, plan.timeframe, kind))
    if frame is None or not np.isfinite(source_values(frame, kind.value)).any():
        said = f"the exchange gives no {plan.timeframe} candles with a price of {market} {pair}"
        message = f"{said}: {_mend_no_candles(kind, plan.settings)}"
        found.add(Check(f"{market} candles", Level.MUST_FIX, message))
        return None
    age = candle_checks.freshness(
        frame, plan.timeframe, given.now_ms, given.grace_ms, kind=kind.value
    )
    stale = plan.settings.max_stale_candles if market != "perp" else 0
    found.add(
        candle_checks.check_freshness(
            f"{market} {pair}", age, plan.timeframe, max_stale_candles=stale
        )
    )
    found.measured(**{"perp_behind" if market == "perp" else "spot_behind": age.behind})
    return frame


def _mend_no_candles(kind: CandleType, settings: Settings) -> str:
    """Return advice about a series without candles."""
    if kind not in (CandleType.INDEX, CandleType.PREMIUMINDEX):
        return "is it halted or delisted? Take the pair off the whitelist"
    if settings.premium_source in ("index", "premium_index"):
        return 'set perp_imbalance.premium_source to "spot", or take the pair off the whitelist'
    return (
        f"premium_source {json.dumps(settings.premium_source)} uses it because there is no spot "
        "pair; assign one in perp_imbalance.spot_pairs, or take the pair off the whitelist"
    )


def _examine_premium(
    found: PairFindings,
    match: SpotMatch,
    given: PairSnapshot,
    plan: Plan,
    series: tuple[DataFrame, DataFrame, PairPremium],
) -> None:
    """Check the prices of perp and spot against each other."""
    perp, spot, premium = series
    fraction = premium.fraction
    _compare(found, match, given, plan, perp, fraction)
    checks = candle_checks.check_prices(match, fraction)
    # Of an index or of spot, some exchanges give fewer past candles than of the perp.
    begun = (perp["date"] >= min(spot["date"].iloc[0], perp["date"].iloc[-1])).to_numpy()
    share = without_spot(perp[begun], fraction[begun])
    ratio = math.nan if match.is_premium else price_ratio(fraction)
    found.measured(price_ratio=ratio, without_spot=share)
    found.add(*checks, candle_checks.check_without_spot(share, match.name))
    if any(check.level is Level.MUST_FIX for check in checks):
        # A premium of two coins, or of none, has no noise to speak of.
        return
    _examine_ticks(found, match, given, plan, (perp, spot, fraction))
    if plan.thresholds.use_htf:
        timeframe = plan.settings.htf_timeframe
        found.add(candle_checks.check_higher_timeframe(premium.htf, plan.thresholds, timeframe))


def _compare(
    found: PairFindings,
    match: SpotMatch,
    given: PairSnapshot,
    plan: Plan,
    perp: DataFrame,
    fraction: Floats,
) -> None:
    """Compare the premium with that of another source, if the exchange has its candles."""
    other = given.beside
    if other is None:
        return
    candles = given.source_candles(other, plan.timeframe)
    if candles is None:
        return
    beside = pair_premium(other, perp, candles, plan.timeframe)
    if beside.refusal is None:
        figures = premium_checks.compare_premiums(
            *(match, mask_outliers(fraction), other, beside.columns["premium"]), plan.thresholds
        )
        if figures is not None:
            found.add(premium_checks.check_comparison(match, other, figures))
            found.measured(second=other.name, **figures._asdict())


def _examine_ticks(
    found: PairFindings,
    match: SpotMatch,
    given: PairSnapshot,
    plan: Plan,
    series: tuple[DataFrame, DataFrame, Floats],
) -> None:
    """Check the coarser of the two ticks against the premium's standard deviation."""
    perp, spot, fraction = series
    kinds = {CandleType.FUTURES: (match.perp, perp)}
    if not match.is_premium:
        kinds[CandleType(match.source)] = (str(match.spot), spot)
    tick, market = max(
        (
            relative_tick(frame, given.precision[pair], source_values(frame, kind.value)),
            f"{_MARKETS.get(kind, str(kind))} {pair}",
        )
        for kind, (pair, frame) in kinds.items()
    )
    stdev = premium_stdev(fraction, plan.thresholds.len_prem)
    noise = tick_noise(tick, stdev)
    found.measured(premium_stdev=stdev, tick=tick, tick_noise=noise)
    found.add(candle_checks.check_tick_noise(noise, tick, market, plan.thresholds.enter_z))


def _examine_crowd(
    found: PairFindings, match: SpotMatch, given: PairSnapshot, plan: Plan, perp: DataFrame
) -> None:
    """Check the series of the active optional gates."""
    for key in plan.gate_series_keys_of(match.perp, given.funding_timeframe):
        frame = given.frames.get(key, DataFrame(columns=["date"]))
        found.add(
            series_checks.check_series(
                perp, frame, key[2], plan.timeframe, plan.thresholds, plan.switch_places
            )
        )


def _htf_candles(
    match: SpotMatch, given: PairSnapshot, plan: Plan
) -> tuple[DataFrame | None, DataFrame | None, str]:
    """Return the candles of perp and spot on the higher timeframe, and that timeframe."""
    timeframe = plan.settings.htf_timeframe
    return (
        given.frames.get((match.perp, timeframe, CandleType.FUTURES)),
        given.frames.get((str(match.spot), timeframe, CandleType(match.source))),
        timeframe,
    )
