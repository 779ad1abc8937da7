"""Noise on counts: the discrete Laplace distribution, so that counts stay whole numbers.

Ghosh, Roughgarden and Sundararajan, Universally Utility-Maximizing Privacy Mechanisms (2009): adding ``X`` with
``P(X = k)`` in proportion to ``exp(-|k| epsilon / sensitivity)`` to each count is epsilon-differentially private, where
``sensitivity`` bounds by how much all counts together change if one principal is taken out. The accounting of
docs/federation.md has been reviewed by nobody.
"""

from __future__ import annotations

import math
import os

import numpy as np

from detectors.federation.space import Counts
from guard.errors import ConfigError

LEAST_EPSILON = 1e-3
MOST_EPSILON = 100.0


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


def _geometric(shape: tuple[int, ...], scale: float) -> Counts:
    """Failures before a success of probability ``1 - exp(-1 / scale)``: the difference of two is discrete Laplace."""
    size = math.prod(shape)
    bits = np.frombuffer(os.urandom(8 * size), dtype="<u8") >> np.uint64(11)
    uniform = (bits.astype(np.float64) + 0.5) / 2.0**53
    return np.asarray(np.floor(-np.log(uniform) * scale), np.int64).reshape(shape)
