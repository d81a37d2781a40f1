"""The combinations of thresholds that a sweep tries, generated without storing all of them."""

import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain
from math import prod
from typing import Any, Protocol

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators.gates import GATES
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.research.grid_names import AXES

_SIGNAL = AXES[:4]

# By the switch of each gate that needs no series, what else belongs to it alone.
_GATES = {
    gate.switch: [name for name in gate.thresholds if name not in (*_SIGNAL, gate.switch)]
    for gate in GATES
    if gate.series is None
}

#: Steps of ``enter_z`` and ``exit_z`` to a neighbour, at least.
Z_STEP = 0.1

# What floats of one decimal are off by, and more.
_SLACK = 1e-6

# Of each number the step around a tuned value, and how many each way; a length's is a share of it.
_AROUND = {
    **{"enter_z": (0.1, 2), "exit_z": (0.1, 2), "len_prem": (0.1, 2), "smooth_len": (0.2, 1)},
    **{"bb_len": (0.1, 1), "bb_k": (0.25, 1), "htf_z_min": (0.2, 1)},
    **{"min_deviation_bps": (2.5, 1), "dev_len": (0.1, 1)},
}
# What can still be traded with, and leaves a gate on.
_LEAST = {
    **{"enter_z": 0.1, "exit_z": 0.1, "len_prem": 2, "smooth_len": 1, "bb_len": 2, "bb_k": 0.1},
    **{"htf_z_min": 0, "min_deviation_bps": 0.1, "dev_len": 2},
}

#: Values of one axis: a grid of more is a slip of the step, and too fine for any screen.
MAX_VALUES = 1000

# No number of candles is larger.
_LARGEST = 2**31


