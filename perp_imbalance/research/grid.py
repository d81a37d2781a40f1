"""The combinations of thresholds that a sweep tries, without ever holding all of them."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators.thresholds import Thresholds

#: The thresholds that a sweep can vary: those that a signal depends on, slowest first.
AXES = (
    *("len_prem", "smooth_len", "enter_z", "exit_z"),
    *("use_sigma", "bb_len", "bb_k", "use_htf", "htf_z_min"),
)


#: Values of one axis: a grid of more is a slip of the step, and too fine for any screen.
MAX_VALUES = 1000

# No number of candles is larger.
_LARGEST = 2**31


@dataclass(frozen=True)
class Grid:
    """Values by threshold; a threshold that is not named keeps its base value.

    Combinations that give the same signals are one: without the sigma gate the bands do not matter,
    nor ``htf_z_min`` without the HTF gate. Where ``exit_z`` is not below ``enter_z`` there is none.

    :param axes: values by threshold, each at least one.
    :param base: where the other values come from.
    """

    axes: Mapping[str, Sequence[Any]]
    base: Thresholds

    def __post_init__(self) -> None:
        """Refuse what is no threshold, and values that no combination can be traded with."""
        for name in self.axes:
            if name not in AXES:
                raise SettingsError(f"{name} is nothing to sweep over: {', '.join(AXES)} are")
        if not self._z_pairs():
            raise SettingsError("no enter_z of the grid is above any exit_z of it")

    def values(self, name: str) -> list[Any]:
        """Return the values of a threshold, rising."""
        return sorted(set(self.axes.get(name, (getattr(self.base, name),))))

    def _z_pairs(self) -> list[tuple[float, float]]:
        pairs = itertools.product(self.values("enter_z"), self.values("exit_z"))
        return [(enter, leave) for enter, leave in pairs if enter > leave]

    def _gates(self, switch: str, *names: str) -> list[tuple[Any, ...]]:
        """Return the distinct settings of a gate: off once, on with each of its values."""
        values = list(itertools.product(*(self.values(name) for name in names)))
        off = tuple(getattr(self.base, name) for name in names)
        return [(on, *rest) for on in self.values(switch) for rest in (values if on else [off])]

    def _parts(self) -> tuple[list[Any], ...]:
        return (
            self.values("len_prem"),
            self.values("smooth_len"),
            self._z_pairs(),
            self._gates("use_sigma", "bb_len", "bb_k"),
            self._gates("use_htf", "htf_z_min"),
        )

    def __len__(self) -> int:
        """Return the number of distinct combinations."""
        return int(np.prod([len(part) for part in self._parts()], dtype=object))

    def combinations(self, sample: int | None = None, seed: int = 0) -> Iterator[Thresholds]:
        """Return all combinations, or a random sample of them, those that share most in a row.

        :param sample: how many; None, or as many as there are, for all.
        :param seed: of the sample.
        """
        parts = self._parts()
        if sample is None or sample >= len(self):
            chosen: Iterator[tuple[Any, ...]] = itertools.product(*parts)
        else:
            chosen = self._sampled(parts, sample, seed)
        for len_prem, smooth_len, (enter_z, exit_z), sigma, htf in chosen:
            yield replace(
                self.base,
                len_prem=len_prem,
                smooth_len=smooth_len,
                enter_z=enter_z,
                exit_z=exit_z,
                use_sigma=sigma[0],
                bb_len=sigma[1],
                bb_k=sigma[2],
                use_htf=htf[0],
                htf_z_min=htf[1],
            )

    def _sampled(
        self, parts: tuple[list[Any], ...], sample: int, seed: int
    ) -> Iterator[tuple[Any, ...]]:
        rng = np.random.default_rng(seed)
        size = len(self)
        numbers: set[int] = set()
        while len(numbers) < sample:
            wanted = sample - len(numbers)
            numbers.update(rng.integers(0, size, wanted).tolist())
        lengths = [len(part) for part in parts]
        for number in sorted(numbers):
            at = np.unravel_index(number, lengths)
            yield tuple(part[int(index)] for part, index in zip(parts, at, strict=True))


def parse_values(text: str, kind: type, what: str = "value to sweep over") -> list[Any]:
    """Return the values of an axis: ``1.2,1.5`` or ``1.2:3:0.1``, the last included.

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
            raise SettingsError(f"{part!r} is no {what}: write {example}") from None
    return values
