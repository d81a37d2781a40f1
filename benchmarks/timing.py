"""Paired measurement: all variants run in turn, many times, and are compared within each round."""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Times:
    """Seconds of processor time of every variant, one value per round."""

    seconds: Mapping[str, tuple[float, ...]]

    @property
    def rounds(self) -> int:
        """Return the number of rounds."""
        return len(next(iter(self.seconds.values())))

    def median(self, name: str) -> float:
        """Return the median of a variant."""
        return median(self.seconds[name])

    def minimum(self, name: str) -> float:
        """Return the minimum of a variant."""
        return min(self.seconds[name])

    def ratio(self, name: str, other: str) -> float:
        """Return the median over the rounds of one variant's time divided by another's."""
        pairs = zip(self.seconds[name], self.seconds[other], strict=True)
        return median(first / second for first, second in pairs)


def paired(
    variants: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.process_time,
) -> Times:
    """Run all variants in turn, ``rounds`` times, after one round that does not count.

    Measures processor time, because a busy machine interrupts longer calls more often.
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for call in variants.values():
        call()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, call in variants.items():
                begin = clock()
                result = call()
                seconds[name].append(clock() - begin)
                # Freed outside the measurement, and before the next variant needs memory.
                del result
    finally:
        gc.enable()
    return Times({name: tuple(values) for name, values in seconds.items()})
