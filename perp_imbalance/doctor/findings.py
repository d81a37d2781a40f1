"""The doctor's findings: checks with three levels, figures of each pair, and a verdict."""

import math
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

PASS, FIX = "PASS", "FIX"


class Level(StrEnum):
    """The level of a finding; only MUST_FIX changes the verdict."""

    OK = "ok"
    WARNING = "warning"
    MUST_FIX = "must be fixed"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: the subject of the check, and one line with the result and how to mend it.

    :ivar pair: the perp it is about; None if it is about the whole bot.
    """

    name: str
    level: Level
    message: str
    pair: str | None = None

    def __str__(self) -> str:
        return f"{self.pair or self.name}: {self.message}"


@dataclass(frozen=True, slots=True)
class PairFigures:
    """Figures of a pair; NaN or None if unknown.

    :ivar price_ratio: median of perp / scale / spot.
    :ivar perp_behind: age of the perp's newest price, in closed candles.
    :ivar spot_behind: age of the spot pair's newest price, in closed candles.
    :ivar without_spot: share of the perp's candles that have no spot price.
    :ivar premium_stdev: standard deviation of the premium, a fraction.
    :ivar tick: the coarser tick of spot and perp, as a fraction of the price.
    :ivar tick_noise: ``tick / premium_stdev``.
    :ivar second: another source of its premium, for comparison.
    :ivar candles: number of candles with both premiums.
    :ivar correlation: correlation of the two premiums.
    :ivar extremes: number of candles on which z of the traded premium is beyond ``enter_z``.
    :ivar equal_sign: share of these candles on which both z-scores have the same sign.
    :ivar zeros: share of candles on which the premium index is 0, if one source is the premium
        index.
    :ivar leverage: leverage of its positions, at most the exchange's limit.
    :ivar stop: distance from the price to the stoploss, a fraction of the price.
    :ivar liquidation: distance to the nearer liquidation price of a long and a short, a fraction of
        the price.
    """

    perp: str
    spot: str | None
    scale: float | None
    rule: str | None
    price_ratio: float = math.nan
    perp_behind: int | None = None
    spot_behind: int | None = None
    without_spot: float = math.nan
    premium_stdev: float = math.nan
    tick: float = math.nan
    tick_noise: float = math.nan
    second: str | None = None
    candles: int | None = None
    correlation: float = math.nan
    extremes: int | None = None
    equal_sign: float = math.nan
    zeros: float = math.nan
    leverage: float = math.nan
    stop: float = math.nan
    liquidation: float = math.nan


@dataclass(slots=True)
class Report:
    """The whole report."""

    versions: dict[str, str | None]
    checks: list[Check] = field(default_factory=list)
    pairs: list[PairFigures] = field(default_factory=list)

    def of(self, level: Level) -> list[Check]:
        """Return the findings of a level, in order."""
        return [check for check in self.checks if check.level is level]

    @property
    def verdict(self) -> str:
        """``FIX`` if any finding is MUST_FIX, else ``PASS``."""
        return FIX if self.of(Level.MUST_FIX) else PASS

    @property
    def exit_code(self) -> int:
        """0 for PASS, else 1."""
        return 0 if self.verdict == PASS else 1

    def as_json(self) -> dict[str, Any]:
        """Return ``{versions, checks, pairs, verdict}``; unknown figures are null."""
        return {
            "versions": self.versions,
            "checks": [asdict(check) for check in self.checks],
            "pairs": [
                {name: _finite(value) for name, value in asdict(pair).items()}
                for pair in self.pairs
            ],
            "verdict": self.verdict,
        }


def _finite(value: Any) -> Any:
    """Return a number, or None if JSON cannot represent it."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
