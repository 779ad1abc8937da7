"""Noise on counts: the discrete Laplace distribution, so that counts stay whole numbers.

Ghosh, Roughgarden and Sundararajan, Universally Utility-Maximizing Privacy Mechanisms (2009): adding ``X`` with
``P(X = k)`` in proportion to ``exp(-|k| epsilon / sensitivity)`` to each count is epsilon-differentially private, where
``sensitivity`` bounds by how much all counts together change if one principal is taken out. The accounting of
docs/federation.md has been reviewed by nobody.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Final

import numpy as np

from detectors.federation.space import Counts
from detectors.federation.sums import Source
from guard.errors import ConfigError

LEAST_EPSILON = 1e-3
MOST_EPSILON = 100.0
_REACH: Final = 40.0
"""How many scales noise reaches at most: the uniform numbers behind it have 53 bits, and 54 ln 2 is less."""


def noised(counts: Counts, *, epsilon: float, sensitivity: int) -> Counts:
    """The counts with noise of the system's random source. Raises ``ConfigError`` for an epsilon out of range, or
    where nothing bounds what a principal changes (``sensitivity`` 0)."""
    if not LEAST_EPSILON <= epsilon <= MOST_EPSILON:
        raise ConfigError(f"epsilon is {epsilon:g}", mend=f"between {LEAST_EPSILON:g} and {MOST_EPSILON:g}")
    if sensitivity < 1:
        raise ConfigError(
            "noise without a cap protects nobody: one principal may have any number of events",
            mend="give --cap, the most events of one principal that count",
        )
    scale = sensitivity / epsilon
    return counts + _geometric(counts.shape, scale) - _geometric(counts.shape, scale)


def check_noise(counts: Counts, sources: Sequence[Source], columns: int) -> None:
    """Raises ``ValueError`` where ``sources`` name noise that nobody adds, or a count is further below zero than theirs
    reaches. ``columns``: in how many counts an event stands, one for each feature or tree."""
    scale = 0.0
    for source in sources:
        if source.epsilon == 0.0:
            continue
        if not LEAST_EPSILON <= source.epsilon <= MOST_EPSILON or source.cap < 1:
            raise ValueError(f"gateway {source.gateway!r} names noise of epsilon {source.epsilon:g}, cap {source.cap}")
        scale += columns * source.cap / source.epsilon
    if counts.size and counts.min() < -_REACH * scale:
        raise ValueError("a count is further below zero than the noise that its sources name")


def _geometric(shape: tuple[int, ...], scale: float) -> Counts:
    """Failures before a success of probability ``1 - exp(-1 / scale)``: the difference of two is discrete Laplace."""
    size = math.prod(shape)
    bits = np.frombuffer(os.urandom(8 * size), dtype="<u8") >> np.uint64(11)
    uniform = (bits.astype(np.float64) + 0.5) / 2.0**53
    return np.asarray(np.floor(-np.log(uniform) * scale), np.int64).reshape(shape)
