"""Baselines and tails of one feature.

Values are taken as ``log(1 + value)``. A baseline is an exponentially weighted mean and variance; a principal's is
shrunk to the one of everybody by ``SHRINK`` pseudo-observations, so that a new principal is judged as everybody is. The
tail of the normal distribution is widened where real traffic has shown heavier tails (a histogram of z).
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

SHRINK: Final = 10.0
MEMORY: Final = 200
"""Observations after which a baseline forgets as fast as it learns."""
GLOBAL_MEMORY: Final = 5000
GLOBAL_WEIGHT: Final = 50
"""Pseudo-observations behind the first guess of everybody's baseline."""
WINSOR_Z: Final = 3.0
"""An observation teaches at most this many standard deviations above the mean: poisoning is slow."""
BIN: Final = 0.25
BINS: Final = 40
PSEUDO: Final = 2000.0
"""Pseudo-observations of the normal distribution behind the histogram of z."""
EVIDENCE: Final = 20
"""Observations of a z before the histogram is believed over the normal distribution. Extremes count once for each
principal, so that many principals must show them."""
LEAST_P: Final = 1e-300
LARGEST: Final = 1e15


def normal_tail(z: float) -> float:
    """P(Z >= z) for a standard normal Z."""
    return max(0.5 * math.erfc(z / math.sqrt(2.0)), LEAST_P)


_PRIOR_TAIL: Final = tuple(normal_tail(index * BIN) for index in range(BINS + 1))


def to_log(value: float) -> float:
    """``log(1 + value)``; what is negative or no number counts as 0."""
    return math.log1p(min(value, LARGEST)) if value > 0 else 0.0


class Scale(msgspec.Struct, frozen=True):
    """First guess for a feature (typical value, standard deviation of its logarithm) and the least deviation that is
    believed. ``count``: the feature counts events, so that chance alone spreads it."""

    typical: float
    deviation: float
    least_deviation: float
    count: bool = False


class Baseline:
    """Exponentially weighted mean and variance of a logarithm."""

    __slots__ = ("mean", "n", "variance")

    def __init__(self, mean: float = 0.0, variance: float = 0.0, n: int = 0) -> None:
        self.mean = mean
        self.variance = variance
        self.n = n

    def learn(self, x: float, memory: int) -> None:
        """Take one observation in; the last ``memory`` ones weigh."""
        self.n = min(self.n + 1, memory)
        weight = 1.0 / self.n
        delta = x - self.mean
        self.mean += weight * delta
        self.variance = (1.0 - weight) * (self.variance + weight * delta * delta)


class Tail:
    """One feature over all principals: everybody's baseline and the histogram of z."""

    __slots__ = ("_above", "_total", "everybody", "scale")

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        self.everybody = Baseline(to_log(scale.typical), scale.deviation**2, GLOBAL_WEIGHT)
        self._above = [0] * (BINS + 1)
        self._total = 0

    def expected(self, own: Baseline) -> tuple[float, float]:
        """Mean and standard deviation of the logarithm for a principal with baseline ``own``."""
        common, n = self.everybody, own.n
        mean = (n * own.mean + SHRINK * common.mean) / (n + SHRINK)
        variance = (n * own.variance + SHRINK * max(common.variance, self.scale.deviation**2)) / (n + SHRINK)
        if self.scale.count:
            count = max(math.expm1(mean), 0.5)
            variance = max(variance, count / (1.0 + count) ** 2)
        return mean, max(math.sqrt(variance), self.scale.least_deviation)

    def p(self, z: float) -> float:
        """How often traffic is at least this far above expectation: in 1e-300..1, falling in z."""
        p = normal_tail(z)
        at = min(int(max(z, 0.0) / BIN), BINS)
        if self._above[at] < EVIDENCE:
            return p
        return max(p, (self._above[at] + PSEUDO * _PRIOR_TAIL[at]) / (self._total + PSEUDO))

    def calibrate(self, z: float) -> None:
        """Count an ordinary observation's z."""
        self._total += 1
        for index in range(min(int(max(z, 0.0) / BIN), BINS) + 1):
            self._above[index] += 1

    def teach(self, own: Baseline, x: float, *, everybody: bool) -> None:
        """Take an allowed observation into the baselines, winsorised."""
        mean, deviation = self.expected(own)
        x = min(x, mean + WINSOR_Z * deviation)
        own.learn(x, MEMORY)
        if everybody:
            self.everybody.learn(x, GLOBAL_MEMORY)
