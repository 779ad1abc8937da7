"""Whole numbers through a protocol that averages floats.

Flower's SecAgg+ clips each parameter to ``[-clip, clip]``, maps it to ``0 .. range`` and rounds at random. With
``range = 2 * clip`` and a weight of one, a whole number within the clip maps to a whole number: nothing is rounded, and
the mean that comes back, times the number of gateways, is the sum. Counts are cut into two limbs of ``BITS`` bits, so
that each fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from detectors.federation.space import Counts

BITS: Final = 20
CLIP: Final = 1 << BITS
RANGE: Final = 2 * CLIP
MODULUS: Final = 1 << 32
MOST_GATEWAYS: Final = MODULUS // RANGE - 1
"""Past this the masked sum would wrap around."""


def cut(counts: Counts) -> list[npt.NDArray[np.float64]]:
    """The low and the high limbs. Raises ``ValueError`` for a count of 2^40 or more, or below -2^40."""
    high = counts >> BITS
    if counts.size and (high.max() >= CLIP or high.min() < -CLIP):
        raise ValueError("a count does not fit into two limbs")
    return [(counts - (high << BITS)).astype(np.float64), high.astype(np.float64)]


def joined(means: Sequence[npt.NDArray[Any]], gateways: int) -> Counts:
    """The sum of all counts from the means of their limbs. Raises ``ValueError`` where a mean is not that of whole
    numbers: then something was rounded or lost."""
    low, high = (np.asarray(mean, np.float64) * gateways for mean in means)
    whole = [np.rint(limb) for limb in (low, high)]
    if any(np.abs(limb - near).max(initial=0.0) > 1e-3 for limb, near in zip((low, high), whole, strict=True)):
        raise ValueError("the sum is not whole")
    return np.asarray(whole[0].astype(np.int64) + (whole[1].astype(np.int64) << BITS), np.int64)
