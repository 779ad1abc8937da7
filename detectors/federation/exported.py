"""A merged forest as the file that the behaviour model takes for its second opinion (``[detectors.options.behaviour]
forest``): the rows are its one-sided z, the thresholds in their unit, the depths those of the merged counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from detectors.anomaly.features import NAMES
from detectors.anomaly.forest import KIND
from detectors.anomaly.second import MOST_Z
from detectors.common import artefact
from detectors.federation.forest import MassForest, average_depth
from detectors.federation.space import LEVELS, Axis, Space
from detectors.federation.structure import LEAF
from guard.errors import ConfigError

REACH: Final = 16.0
"""Above the largest z, and a power of two: every edge between two levels is exact in single precision."""
BEHAVIOUR: Final = Space(tuple(Axis(name, 0.0, REACH, "linear", 0.0) for name in NAMES))
"""The space of the behaviour model: each feature's z, 0 where it is at most as expected, at most ``MOST_Z``."""


def arrays_of(forest: MassForest) -> tuple[dict[str, npt.NDArray[Any]], int, float]:
    """The arrays of a forest over ``BEHAVIOUR``, the most steps to a leaf, and the path length that scores 0.5."""
    structure = forest.structure
    leaf = structure.feature == LEAF
    child = np.empty(2 * len(leaf), np.int32)
    child[0::2], child[1::2] = structure.left, structure.right
    # A level is at most t where the value lies below the edge of t + 1; the other forest asks for "at most".
    edges = (structure.threshold.astype(np.float64) + 1.0) / LEVELS * REACH
    arrays = {
        "feature": np.where(leaf, 0, structure.feature).astype(np.int16),
        "threshold": np.where(leaf, 0.0, np.nextafter(edges, -np.inf)),
        "child": child,
        "path": forest.depths,
        "roots": structure.roots,
    }
    return arrays, len(structure.generations()) - 1, float(average_depth(np.array(float(forest.samples))))


def export(path: Path, forest: MassForest, card: dict[str, Any]) -> str:
    """Writes it, returns its digest. Raises ``ConfigError`` for a forest over another space."""
    if forest.structure.space != BEHAVIOUR:
        raise ConfigError(
            "it was not counted over the features of the behaviour model",
            where=str(path),
            mend="count without --space",
        )
    arrays, depth, normal = arrays_of(forest)
    try:
        return artefact.write(
            path, KIND, arrays, {**card, "features": list(NAMES), "depth": depth, "normal": normal, "most_z": MOST_Z}
        )
    except OSError as error:
        raise ConfigError(f"it cannot be written: {error.strerror}", where=str(path)) from error
