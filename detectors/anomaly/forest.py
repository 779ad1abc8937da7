"""An isolation forest (Liu, Ting and Zhou, ICDM 2008) as flat arrays: the score of one row in microseconds.

A forest that scikit-learn trained is flattened once (``detectors.anomaly.training.flatten``); its scores are the same
to 1e-9. All trees walk down together, one level a step. The expected path length at each node gives what a feature did
to the score: the sum of the differences along the path, over all trees, is the whole difference to the root.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.common import artefact
from detectors.models.directory import VERSION
from guard.errors import ConfigError

KIND: Final = "isolation-forest"
_TRAIN: Final = "train it again: guard model train behaviour"


class FlatForest:
    """Arrays of nodes.

    ``feature`` and ``threshold`` of each; ``child`` holds left and right of node ``i`` at ``2 i`` and ``2 i + 1``, a
    leaf is its own child; ``path`` is the expected path length at a node; ``roots`` has one for each tree; ``depth`` is
    the most steps, ``normal`` the path length that scores 0.5. Raises ``ValueError`` where they do not fit.

    Thread-safe: each thread has buffers of its own.
    """

    def __init__(
        self,
        feature: npt.ArrayLike,
        threshold: npt.ArrayLike,
        child: npt.ArrayLike,
        path: npt.ArrayLike,
        roots: npt.ArrayLike,
        *,
        depth: int,
        normal: float,
        features: int,
    ) -> None:
        self.feature = np.ascontiguousarray(feature, dtype=np.intp)
        self.threshold = np.ascontiguousarray(threshold, dtype=np.float64)
        self.child = np.ascontiguousarray(child, dtype=np.intp)
        self.path = np.ascontiguousarray(path, dtype=np.float64)
        self.roots = np.ascontiguousarray(roots, dtype=np.intp)
        self.depth = depth
        self.normal = normal
        self.features = features
        nodes = len(self.feature)
        if (
            not nodes
            or not len(self.roots)
            or not (len(self.threshold) == len(self.path) == nodes and len(self.child) == 2 * nodes)
            or not all(((a >= 0) & (a < nodes)).all() for a in (self.child, self.roots))
            or not ((self.feature >= 0) & (self.feature < features)).all()
            or not (np.isfinite(self.threshold).all() and (self.path >= 0).all() and np.isfinite(self.path).all())
            or not 0 <= depth <= 64
            or not normal > 0
        ):
            raise ValueError("the arrays are no forest")
        self._local = threading.local()

    def score(self, row: Sequence[float]) -> float:
        """How easily the row is isolated, in 0..1: scikit-learn's ``-score_samples``."""
        leaves = self._walk(row, None)
        return self._scaled(float(self.path.take(leaves).sum()))

    def explain(self, row: Sequence[float]) -> tuple[float, npt.NDArray[np.float64]]:
        """The score, and by how much each feature made the mean path longer; they sum to the path less the roots'."""
        buffers = self._buffers()
        leaves = self._walk(row, buffers)
        moved = np.bincount(buffers.split.ravel(), weights=buffers.moved.ravel(), minlength=self.features)
        return self._scaled(float(self.path.take(leaves).sum())), moved / len(self.roots)

    def _scaled(self, paths: float) -> float:
        return float(2.0 ** (-paths / (len(self.roots) * self.normal)))

    def _buffers(self) -> _Buffers:
        held: _Buffers | None = getattr(self._local, "buffers", None)
        if held is None:
            held = self._local.buffers = _Buffers(len(self.roots), self.depth)
        return held

    def _walk(self, row: Sequence[float], trail: _Buffers | None) -> npt.NDArray[np.intp]:
        """The leaves that the row ends in. scikit-learn compares values of single precision."""
        buffers = trail or self._buffers()
        x = np.asarray(row, dtype=np.float32).astype(np.float64)
        if x.shape != (self.features,):
            raise ValueError(f"a row has {self.features} values")
        node, at, value, limit, right = buffers.node, buffers.at, buffers.value, buffers.limit, buffers.right
        node[:] = self.roots
        if trail is not None:
            self.path.take(node, out=buffers.before, mode="clip")
        for level in range(self.depth):
            split = at if trail is None else trail.split[level]
            self.feature.take(node, out=split, mode="clip")
            x.take(split, out=value, mode="clip")
            self.threshold.take(node, out=limit, mode="clip")
            np.greater(value, limit, out=right)
            np.add(node, node, out=node)
            np.add(node, right, out=node, casting="unsafe")
            self.child.take(node, out=buffers.next, mode="clip")
            node, buffers.next = buffers.next, node
            if trail is not None:
                self.path.take(node, out=value, mode="clip")
                np.subtract(value, trail.before, out=trail.moved[level])
                trail.before[:] = value
        buffers.node = node
        return node


class _Buffers:
    """What one thread writes into."""

    def __init__(self, trees: int, depth: int) -> None:
        self.node = np.empty(trees, np.intp)
        self.next = np.empty(trees, np.intp)
        self.at = np.empty(trees, np.intp)
        self.value = np.empty(trees)
        self.limit = np.empty(trees)
        self.before = np.empty(trees)
        self.right = np.empty(trees, np.bool_)
        self.split = np.zeros((depth, trees), np.intp)
        self.moved = np.zeros((depth, trees))


class Stored(NamedTuple):
    """A forest that was loaded. ``digest``: SHA-256 of its file, in hex. ``version``: as its card calls it, else the
    beginning of the digest."""

    forest: FlatForest
    digest: str
    version: str


def load(path: Path, names: Sequence[str], *, model_key: Path | None = None) -> Stored:
    """A forest over these features. Raises ``ConfigError`` if it is damaged, over others, or not signed by
    ``model_key`` where one is given; ``KeyInvalid``."""
    read = artefact.read(path, KIND, model_key=model_key)
    arrays: dict[str, Any] = dict(read.arrays)
    version = read.card.get("version", read.digest[:12])
    try:
        if list(read.card["features"]) != list(names):
            raise ValueError("it was trained on other features")
        if not isinstance(version, str) or not VERSION.fullmatch(version):
            raise ValueError("its version is no word of at most 32 letters, digits, dots and dashes")
        forest = FlatForest(
            **arrays, depth=int(read.card["depth"]), normal=float(read.card["normal"]), features=len(names)
        )
    except (ValueError, KeyError, TypeError) as error:
        said = f"its card has no {error}" if isinstance(error, KeyError) else str(error)
        raise ConfigError(f"the forest cannot be used: {said}", where=str(path), mend=_TRAIN) from error
    return Stored(forest, read.digest, version)
