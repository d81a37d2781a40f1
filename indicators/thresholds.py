"""The thresholds of the signal and the presets. No other module repeats their values.

Source: ``docs/reference/signal.md``, "Parameters and presets".
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple

from perp_imbalance.errors import SettingsError

Side = Literal["long", "short"]

#: The timeframe of the strategy, unless the config names another.
TIMEFRAME = "1h"

#: The higher timeframe of every preset, unless the config names another.
HTF_TIMEFRAME = "4h"

#: Candles in a row without a premium after which a bias ends, unless the config says otherwise.
MAX_STALE_CANDLES = 12

# Above all that a z-score, a number of candles or any other threshold can be.
_HIGHEST = 1e9


class _Bound(NamedTuple):
    """The range of a threshold: at least ``low``, or above it, and at most ``high``."""

    low: float
    is_above: bool = False
    high: float = _HIGHEST


#: The bounds of every threshold that is a number.
BOUNDS = {
    "exit_z": _Bound(0, is_above=True),
    "enter_z": _Bound(0, is_above=True),
    "len_prem": _Bound(2),
    "smooth_len": _Bound(1),
    "bb_len": _Bound(2),
    "bb_k": _Bound(0, is_above=True, high=100),
    "htf_z_min": _Bound(0),
    "funding_min": _Bound(0, high=1),
    "oi_len": _Bound(1),
    "oi_min": _Bound(-1, is_above=True, high=1_000),
    "min_deviation_bps": _Bound(0, high=10_000),
    "dev_len": _Bound(2),
    "hot_z": _Bound(0, is_above=True),
}


def check_threshold(name: str, value: float) -> None:
    """Refuse a value outside the range of a threshold.

    :param name: a threshold; one that is not in :data:`BOUNDS` may have any value.
    :raises SettingsError: one line that says which values are allowed.

    >>> check_threshold("min_deviation_bps", 10.0)
    """
    if name not in BOUNDS:
        return
    low, is_above, high = BOUNDS[name]
    # Not a number is neither.
    if not (value > low if is_above else value >= low):
        demand = f"above {low:g}" if is_above else f"at least {low:g}"
        raise SettingsError(f"{name} is {value:g}, it must be {demand}")
    if value > high:
        raise SettingsError(f"{name} is too high, it must be at most {high:g}")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Thresholds that decide when a premium is extreme and when a bias becomes an entry.

    The defaults are the preset "balanced intraday".

    :param enter_z: ``|z|`` at which a bias begins; above ``exit_z``.
    :param exit_z: ``|z|`` below which a bias ends; above 0.
    :param len_prem: finite premiums in the window of the z-score; at least 2.
    :param smooth_len: period of the EMA over the raw z-score; 1 does not smooth.
    :param use_sigma: whether an entry needs the close outside the Bollinger bands.
    :param bb_len: candles in the window of the bands; at least 2.
    :param bb_k: width of the bands in standard deviations; above 0.
    :param use_htf: whether an entry needs the z-score of the higher timeframe to agree.
    :param htf_z_min: ``|htf_z|`` from which the higher timeframe agrees; at least 0.
    :param hot_z: ``|z|`` at which the chart's tint is strongest; above 0. No signal uses it.
    :param use_funding: whether an entry needs the funding rate to agree; off in every preset.
    :param funding_min: lowest rate that the crowded side must pay, a fraction per 8 hours; at
        least 0.
    :param use_oi: whether an entry needs rising open interest; off in every preset.
    :param oi_len: candles over which open interest must have risen; at least 1.
    :param oi_min: relative change over those candles that is needed; above -1.
    :param min_deviation_bps: smallest distance of the premium from its own median for an entry, in
        basis points; at least 0, and 0 switches it off.
    :param dev_len: finite premiums in the window of that median; at least 2.
    :param robust_z: whether z uses median and MAD over ``dev_len`` premiums instead of mean and
        standard deviation over ``len_prem``; off in every preset.
    :raises SettingsError: if a value lies outside its allowed range.

    >>> Thresholds(enter_z=2.0).exit_z
    0.9
    """

    enter_z: float = 1.7
    exit_z: float = 0.9
    len_prem: int = 50
    smooth_len: int = 3
    use_sigma: bool = True
    bb_len: int = 100
    bb_k: float = 1.25
    use_htf: bool = False
    htf_z_min: float = 0.8
    hot_z: float = 3.0
    use_funding: bool = False
    funding_min: float = 0.0001
    use_oi: bool = False
    oi_len: int = 12
    oi_min: float = 0.01
    min_deviation_bps: float = 0.0
    dev_len: int = 200
    robust_z: bool = False

    def __post_init__(self) -> None:
        """Refuse values that cannot be traded."""
        for name in BOUNDS:
            check_threshold(name, getattr(self, name))
        if not self.enter_z > self.exit_z:
            raise SettingsError(
                f"enter_z is {self.enter_z:g}, it must be above exit_z ({self.exit_z:g})"
            )

    @property
    def z_len(self) -> int:
        """Premiums in the window of z: ``dev_len`` for robust z, else ``len_prem``."""
        return self.dev_len if self.robust_z else self.len_prem

    @property
    def z_lookback(self) -> int:
        """Candles needed before z has a value, on a market without gaps."""
        window = 2 * self.dev_len - 1 if self.robust_z else self.len_prem
        return window + self.smooth_len - 1

    @property
    def highest_z(self) -> float:
        """The highest possible z-score: one premium differs, all others are equal.

        >>> Thresholds(len_prem=50).highest_z
        7.0
        """
        return math.inf if self.robust_z else math.sqrt(self.len_prem - 1)

    @property
    def lookback(self) -> int:
        """Candles needed before every column has a full window, on a market without gaps."""
        return max(self.z_lookback, self.bb_len, self.oi_len + 1, self.dev_len)


#: Names of all thresholds, in the order of the presets' table.
THRESHOLD_NAMES = tuple(field.name for field in fields(Thresholds))

PRESETS = {
    "conservative": Thresholds(
        enter_z=2.0, exit_z=1.0, len_prem=70, smooth_len=5, bb_k=1.5, use_htf=True
    ),
    "balanced": Thresholds(),
    "aggressive": Thresholds(
        enter_z=1.3,
        exit_z=0.7,
        len_prem=25,
        smooth_len=2,
        use_sigma=False,
        bb_k=1.0,
        htf_z_min=0.6,
        hot_z=2.5,
    ),
    # Of this project, not of the source.
    "deep_discount": Thresholds(min_deviation_bps=10.0),
}

#: The sides that a preset enters, of those that do not enter both.
PRESET_SIDES: Mapping[str, tuple[Side, ...]] = {"deep_discount": ("long",)}
