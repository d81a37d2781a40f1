"""Check whether two sources of a perp's premium agree."""

import math
from typing import NamedTuple

import numpy as np

from perp_imbalance.doctor.findings import Check, Level
from perp_imbalance.indicators.columns import z_by
from perp_imbalance.indicators.rolling import Bools, Floats
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.markets.spot_matching import SpotMatch

NAME = "second premium"

#: Below one of these, two measures of a premium are of different things, or one of them of nothing.
MIN_CORRELATION, MIN_EQUAL_SIGN = 0.3, 0.7
#: Fewer extremes than these tell nothing.
LEAST_EXTREMES = 10


class Comparison(NamedTuple):
    """A comparison of two sources of a premium.

    :ivar correlation: correlation of the premiums.
    :ivar extremes: number of candles on which z of the traded premium is beyond ``enter_z``.
    :ivar equal_sign: share of these on which both z-scores have the same sign; NaN without any.
    :ivar zeros: share of candles on which the premium index is 0; NaN if neither source is one.
    """

    candles: int
    correlation: float
    extremes: int
    equal_sign: float
    zeros: float


def compare_premiums(
    match: SpotMatch, fraction: Floats, other: SpotMatch, beside: Floats, thresholds: Thresholds
) -> Comparison | None:
    """Compare the traded premium of a perp with that of another source.

    :param match: the traded source.
    :param fraction: premiums of the traded source.
    :param other: another source.
    :param beside: premiums of the other source, on the same rows.
    :return: None if they have too few common candles, or if one is constant.
    """
    both: Bools = np.isfinite(fraction) & np.isfinite(beside)
    if both.sum() < thresholds.z_lookback or not fraction[both].std() or not beside[both].std():
        return None
    z, z_beside = (
        z_by(thresholds, values, dead_zone=source.is_premium).z
        for source, values in ((match, fraction), (other, beside))
    )
    extreme: Bools = (np.abs(z) >= thresholds.enter_z) & np.isfinite(z_beside)
    equal = np.sign(z[extreme]) == np.sign(z_beside[extreme])
    index = fraction if match.is_premium else beside if other.is_premium else None
    return Comparison(
        int(both.sum()),
        float(np.corrcoef(fraction[both], beside[both])[0, 1]),
        equal.size,
        float(np.mean(equal)) if equal.size else math.nan,
        math.nan if index is None else float(np.mean(index[both] == 0.0)),
    )


def check_comparison(match: SpotMatch, other: SpotMatch, found: Comparison) -> Check:
    """Check whether two sources of a premium agree.

    :param match: the traded source.
    :param other: another source.
    """
    message = f"{other.name}: correlation {found.correlation:.2f} over {found.candles} candles"
    if found.extremes:
        message += f", z of equal sign on {found.equal_sign:.0%} of {found.extremes} extremes"
    if not math.isnan(found.zeros):
        message += f"; the premium index is 0 on {found.zeros:.0%} of them"
    disagree = found.extremes >= LEAST_EXTREMES and found.equal_sign < MIN_EQUAL_SIGN
    if not disagree and found.correlation >= MIN_CORRELATION:
        return Check(NAME, Level.OK, message)
    return Check(
        NAME,
        Level.WARNING,
        f"{message}: {match.name} and it measure different things; look at both with "
        "perp-imbalance plot before money depends on one",
    )
