"""Whether two measures of a perp's premium say the same."""

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


def compare_premiums(
    match: SpotMatch, fraction: Floats, other: SpotMatch, beside: Floats, thresholds: Thresholds
) -> Check | None:
    """Compare the premium that a perp is traded by with another measure of it.

    :param match: what it is traded by.
    :param fraction: the premiums of it.
    :param other: another source.
    :param beside: the premiums of that, on the same rows.
    :return: None where they have too few candles in common.
    """
    both: Bools = np.isfinite(fraction) & np.isfinite(beside)
    if both.sum() < thresholds.z_lookback or not fraction[both].std() or not beside[both].std():
        return None
    correlation = float(np.corrcoef(fraction[both], beside[both])[0, 1])
    z, z_beside = (
        z_by(thresholds, values, dead_zone=source.is_premium).z
        for source, values in ((match, fraction), (other, beside))
    )
    extreme: Bools = (np.abs(z) >= thresholds.enter_z) & np.isfinite(z_beside)
    count = int(extreme.sum())
    message = f"{other.name}: correlation {correlation:.2f} over {both.sum()} candles"
    share = 1.0
    if count:
        share = float(np.mean(np.sign(z[extreme]) == np.sign(z_beside[extreme])))
        message += f", z of equal sign on {share:.0%} of {count} extremes"
    zeros = beside if other.is_premium else fraction
    if match.is_premium or other.is_premium:
        message += f"; the premium index is 0 on {np.mean(zeros[both] == 0.0):.0%} of them"
    disagree = correlation < MIN_CORRELATION or (count >= LEAST_EXTREMES and share < MIN_EQUAL_SIGN)
    if not disagree:
        return Check(NAME, Level.OK, message)
    return Check(
        NAME,
        Level.WARNING,
        f"{message}: {match.name} and it measure different things; look at both with "
        "perp-imbalance plot before money depends on one",
    )
