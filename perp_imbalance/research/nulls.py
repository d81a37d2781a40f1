"""Nulls: random signals, traded with the same rules as the real ones, for comparison."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.indicators.signals import SIDES
from perp_imbalance.research.as_traded import (
    BITS,
    Earned,
    Flags,
    Market,
    Setup,
    inverted,
    planned_ends,
)

#: Nulls of each kind, at least: the smallest p they can show is 1 / (nulls + 1).
MIN_NULLS = 200

#: The kinds, with what they are.
KINDS = {
    "shifted zones": "the same entries and exits, all at another time",
    "shifted premium": "the premium of another time, its gates with it; price gates where they are",
    "random side": "the same entries and exits, a coin tossed for each whether its side is kept",
    "random entries": "as many entries of the side, held as long, at any time",
}
_ZONES, _PREMIUM, _SIDE, _ENTRIES = KINDS

# A shift moves signals by at least this share of the time, from either end.
_LEAST_SHIFT = 0.05
_BPS = 1e4

#: Part, preset and side.
Key = tuple[str, str, str]


def check_nulls(nulls: int) -> None:
    """Refuse a number of nulls that is too small for percentiles.

    :raises SettingsError: with the allowed numbers.
    """
    if nulls and nulls < MIN_NULLS:
        raise SettingsError(f"--nulls is {nulls}, it must be 0 (none) or at least {MIN_NULLS}")


@dataclass
class _Draws:
    """Sums and counts of returns over the pairs, for each draw and for the real trades."""

    sums: Floats
    counts: Floats
    real: float = 0.0
    trades: int = 0

    def add(self, draw: int, net: Floats) -> None:
        self.sums[draw] += net.sum()
        self.counts[draw] += net.size


@dataclass
class Nulls:
    """The nulls of every preset and side, summed over pairs.

    One draw shifts all pairs by the same fraction of the time, which preserves correlations between
    pairs.

    :param draws: number of nulls of each kind.
    """

    draws: int
    seed: int = 0
    _found: dict[tuple[Key, str], _Draws] = field(default_factory=dict)
    _upside_down: dict[Key, tuple[float, int]] = field(default_factory=dict)
    _pairs: int = 0

    def __post_init__(self) -> None:
        """Draw the shifts once, for all pairs."""
        rng = np.random.default_rng(self.seed)
        self._shifts = rng.uniform(_LEAST_SHIFT, 1 - _LEAST_SHIFT, self.draws)

    def add(self, part: str, preset: str, market: Market, setup: Setup, real: Earned) -> None:
        """Trade the nulls of one pair and preset.

        :param real: results of the real signals.
        """
        self._pairs += 1
        rng = np.random.default_rng([self.seed, self._pairs])
        sides = {name: real.side == SIDES[name] for name in setup.entries}
        keys: dict[str, Key] = {name: (part, preset, name) for name in sides}
        for name, rows in sides.items():
            for kind in KINDS:
                draws = self._of(keys[name], kind)
                draws.real += float(real.net[rows].sum())
                draws.trades += int(rows.sum())
        if not self.draws or not real.net.size:
            return
        size = setup.flags.size
        for draw, share in enumerate(self._shifts):
            by = int(share * size)
            shifted = {
                _ZONES: np.roll(setup.flags, by),
                _PREMIUM: setup.with_shifted_premium(by),
            }
            for kind, flags in shifted.items():
                earned = market.trade(flags, setup.middle)
                for name, key in keys.items():
                    self._of(key, kind).add(draw, earned.net[earned.side == SIDES[name]])
        self._toss(rng, market, setup, real, keys)
        self._scatter(rng, market, setup, keys)

    def _toss(
        self,
        rng: np.random.Generator,
        market: Market,
        setup: Setup,
        real: Earned,
        keys: dict[str, Key],
    ) -> None:
        """Trade both sides of each zone, and draw at random which side counts."""
        other = market.trade(inverted(setup.flags), setup.middle)
        # The price may have drifted too far for an entry of one side and not of the other.
        _, mine, its = np.intersect1d(real.rows, other.rows, return_indices=True)
        for name, key in keys.items():
            rows = real.side[mine] == SIDES[name]
            kept, turned = real.net[mine[rows]], other.net[its[rows]]
            total, count = self._upside_down.get(key, (0.0, 0))
            self._upside_down[key] = (total + float(turned.sum()), count + turned.size)
            draws = self._of(key, _SIDE)
            for draw in range(self.draws):
                draws.add(draw, np.where(rng.random(kept.size) < 0.5, kept, turned))

    def _scatter(
        self, rng: np.random.Generator, market: Market, setup: Setup, keys: dict[str, Key]
    ) -> None:
        """Trade the same number of entries at random times, with the same planned holding times."""
        for name, key in keys.items():
            rows = setup.entries[name]
            held = planned_ends(setup.flags, rows, name) - rows
            draws = self._of(key, _ENTRIES)
            if rows.size:
                for draw in range(self.draws):
                    flags = scattered(rng, held, setup.flags.size, name)
                    draws.add(draw, market.trade(flags, setup.middle).net)

    def _of(self, key: Key, kind: str) -> _Draws:
        if (key, kind) not in self._found:
            self._found[key, kind] = _Draws(np.zeros(self.draws), np.zeros(self.draws))
        return self._found[key, kind]

    def rows(self) -> list[dict[str, Any]]:
        """Return the rank of the real mean among the nulls of each kind, in bps."""
        found = []
        for ((part, preset, side), kind), draws in self._found.items():
            drawn = draws.counts > 0
            if not draws.trades or not drawn.any():
                continue
            means = draws.sums[drawn] / draws.counts[drawn] * _BPS
            net = draws.real / draws.trades * _BPS
            low, high = np.quantile(means, (0.025, 0.975))
            row = {
                **{"part": part, "preset": preset, "side": side, "null": kind},
                **{"trades": draws.trades, "net": net, "nulls": int(drawn.sum())},
                **{"null_mean": float(means.mean()), "null_low": float(low)},
                **{"null_high": float(high), "percentile": float((means < net).mean()) * 100},
                "p": (1 + int((means >= net).sum())) / (1 + means.size),
            }
            found.append(row)
        return found

    def inverted(self) -> list[dict[str, Any]]:
        """Return the results of the signals with exchanged sides, in bps."""
        return [
            {
                "part": part,
                "preset": preset,
                "side": side,
                "trades": count,
                "net_inverted": total / count * _BPS,
            }
            for (part, preset, side), (total, count) in self._upside_down.items()
            if count
        ]


def scattered(rng: np.random.Generator, held: NDArray[np.int64], size: int, side: str) -> Flags:
    """Return signals of one side at random times, without overlap, with given holding times.

    :param held: candles from the entry signal to the exit signal of each.
    :param size: number of candles.
    """
    enter, leave = BITS[side]
    lengths = rng.permutation(held) + 1
    free = size - int(lengths.sum())
    # Where each begins in what is left free; the ones before push it along.
    gaps = np.sort(rng.integers(0, max(free, 0) + 1, held.size))
    begins = gaps + np.cumsum(lengths) - lengths
    flags = np.zeros(size, np.uint8)
    begins = begins[begins < size]
    flags[begins] |= np.uint8(enter)
    ends = begins + lengths[: begins.size] - 1
    flags[ends[ends < size]] |= np.uint8(leave)
    return flags
