"""scikit-learn's isolation forest as the flat arrays of ``detectors.anomaly.forest``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import IsolationForest

from detectors.anomaly.forest import FlatForest

Array = npt.NDArray[Any]


def unsuccessful(n: Array) -> npt.NDArray[np.float64]:
    """The mean path length of an unsuccessful search among ``n`` (Liu, Ting and Zhou 2008, equation 1), as scikit-learn
    computes it."""
    many = np.maximum(np.asarray(n, dtype=np.float64), 3.0)
    length = 2.0 * (np.log(many - 1.0) + np.euler_gamma) - 2.0 * (many - 1.0) / many
    return np.where(n <= 1, 0.0, np.where(n == 2, 1.0, length))


def arrays_of(model: IsolationForest) -> tuple[dict[str, Array], int, float]:
    """The arrays of a fitted forest, the most steps to a leaf, and the path length that scores 0.5."""
    parts: dict[str, list[Array]] = {"feature": [], "threshold": [], "child": [], "path": []}
    roots, size, deepest = [], 0, 0
    for estimator, columns in zip(model.estimators_, model.estimators_features_, strict=True):
        tree = estimator.tree_
        left, right = tree.children_left, tree.children_right
        leaf = left < 0
        here = np.arange(tree.node_count)
        child = np.empty(2 * tree.node_count, np.int32)
        child[0::2] = np.where(leaf, here, left) + size
        child[1::2] = np.where(leaf, here, right) + size
        depth = np.zeros(tree.node_count)
        for node in np.flatnonzero(~leaf):  # a parent stands before its children
            depth[[left[node], right[node]]] = depth[node] + 1
        path = depth + unsuccessful(tree.n_node_samples)
        for node in np.flatnonzero(~leaf)[::-1]:
            pair = [left[node], right[node]]
            path[node] = np.average(path[pair], weights=tree.n_node_samples[pair])
        parts["feature"].append(np.where(leaf, 0, np.asarray(columns)[tree.feature]).astype(np.int16))
        parts["threshold"].append(np.where(leaf, 0.0, tree.threshold))
        parts["child"].append(child)
        parts["path"].append(path)
        roots.append(size)
        size += tree.node_count
        deepest = max(deepest, int(depth.max()))
    arrays = {name: np.concatenate(columns) for name, columns in parts.items()}
    arrays["roots"] = np.asarray(roots, np.int32)
    return arrays, deepest, float(unsuccessful(np.asarray([model._max_samples]))[0])


def flatten(model: IsolationForest) -> FlatForest:
    """A fitted forest, flat."""
    arrays, depth, normal = arrays_of(model)
    return FlatForest(**arrays, depth=depth, normal=normal, features=model.n_features_in_)
