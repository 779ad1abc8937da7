"""Baselines and tails of one feature.

A baseline is an exponentially weighted mean and variance of a logarithm; a principal's is shrunk to the one of its
group, and that to the one of everybody, so that a new principal is judged as its group is; as its own lessons come in,
the others' mean fades out. A level that a principal held before stays usual for days (``REACH``), so that the morning
after a quiet night is no anomaly. The tail of the normal distribution is widened where real traffic has shown heavier
tails (a histogram of z). What creeps up below any alarm is summed (CUSUM: Page, Biometrika 41, 1954) against a mean
that forgets ten times more slowly.
"""

from __future__ import annotations

import math
from array import array
from typing import Final, TypeAlias

from detectors.anomaly.counts import later
from detectors.anomaly.features import Scale, taken
from detectors.anomaly.histogram import BINS, Histogram

Levels: TypeAlias = "array[float]"
"""The baselines of one principal, group or of everybody: ``WIDTH`` numbers for each feature."""

N: Final = 0
MEAN: Final = 1
VARIANCE: Final = 2
REACH: Final = 3
"""The highest mean that was held lately."""
HELD_S: Final = 4
SLOW: Final = 5
"""The mean of the last ``SLOW_MEMORY`` lessons."""
DRIFT: Final = 6
"""The CUSUM of z over the slow mean."""
WIDTH: Final = 7

SHRINK: Final = 10.0
"""Pseudo-observations of the others' baseline in a principal's own."""
ENOUGH: Final = 60
"""Lessons after which the others' mean has no say any more, and a principal's own mean is trusted as a level held."""
REACH_S: Final = 10 * 86_400.0
"""Time in which a level that is no longer held shrinks by the factor e towards the present one; half in a week."""
MEMORY: Final = 120
"""Observations after which a baseline forgets as fast as it learns; of a rate, ten minutes in which something is sent
at least every five seconds."""
SLOW_MEMORY: Final = 1200
COMMON_MEMORY: Final = 5000
COMMON_WEIGHT: Final = 50
"""Pseudo-observations behind the first guess of everybody's baseline, and of everybody in a group's."""
MOST_SPREAD: Final = 1.6
"""Everybody's deviation counts as so many times the first guess at most: many callers together must not make all
others' baselines blunt."""
WINSOR_Z: Final = 3.0
"""An observation teaches the mean at most this many standard deviations above it: poisoning is slow."""
SPREAD_Z: Final = 2.0
"""The same for the variance, which would otherwise grow so fast that a throttled flood is usual within a minute."""
SLACK_Z: Final = 0.3
"""What z must exceed to add to a CUSUM."""
MOST_DRIFT: Final = 25.0
"""A CUSUM grows no further, so that it ends within some eighty ordinary observations."""
BIN: Final = 0.25
DRIFT_BIN: Final = 1.0
PSEUDO: Final = 2000.0
"""Pseudo-observations of the normal distribution behind the histogram of z."""
EVIDENCE: Final = 20
"""Observations of a z before the histogram is believed over the normal distribution. Extremes count once for each
principal, so that many principals must show them."""
DECADE_BINS: Final = 12
"""Where many principals have shown extremes, the tail beyond them is heavy, too: a decade in so many bins."""
LEAST_P: Final = 1e-300


def normal_tail(z: float) -> float:
    """P(Z >= z) for a standard normal Z."""
    return max(0.5 * math.erfc(z / math.sqrt(2.0)), LEAST_P)


def drift_tail(drift: float) -> float:
    """How often a CUSUM of independent normal z is at least so high: reflected Brownian motion with the drift
    ``-SLACK_Z``, in equilibrium."""
    return max(math.exp(-2.0 * SLACK_Z * max(drift, 0.0)), LEAST_P)


_NORMAL: Final = tuple(normal_tail(index * BIN) for index in range(BINS + 1))
_DRIFT: Final = tuple(drift_tail(index * DRIFT_BIN) for index in range(BINS + 1))

_HEAVY: Final = round(WINSOR_Z / BIN)


def learn(levels: Levels, at: int, x: float, memory: int, spread: float = math.inf) -> None:
    """Take one observation into the baseline at ``at``; the last ``memory`` ones weigh. Above the mean, the variance
    grows by ``spread`` squared at most."""
    n = levels[at + N] = levels[at + N] + 1
    weight = 1.0 / min(n, memory)
    delta = x - levels[at + MEAN]
    levels[at + MEAN] += weight * delta
    wide = min(delta, spread)
    levels[at + VARIANCE] = (1.0 - weight) * (levels[at + VARIANCE] + weight * wide * wide)
    levels[at + SLOW] += (x - levels[at + SLOW]) / min(n, SLOW_MEMORY)


