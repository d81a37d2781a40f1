"""What the doctor found: checks of three levels, figures of every pair, and a verdict."""

import math
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

PASS, FIX = "PASS", "FIX"


class Level(StrEnum):
    """How much a finding matters: only what must be fixed changes the verdict."""

    OK = "ok"
    WARNING = "warning"
    MUST_FIX = "must be fixed"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: what was looked at, and in one line what was seen and how to mend it.

    :ivar pair: the perp that it is about; None where it is about the whole bot.
    """

    name: str
    level: Level
    message: str
    pair: str | None = None

    def __str__(self) -> str:
        return f"{self.pair or self.name}: {self.message}"


@dataclass(frozen=True, slots=True)
class PairFigures:
    """What was measured of a pair; NaN or None where it could not be.

    :ivar price_ratio: median of perp / scale / spot.
    :ivar perp_behind: closed candles that the perp's newest price is late by.
    :ivar spot_behind: the same of the spot pair.
    :ivar without_spot: share of the perp's candles that have no spot price.
    :ivar premium_stdev: standard deviation of the premium, a fraction.
    :ivar tick: the coarser tick of spot and perp, as a fraction of the price.
    :ivar tick_noise: ``tick / premium_stdev``.
    :ivar second: another measure of its premium, with which it is compared.
    :ivar candles: those with both premiums.
    :ivar correlation: of the two premiums.
    :ivar extremes: candles on which the traded premium is beyond ``enter_z``.
    :ivar equal_sign: share of those on which both z-scores have one sign.
    :ivar zeros: share of candles on which the premium index, if one of them is that, is 0.
    :ivar leverage: of its positions, at most what the exchange allows.
    :ivar stop: how far its price may move to the stoploss, a fraction of the price.
    :ivar liquidation: the same to the nearer of the liquidation prices of a long and a short.
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
    """Everything on the page."""

    versions: dict[str, str | None]
    checks: list[Check] = field(default_factory=list)
    pairs: list[PairFigures] = field(default_factory=list)

    def of(self, level: Level) -> list[Check]:
        """Return the findings of a level, in the order in which they were made."""
        return [check for check in self.checks if check.level is level]

    @property
    def verdict(self) -> str:
        """``PASS``, or ``FIX`` where anything must be fixed."""
        return FIX if self.of(Level.MUST_FIX) else PASS

    @property
    def exit_code(self) -> int:
        """0 on PASS, else 1."""
        return 0 if self.verdict == PASS else 1

    def as_json(self) -> dict[str, Any]:
        """Return ``{versions, checks, pairs, verdict}``; what was not measured is null."""
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
    """Return None for what JSON has no number for."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
