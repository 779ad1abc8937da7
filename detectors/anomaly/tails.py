"""Baselines and tails of one feature.

Values are taken as ``log(1 + value)``. A baseline is an exponentially weighted mean and variance; a principal's is
shrunk to the one of everybody, so that a new principal is judged as everybody is; as its own lessons come in, the mean
of everybody fades out. A level that a principal held before stays usual for days (``Baseline.reach``), so that the
morning after a quiet night is no anomaly. The tail of the normal distribution is widened where real traffic has shown
heavier tails (a histogram of z).
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

SHRINK: Final = 10.0
"""Pseudo-observations of everybody's baseline in a principal's own."""
ENOUGH: Final = 60
"""Lessons after which everybody's mean has no say any more, and a principal's own mean is trusted as a level held."""
REACH_S: Final = 10 * 86_400.0
"""Time in which a level that is no longer held shrinks by the factor e towards the present one; half in a week."""
MEMORY: Final = 120
"""Observations after which a baseline forgets as fast as it learns; of a rate, ten minutes in which something is sent
at least every five seconds."""
GLOBAL_MEMORY: Final = 5000
GLOBAL_WEIGHT: Final = 50
"""Pseudo-observations behind the first guess of everybody's baseline."""
WINSOR_Z: Final = 3.0
"""An observation teaches the mean at most this many standard deviations above it: poisoning is slow."""
SPREAD_Z: Final = 2.0
"""The same for the variance, which would otherwise grow so fast that a throttled flood is usual within a minute."""
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
    """Exponentially weighted mean and variance of a logarithm, and the highest mean that was held lately."""

    __slots__ = ("mean", "n", "reach", "time_s", "variance")

    def __init__(self, mean: float = 0.0, variance: float = 0.0, n: int = 0) -> None:
        self.mean = mean
        self.variance = variance
        self.n = n
        self.reach = 0.0
        self.time_s = 0.0

    def learn(self, x: float, memory: int, spread: float = math.inf) -> None:
        """Take one observation in; the last ``memory`` ones weigh. Above the mean, the variance grows by ``spread``
        squared at most."""
        self.n = min(self.n + 1, memory)
        weight = 1.0 / self.n
        delta = x - self.mean
        self.mean += weight * delta
        wide = min(delta, spread)
        self.variance = (1.0 - weight) * (self.variance + weight * wide * wide)

    def hold(self, time_s: float) -> None:
        """Follow the mean up at once and down over days. A time before the last one counts as the last."""
        elapsed = max(0.0, time_s - self.time_s)
        self.time_s += elapsed
        if self.n >= ENOUGH:
            self.reach = self.mean + max(0.0, self.reach - self.mean) * math.exp(-elapsed / REACH_S)


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
        foreign = SHRINK * max(0.0, 1.0 - n / ENOUGH)
        mean = max((n * own.mean + foreign * common.mean) / (n + foreign), own.reach)
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

    def teach(self, own: Baseline, x: float, time_s: float, *, everybody: bool) -> None:
        """Take an observation of what was let in into the baselines, winsorised."""
        mean, deviation = self.expected(own)
        x = min(x, mean + WINSOR_Z * deviation)
        own.learn(x, MEMORY, SPREAD_Z * deviation if own.n >= ENOUGH else math.inf)
        own.hold(time_s)
        if everybody:
            self.everybody.learn(x, GLOBAL_MEMORY)