def hold(levels: Levels, at: int, time_s: float) -> None:
    """Let the reach follow the mean up at once and down over days."""
    elapsed = max(0.0, time_s - levels[at + HELD_S])
    levels[at + HELD_S] = later(levels[at + HELD_S], time_s)
    if levels[at + N] >= ENOUGH:
        mean = levels[at + MEAN]
        levels[at + REACH] = mean + max(0.0, levels[at + REACH] - mean) * math.exp(-elapsed / REACH_S)


class Tail:
    """One feature over all principals: everybody's baseline and the histograms of z and of the CUSUM."""

    __slots__ = ("at", "drifts", "everybody", "scale", "zs")

    def __init__(self, scale: Scale, at: int, everybody: Levels) -> None:
        """``at``: where the feature stands in all levels."""
        self.scale = scale
        self.at = at
        self.everybody = everybody
        everybody[at + N] = COMMON_WEIGHT
        everybody[at + MEAN] = taken(scale.typical, scale)
        everybody[at + VARIANCE] = scale.deviation**2
        self.zs = Histogram(BIN)
        self.drifts = Histogram(DRIFT_BIN)

    def expected(self, own: Levels, group: Levels | None) -> tuple[float, float]:
        """Mean and standard deviation of the logarithm for a principal with the levels ``own`` in ``group``."""
        at, scale = self.at, self.scale
        n = min(own[at], MEMORY)
        mean = own[at + MEAN]
        if n < ENOUGH:
            others = self.everybody[at + MEAN]
            if group is not None and (many := min(group[at], COMMON_MEMORY)):
                others = (many * group[at + MEAN] + COMMON_WEIGHT * others) / (many + COMMON_WEIGHT)
            foreign = SHRINK * (1.0 - n / ENOUGH)
            mean = (n * mean + foreign * others) / (n + foreign)
        mean = max(mean, own[at + REACH])
        first_guess = scale.deviation * scale.deviation
        guess = min(max(self.everybody[at + VARIANCE], first_guess), MOST_SPREAD * MOST_SPREAD * first_guess)
        variance = (n * own[at + VARIANCE] + SHRINK * guess) / (n + SHRINK)
        if scale.count:
            count = max(math.expm1(mean), 0.5)
            variance = max(variance, count / (1.0 + count) ** 2)
        return mean, max(math.sqrt(variance), scale.least_deviation)

    def p(self, z: float) -> float:
        """How often traffic is at least this far above expectation: in 1e-300..1, falling in z."""
        return _widened(self.zs, z, normal_tail(z), _NORMAL, _HEAVY)

    def drift_p(self, drift: float) -> float:
        """How often a CUSUM is at least so high: in 1e-300..1, falling in ``drift``."""
        return _widened(self.drifts, drift, drift_tail(drift), _DRIFT, _HEAVY)

    def drift(self, own: Levels, x: float, deviation: float) -> float:
        """The CUSUM of a principal after another observation; nothing before the baseline is its own."""
        at = self.at
        if own[at + N] < ENOUGH:
            return 0.0
        z = min(max((x - own[at + SLOW]) / deviation, -WINSOR_Z), WINSOR_Z)
        moved: float = own[at + DRIFT] + z - SLACK_Z
        return min(max(moved, 0.0), MOST_DRIFT)

    def teach(
        self,
        own: Levels,
        group: Levels | None,
        x: float,
        time_s: float,
        *,
        expected: tuple[float, float],
        others: bool,
    ) -> None:
        """Take an observation of what was let in into the baselines, winsorised by what was ``expected`` of it;
        ``others``: also into those of the group and of everybody."""
        mean, deviation = expected
        x = min(x, mean + WINSOR_Z * deviation)
        at = self.at
        learn(own, at, x, MEMORY, SPREAD_Z * deviation if own[at] >= ENOUGH else math.inf)
        if self.scale.held:
            hold(own, at, time_s)
        if others:
            learn(self.everybody, at, x, COMMON_MEMORY)
            if group is not None:
                learn(group, at, x, COMMON_MEMORY)


def _widened(histogram: Histogram, value: float, p: float, prior: tuple[float, ...], heavy: int) -> float:
    """``p``, or what was seen if that is more. Beyond what was seen often enough, if that is itself beyond ``heavy``,
    the tail falls tenfold for each ``DECADE_BINS`` only."""
    above = histogram.above
    index = histogram.bin(value)
    if above[index] >= EVIDENCE:
        return max(p, (above[index] + PSEUDO * prior[index]) / (histogram.total + PSEUDO))
    if above[heavy] < EVIDENCE:
        return p
    last = heavy
    while above[last + 1] >= EVIDENCE:
        last += 1
    seen = (above[last] + PSEUDO * prior[last]) / (histogram.total + PSEUDO)
    return max(p, seen * math.pow(10.0, (last - value / histogram.width) / DECADE_BINS))
