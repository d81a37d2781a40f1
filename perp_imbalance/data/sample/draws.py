"""Random numbers that are identical to the last bit on every machine and with every numpy.

numpy guarantees this for the raw stream of a bit generator only, not for its distributions, and
exp and log differ in the last bit between processors. So this module, and the model that uses it,
compute with the raw stream, ``+ - * /`` and square roots only, which IEEE 754 defines exactly.
"""

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Limits the stretch of a fat-tailed draw; an unlimited one could take a price to zero.
_MAX_STRETCH = 8.0
_LOG_MAX_STRETCH = 2.0794415416798357


class Draws:
    """One independent stream of random numbers.

    :param seed: seed of the whole market, >= 0.
    :param stream: number of the stream; streams with the same seed are independent.
    """

    def __init__(self, seed: int, stream: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(stream,)))

    def uniform(self, size: int) -> Floats:
        """Return ``size`` draws, uniform on the open interval (0, 1)."""
        raw = np.asarray(self._bits.random_raw(size), dtype=np.uint64)
        return np.asarray(((raw >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52)

    def normal(self, size: int) -> Floats:
        """Return ``size`` draws of mean 0, variance 1: twelve uniforms summed (Irwin-Hall)."""
        total = np.full(size, -6.0)
        for _ in range(12):
            total += self.uniform(size)
        return total

    def fat_tailed(self, size: int) -> Floats:
        """Return ``size`` draws of mean 0, variance 1, excess kurtosis 11: normal / sqrt(u)."""
        floor = 1.0 / (_MAX_STRETCH * _MAX_STRETCH)
        stretch = np.sqrt(np.maximum(self.uniform(size), floor))
        variance = 1.0 + 2.0 * _LOG_MAX_STRETCH
        return np.asarray(self.normal(size) / stretch / math.sqrt(variance))
