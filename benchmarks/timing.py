"""Paired measurement: all variants in turn, many times, compared within each round."""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Times:
    """Seconds of processor time of every variant, one value a round."""

    seconds: Mapping[str, tuple[float, ...]]

    @property
    def rounds(self) -> int:
        """Return how often every variant ran."""
        return len(next(iter(self.seconds.values())))

    def median(self, name: str) -> float:
        """Return the median of a variant."""
        return median(self.seconds[name])

    def minimum(self, name: str) -> float:
        """Return the least of a variant."""
        return min(self.seconds[name])

    def ratio(self, name: str, other: str) -> float:
        """Return the median over the rounds of one variant's time over another's."""
        pairs = zip(self.seconds[name], self.seconds[other], strict=True)
        return median(first / second for first, second in pairs)


def paired(
    variants: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.process_time,
) -> Times:
    """Run all variants in turn, ``rounds`` times, after one round that does not count.

    Processor time, because on a busy machine the longer call is the one that is interrupted.
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
                # Freed outside of the measurement, and before the next variant needs memory.
                del result
    finally:
        gc.enable()
    return Times({name: tuple(values) for name, values in seconds.items()})
