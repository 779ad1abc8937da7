"""What one gateway hands over in a step: its counts, with noise if it wants, under its name."""

from __future__ import annotations

from detectors.federation import space as spaces
from detectors.federation.files import Held, space_digest
from detectors.federation.noise import noised
from detectors.federation.space import Counts, Levels, Space
from detectors.federation.structure import Structure
from detectors.federation.sums import contributed


def histograms_of(levels: Levels, space: Space, gateway: str, *, cap: int = 0, epsilon: float | None = None) -> Held:
    """The histograms of rows, in which each principal has ``cap`` at most. An event is in one bin of each feature, so
    a principal changes the counts by ``cap * features`` at most. Raises ``ConfigError``."""
    counts = _counted(spaces.histograms(levels), len(space.axes) * cap, epsilon)
    sums = contributed("histograms", space_digest(space), counts, gateway, cap=cap, epsilon=epsilon or 0.0)
    return Held(sums, space, None)


def counts_of(
    levels: Levels, structure: Structure, gateway: str, *, cap: int = 0, epsilon: float | None = None
) -> Held:
    """The leaf counts of rows, as above. An event is in one leaf of each tree, so a principal changes the counts by
    ``cap * trees`` at most. Raises ``ConfigError``."""
    counts = _counted(structure.counts(levels), len(structure.roots) * cap, epsilon)
    sums = contributed("counts", structure.digest, counts, gateway, cap=cap, epsilon=epsilon or 0.0)
    return Held(sums, structure.space, structure)


def _counted(counts: Counts, sensitivity: int, epsilon: float | None) -> Counts:
    return counts if epsilon is None else noised(counts, epsilon=epsilon, sensitivity=sensitivity)
