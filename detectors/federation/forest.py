"""Scores from merged counts: the depth at which a random subsample would have isolated a row.

A row's path through a tree passes nodes that hold the parts ``f`` of all rows. In a subsample of ``samples`` rows that
contains it, the row is not yet alone in a node with probability ``1 - (1 - f)^(samples - 1)``: each such node adds that
much to the depth, and a leaf adds the average depth of a search tree over the rows that it would still hold (Liu, Ting
and Zhou, Isolation Forest, 2008). So the depth depends on counts alone, and the sum of gateways' counts gives the depth
of all of their rows together.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from detectors.federation.space import Counts, Levels
from detectors.federation.structure import LEAF, Structure

SAMPLES: Final = 256
"""Rows of the subsample that depth is counted in: as scikit-learn's forests have by default."""
_EULER: Final = 0.5772156649015329
_SHIFT: Final = 6

Floats = npt.NDArray[np.float64]


def average_depth(n: Floats) -> Floats:
    """Average depth of an unsuccessful search among ``n`` rows, ``2 H(n - 1) - 2 (n - 1) / n``, for real ``n`` >= 1."""
    # H(n - 1) = digamma(n) + Euler's constant; digamma by its asymptotic series, eight places from n = 7 on.
    x = n + _SHIFT
    digamma = np.log(x) - 0.5 / x - 1 / (12 * x**2) + 1 / (120 * x**4) - 1 / (252 * x**6) + 1 / (240 * x**8)
    for step in range(_SHIFT):
        digamma -= 1.0 / (n + step)
    return np.asarray(2.0 * (digamma + _EULER) - 2.0 * (n - 1.0) / n)


class MassForest:
    """A structure with the counts of all gateways together. Frozen; may be used from several threads.

    ``counts``: rows in each leaf; below zero, which noise can bring, counts as none. Raises ``ValueError`` where they
    do not fit the structure or a tree holds no row.
    """

    def __init__(self, structure: Structure, counts: Counts, samples: int = SAMPLES) -> None:
        if counts.shape != (structure.leaves,):
            raise ValueError(f"{counts.shape} counts for {structure.leaves} leaves")
        self.structure = structure
        self.samples = samples
        self.depths = self._isolation_depths(np.maximum(counts, 0))
        """By node: of a leaf the isolation depth, of an inner node the mean over the rows in it."""

    def _isolation_depths(self, counts: Counts) -> Floats:
        """For each leaf the isolation depth, for each inner node the mean over the rows in it."""
        structure = self.structure
        leaf = structure.feature == LEAF
        mass = np.zeros(len(leaf))
        mass[leaf] = counts
        generations = structure.generations()
        for nodes in reversed(generations):
            inner = nodes[~leaf[nodes]]
            mass[inner] = mass[structure.left[inner]] + mass[structure.right[inner]]
        totals = mass[structure.roots]
        if totals.min() <= 0:
            raise ValueError("a tree holds no row")
        part, depth = np.zeros(len(leaf)), np.zeros(len(leaf))
        part[structure.roots] = 1.0
        for nodes in generations:
            inner = nodes[~leaf[nodes]]
            above = np.concatenate([inner, inner])
            below = np.concatenate([structure.left[inner], structure.right[inner]])
            parents = np.maximum(mass[above], 1.0)
            part[below] = part[above] * mass[below] / parents
            depth[below] = depth[above] + 1.0 - (1.0 - part[above]) ** (self.samples - 1)
        depth[leaf] += average_depth(1.0 + (self.samples - 1) * part[leaf])
        for nodes in reversed(generations):
            inner = nodes[~leaf[nodes]]
            left, right = structure.left[inner], structure.right[inner]
            weight = np.where(mass[inner] > 0, mass[left] / np.maximum(mass[inner], 1.0), 0.5)
            depth[inner] = weight * depth[left] + (1.0 - weight) * depth[right]
        return depth

    def score(self, levels: Levels) -> Floats:
        """How isolated each row is, in 0..1, higher = more unusual: ``2 ^ -(mean depth / average depth)``."""
        usual = float(average_depth(np.array(float(self.samples))))
        return np.asarray(2.0 ** -(self.depths[self.structure.reached(levels)].mean(axis=1) / usual))

    def shares(self, levels: Levels) -> Floats:
        """What each feature took from the mean depth of each row, ``(rows, features)``; positive = more unusual.

        Along a row's path, each comparison changes the depth that is expected; the change belongs to the feature that
        was compared. A row's values sum to what all rows have as mean depth minus what it has.
        """
        structure, rows = self.structure, np.arange(len(levels))[:, None]
        found = np.zeros((len(levels), len(structure.space.axes)))
        at = np.broadcast_to(structure.roots, (len(levels), len(structure.roots)))
        while True:
            column = np.maximum(structure.feature[at], 0).astype(np.intp)
            left = levels[rows, column] <= structure.threshold[at]
            below = np.where(left, structure.left[at], structure.right[at])
            if np.array_equal(below, at):
                return found / len(structure.roots)
            np.add.at(found, (np.broadcast_to(rows, at.shape), column), self.depths[at] - self.depths[below])
            at = below
