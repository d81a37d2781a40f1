"""The thresholds of the signal and the presets: the one place of their values.

Source: ``docs/reference/signal.md``, "Parameters and presets".
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

from perp_imbalance.errors import SettingsError

Side = Literal["long", "short"]

#: The timeframe of the strategy, unless the config names another.
TIMEFRAME = "1h"

#: The higher timeframe of every preset, unless the config names another.
HTF_TIMEFRAME = "4h"

#: Candles in a row without a premium after which a bias ends, unless the config says otherwise.
MAX_STALE_CANDLES = 12


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What decides when a premium is extreme and when a bias becomes an entry.

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
    :param hot_z: ``|z|`` at which the tint of a drawing is fully hot; above 0. No signal uses it.
    :param use_funding: whether an entry needs the funding rate to say the same; no preset does.
    :param funding_min: rate that the crowded side pays at least, as a fraction per 8 hours; at
        least 0.
    :param use_oi: whether an entry needs rising open interest; no preset does.
    :param oi_len: candles over which it must have risen; at least 1.
    :param oi_min: share by which; above -1.
    :param min_deviation_bps: how far from its own median a premium must be for an entry, in basis
        points; at least 0, which is off.
    :param dev_len: finite premiums in the window of that median; at least 2.
    :param robust_z: whether z is computed with median and MAD over ``dev_len`` premiums in place of
        mean and standard deviation over ``len_prem``; no preset does.
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
        """Refuse what cannot be traded with."""
        rules = (
            ("exit_z", self.exit_z > 0, "above 0"),
            ("enter_z", self.enter_z > self.exit_z, f"above exit_z ({self.exit_z:g})"),
            ("len_prem", self.len_prem >= 2, "at least 2"),
            ("smooth_len", self.smooth_len >= 1, "at least 1"),
            ("bb_len", self.bb_len >= 2, "at least 2"),
            ("bb_k", self.bb_k > 0, "above 0"),
            ("htf_z_min", self.htf_z_min >= 0, "at least 0"),
            ("funding_min", self.funding_min >= 0, "at least 0"),
            ("oi_len", self.oi_len >= 1, "at least 1"),
            ("oi_min", self.oi_min > -1, "above -1"),
            ("min_deviation_bps", self.min_deviation_bps >= 0, "at least 0"),
            ("dev_len", self.dev_len >= 2, "at least 2"),
            ("hot_z", self.hot_z > 0, "above 0"),
        )
        for name, holds, demand in rules:
            if not holds:
                raise SettingsError(f"{name} is {getattr(self, name):g}, it must be {demand}")

    @property
    def z_len(self) -> int:
        """Premiums in the window of z: of its mean, or of its median."""
        return self.dev_len if self.robust_z else self.len_prem

    @property
    def z_lookback(self) -> int:
        """Candles before z has a value, on a market without gaps."""
        window = 2 * self.dev_len - 1 if self.robust_z else self.len_prem
        return window + self.smooth_len - 1

    @property
    def lookback(self) -> int:
        """Candles before every column has a full window, on a market without gaps."""
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
