"""The public structure: an isolation forest of scikit-learn over synthetic rows, flattened, with whole thresholds.

The rows are drawn from the summed marginals, feature by feature, so nobody's event is in them, and the structure may be
given to everybody. A row's leaf is found by integer comparisons alone.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.federation.space import BINS, LEVELS, Counts, Levels, Space

LEAF: Final = -1
MOST_DEPTH: Final = 64
_ROWS_AT_ONCE: Final = 4096

Nodes = npt.NDArray[np.int32]


class Structure(NamedTuple):
    """A forest without counts. Nodes of all trees follow each other, parents before children.

    ``feature``: the column that is compared, ``LEAF`` for a leaf. ``threshold``: a level goes to ``left`` where it is
    at most this, else to ``right``; both children of a leaf are the leaf itself. ``roots``: one for each tree.
    """

    space: Space
    feature: npt.NDArray[np.int16]
    threshold: Nodes
    left: Nodes
    right: Nodes
    roots: Nodes

    @property
    def digest(self) -> str:
        """SHA-256 over space and nodes, in hex: two with equal digests count alike."""
        whole = hashlib.sha256(self.space.encoded())
        for nodes in self[1:]:
            whole.update(np.ascontiguousarray(nodes).astype("<i4").tobytes())
        return whole.hexdigest()

    @property
    def leaf_ranks(self) -> Nodes:
        """For each node, how many leaves stand before it: a leaf's place among the leaves."""
        leaves = self.feature == LEAF
        return np.asarray(np.cumsum(leaves) - leaves, np.int32)

    @property
    def leaves(self) -> int:
        """How many leaves there are."""
        return int(np.count_nonzero(self.feature == LEAF))

    def reached(self, levels: Levels) -> Nodes:
        """The leaf of each row in each tree, ``(rows, trees)``."""
        if levels.ndim != 2 or levels.shape[1] != len(self.space.axes):
            raise ValueError(f"rows have the shape {levels.shape}, not (n, {len(self.space.axes)})")
        found = np.empty((len(levels), len(self.roots)), np.int32)
        column = np.maximum(self.feature, 0).astype(np.intp)
        for start in range(0, len(levels), _ROWS_AT_ONCE):
            part = levels[start : start + _ROWS_AT_ONCE]
            rows = np.arange(len(part))[:, None]
            at = np.broadcast_to(self.roots, (len(part), len(self.roots)))
            while True:
                below = np.where(part[rows, column[at]] <= self.threshold[at], self.left[at], self.right[at])
                if np.array_equal(below, at):
                    break
                at = below
            found[start : start + _ROWS_AT_ONCE] = at
        return found

    def counts(self, levels: Levels) -> Counts:
        """How many rows fall into each leaf, in the order of the leaves."""
        ranks, total = self.leaf_ranks, np.zeros(self.leaves, np.int64)
        for start in range(0, len(levels), _ROWS_AT_ONCE):
            reached = self.reached(levels[start : start + _ROWS_AT_ONCE])
            total += np.bincount(ranks[reached].ravel(), minlength=len(total))
        return total

    def generations(self) -> list[Nodes]:
        """The nodes by depth, the roots first; of a tree that is too deep, one generation too many."""
        found = [self.roots]
        while True:
            inner = found[-1][self.feature[found[-1]] != LEAF]
            if not len(inner) or len(found) > MOST_DEPTH + 1:
                return found
            found.append(np.concatenate([self.left[inner], self.right[inner]]))

    def check(self) -> None:
        """Raises ``ValueError`` unless the nodes are trees over the space, of ``MOST_DEPTH`` steps at most."""
        nodes = len(self.feature)
        if any(part.ndim != 1 for part in self[1:]) or not all(len(part) == nodes for part in self[1:5]):
            raise ValueError("its nodes have other shapes")
        here = np.arange(nodes)
        leaf = self.feature == LEAF
        inner = here[~leaf]
        if not len(self.roots) or self.feature.max() >= len(self.space.axes) or self.feature.min() < LEAF:
            raise ValueError("it has no tree, or compares a feature that the space does not have")
        if not (np.array_equal(self.left[leaf], here[leaf]) and np.array_equal(self.right[leaf], here[leaf])):
            raise ValueError("a leaf leads on")
        children = np.concatenate([self.left[inner], self.right[inner]])
        if np.any(self.left[inner] <= inner) or np.any(self.right[inner] <= inner):
            raise ValueError("a node leads back")
        tree = np.searchsorted(self.roots, here, side="right")
        if np.any(np.diff(self.roots) <= 0) or np.any(tree[children] != np.concatenate([tree[inner], tree[inner]])):
            raise ValueError("a node leads into another tree")
        if not np.array_equal(np.sort(np.concatenate([self.roots, children])), here):
            raise ValueError("a node has no parent, or two")
        if len(self.generations()) > MOST_DEPTH + 1:
            raise ValueError(f"a tree is deeper than {MOST_DEPTH}")


def synthetic(histograms: Counts, rows: int, rng: np.random.Generator) -> Levels:
    """``rows`` rows of levels, each feature drawn on its own from its histogram, even within each bin. A feature whose
    histogram is empty is drawn from all levels."""
    width = LEVELS // BINS
    columns = []
    for histogram in histograms:
        heights = np.maximum(histogram, 0)
        edges = np.cumsum(heights if heights.any() else np.ones(BINS, np.int64))
        bins = np.searchsorted(edges, rng.integers(edges[-1], size=rows), side="right")
        columns.append(bins * width + rng.integers(width, size=rows))
    return np.stack(columns, axis=1).astype(np.int32)


def grown(space: Space, histograms: Counts, *, trees: int, samples: int, seed: int) -> Structure:
    """The structure for summed histograms, ``(features, BINS)``: ``trees`` trees, each over ``samples`` synthetic rows.

    Deterministic for its input on one version of numpy and scikit-learn; the structure, not the seed, is what gateways
    are given.
    """
    from sklearn.ensemble import IsolationForest

    rows = synthetic(histograms, trees * samples, np.random.default_rng(seed))
    forest = IsolationForest(n_estimators=trees, max_samples=samples, random_state=seed).fit(rows.astype(np.float32))
    return _flattened(space, [estimator.tree_ for estimator in forest.estimators_])


def _flattened(space: Space, trees: list[Any]) -> Structure:
    # Flattened here and not in the room of the behaviour model: thresholds are whole numbers, which theirs are not.
    parts: list[list[npt.NDArray[Any]]] = [[], [], [], [], []]
    offset = 0
    for tree in trees:
        here = np.arange(tree.node_count)
        leaf = tree.children_left == -1
        # A level is whole: it is at most the threshold exactly where it is at most its floor.
        threshold = np.where(leaf, 0, np.floor(tree.threshold))
        left, right = (np.where(leaf, here, child) + offset for child in (tree.children_left, tree.children_right))
        for part, nodes in zip(parts, (np.where(leaf, LEAF, tree.feature), threshold, left, right), strict=False):
            part.append(nodes)
        parts[4].append(np.array([offset]))
        offset += tree.node_count
    feature, *others = (np.concatenate(part) for part in parts)
    threshold, left, right, roots = (part.astype(np.int32) for part in others)
    return Structure(space, feature.astype(np.int16), threshold, left, right, roots)