class _Part(Protocol):
    """A part of a combination: numbered settings, of which a combination has one."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> Any: ...


def _at(parts: Sequence[_Part], number: int) -> list[Any]:
    """Return the settings of a numbered combination; the last part varies fastest."""
    chosen = []
    for part in reversed(parts):
        number, at = divmod(number, len(part))
        chosen.append(part[at])
    return chosen[::-1]


class _ZPairs:
    """Numbered pairs of ``enter_z`` and a lower ``exit_z``, both in increasing order."""

    def __init__(self, enters: Sequence[float], exits: Sequence[float]) -> None:
        self._enters, self._exits = enters, exits
        self._ends = list(accumulate(bisect_left(exits, enter) for enter in enters))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, number: int) -> tuple[float, float]:
        row = bisect_right(self._ends, number)
        first = self._ends[row - 1] if row else 0
        return self._enters[row], self._exits[number - first]


class _Gate:
    """The numbered settings of a gate: off, and on with each combination of its values."""

    def __init__(
        self, switches: Sequence[float], off: Sequence[Any], values: Sequence[Sequence[Any]]
    ) -> None:
        # A switch is a boolean, or a number that is on above 0.
        self._offs = [[switch, *off] for switch in switches if not switch > 0][:1]
        self._ons = [[switch for switch in switches if switch > 0], *values]

    def __len__(self) -> int:
        return len(self._offs) + prod(map(len, self._ons))

    def __getitem__(self, number: int) -> list[Any]:
        if number < len(self._offs):
            return self._offs[number]
        return _at(self._ons, number - len(self._offs))


@dataclass(frozen=True)
class Grid:
    """Values by threshold; a threshold that is not named keeps its base value.

    Combinations with the same signals count once: without the sigma gate the bands do not matter,
    nor does ``htf_z_min`` without the HTF gate. ``exit_z`` must be below ``enter_z``.

    :param axes: values by threshold, at least one each.
    :param base: thresholds that are not in ``axes`` have these values.
    """

    axes: Mapping[str, Sequence[Any]]
    base: Thresholds

    def __post_init__(self) -> None:
        """Refuse unknown thresholds, and values with which no combination can be traded."""
        for name in self.axes:
            if name not in AXES:
                raise SettingsError(f"{name} is nothing to sweep over: {', '.join(AXES)} are")
        if not self._z_pairs():
            raise SettingsError("no enter_z of the grid is above any exit_z of it")

    def values(self, name: str) -> list[Any]:
        """Return the values of a threshold in increasing order."""
        return sorted(set(self.axes.get(name, (getattr(self.base, name),))))

    def _z_pairs(self) -> _ZPairs:
        return _ZPairs(self.values("enter_z"), self.values("exit_z"))

    def _gate(self, switch: str, *names: str) -> _Gate:
        off = [getattr(self.base, name) for name in names]
        return _Gate(self.values(switch), off, [self.values(name) for name in names])

    def _parts(self) -> list[_Part]:
        return [
            self.values("len_prem"),
            self.values("smooth_len"),
            self._z_pairs(),
            *(self._gate(switch, *own) for switch, own in _GATES.items()),
        ]

    @property
    def size(self) -> int:
        """The number of distinct combinations, which may exceed the limit of ``len``."""
        return prod(len(part) for part in self._parts())

    def __len__(self) -> int:
        """Return the number of distinct combinations."""
        return self.size

    def combinations(
        self, sample: int | None = None, seed: int = 0, part: slice = slice(None)
    ) -> Iterator[Thresholds]:
        """Return all combinations or a random sample; neighbours share as much as possible.

        A sample has one of each of so many equal stretches of the grid: none has to be held to be
        drawn once.

        :param sample: how many; None, or as many as there are, for all.
        :param seed: of the sample.
        :param part: which of these, by number.
        """
        parts, size = self._parts(), self.size
        numbers: Iterable[int] = range(size)[part]
        if sample is not None and sample < size:
            numbers = _drawn(size, sample, seed, part)
        for number in numbers:
            len_prem, smooth_len, z_pair, *gates = _at(parts, number)
            values = (len_prem, smooth_len, *z_pair, *chain.from_iterable(gates))
            yield replace(self.base, **dict(zip(AXES, values, strict=True)))

    def numbers(self, thresholds: Thresholds) -> list[str]:
        """Return the varied numbers, without those of gates that are off."""
        off = {
            name
            for switch, own in _GATES.items()
            if not getattr(thresholds, switch) > 0
            for name in (switch, *own)
        }
        varying = [name for name in AXES if len(self.values(name)) > 1 and name not in off]
        return [name for name in varying if not isinstance(getattr(thresholds, name), bool)]

    def neighbours(self, thresholds: Thresholds) -> list[Thresholds]:
        """Return the combinations one step away along each varied number; switches stay.

        Steps of z are at least :data:`Z_STEP`: nearer ones have much the same trades.
        """
        found = []
        for name in self.numbers(thresholds):
            here, values = getattr(thresholds, name), self.values(name)
            step = Z_STEP - _SLACK if name in ("enter_z", "exit_z") else 0
            below = [value for value in values if value < here and here - value >= step]
            above = [value for value in values if value > here and value - here >= step]
            for value in (*below[-1:], *above[:1]):
                # A switch that is a number is off at 0.
                stays_on = name not in _GATES or value > 0
                if stays_on and is_sound(thresholds, **{name: value}):
                    found.append(replace(thresholds, **{name: value}))
        return found


def is_sound(thresholds: Thresholds, **values: Any) -> bool:
    """Return whether ``enter_z`` is above ``exit_z`` after replacing some values.

    >>> is_sound(Thresholds(), enter_z=0.5)
    False
    """
    z = {"enter_z": thresholds.enter_z, "exit_z": thresholds.exit_z, **values}
    return bool(z["enter_z"] > z["exit_z"])


def _drawn(size: int, sample: int, seed: int, part: slice) -> Iterator[int]:
    """Yield increasing random numbers below a size, one from each of ``sample`` equal intervals."""
    for stretch in range(sample)[part]:
        # Of a generator of its own: any part of the sample is drawn without the ones before it.
        rng = random.Random(seed << 64 | stretch)
        yield rng.randrange(stretch * size // sample, (stretch + 1) * size // sample)


def axes_around(base: Thresholds) -> dict[str, list[Any]]:
    """Return axes around thresholds: a few steps of each number that affects their signals.

    >>> axes_around(Thresholds(use_sigma=False))["enter_z"]
    [1.5, 1.6, 1.7, 1.8, 1.9]
    """
    own = {name: switch for switch, names in _GATES.items() for name in (switch, *names)}
    axes: dict[str, list[Any]] = {}
    for name in AXES:
        value = getattr(base, name)
        is_off = name in own and not getattr(base, own[name])
        if isinstance(value, bool) or is_off or name == _without_effect(base):
            continue
        step, steps = _AROUND[name]
        # Lengths by shares of themselves, all else by so much.
        by = max(1, round(value * step)) if isinstance(value, int) else step
        values = [round(value + number * by, 10) for number in range(-steps, steps + 1)]
        axes[name] = [found for found in values if found >= _LEAST[name]]
    return axes


def _without_effect(base: Thresholds) -> str:
    """Return the name of the window length that does not affect z."""
    return "len_prem" if base.robust_z else ""


def parse_values(text: str, kind: type, what: str = "value to sweep over") -> list[Any]:
    """Parse the values of an axis: ``1.2,1.5``, or ``1.2:3:0.1`` including the end.

    >>> parse_values("0.5:0.7:0.1,0.9", float)
    [0.5, 0.6, 0.7, 0.9]
    >>> parse_values("yes,no", bool)
    [True, False]

    :param kind: float, int or bool.
    :param what: what each is, for the message.
    :raises SettingsError: if it cannot be read so, or is more than :data:`MAX_VALUES`.
    """
    words = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
    values: list[Any] = []
    too_many = SettingsError(f"{text!r} has more than {MAX_VALUES} values: take a larger step")
    for part in text.split(","):
        try:
            if kind is bool:
                values.append(words[part.strip().lower()])
                continue
            first, *rest = (float(number) for number in part.split(":"))
            last, step = rest if rest else (first, 1.0)
            steps = round((last - first) / step)
            if len(values) + steps >= MAX_VALUES:
                raise too_many
            if steps < 0 or abs(first + steps * step - last) > 1e-9:
                raise ValueError
            found = [round(first + number * step, 10) for number in range(steps + 1)]
            if kind is int and any(value != int(value) or value > _LARGEST for value in found):
                raise ValueError
            values += [kind(value) for value in found]
        except (KeyError, ValueError, ZeroDivisionError, OverflowError):
            example = "yes,no" if kind is bool else "20,50 or 20:80:10"
            raise SettingsError(f"{part!r} is not a {what}: write {example}") from None
    return values
