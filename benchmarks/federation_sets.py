"""Seeded sets with planted anomalies for ``benchmarks.federation``. Spaces are stated, not taken from the rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

from detectors.anomaly import TailModel
from detectors.anomaly.second import one_sided
from detectors.anomaly.training.week import ATTACKS_FROM, DAY_S, START_S, week
from detectors.federation.exported import BEHAVIOUR
from detectors.federation.space import Axis, Space

ROWS: Final = 6000
PLANTED: Final = 0.02

Rows = npt.NDArray[np.float64]
Rng = np.random.Generator


class Labelled(NamedTuple):
    """``rows`` (n, features), ``planted`` (n,) true for anomalies, and the space that was agreed on beforehand.
    ``parts``: the rows of each gateway where that is given; else the set is cut up at random, or by kind."""

    name: str
    rows: Rows
    planted: npt.NDArray[np.bool_]
    space: Space
    parts: tuple[npt.NDArray[np.intp], ...] = ()


def _space(features: int, low: float, high: float, scale: Any) -> Space:
    return Space(tuple(Axis(f"x{at}", low, high, scale) for at in range(features)))


def _clusters(rng: Rng, usual: int, planted: int) -> tuple[Rows, Rows, Space]:
    """Five Gaussian clusters of different widths; anomalies anywhere."""
    centres, widths = rng.uniform(-8, 8, (5, 8)), rng.uniform(0.3, 1.5, 5)
    at = rng.integers(5, size=usual)
    rows = centres[at] + rng.normal(size=(usual, 8)) * widths[at, None]
    return rows, rng.uniform(-10, 10, (planted, 8)), _space(8, -16, 16, "linear")


def _local(rng: Rng, usual: int, planted: int) -> tuple[Rows, Rows, Space]:
    """Clusters as before; anomalies are their members, thrown three times as far."""
    centres, widths = rng.uniform(-8, 8, (4, 6)), rng.uniform(0.4, 1.0, 4)
    at, out = rng.integers(4, size=usual), rng.integers(4, size=planted)
    rows = centres[at] + rng.normal(size=(usual, 6)) * widths[at, None]
    far = centres[out] + 3 * rng.normal(size=(planted, 6)) * widths[out, None]
    return rows, far, _space(6, -16, 16, "linear")


def _heavy(rng: Rng, usual: int, planted: int) -> tuple[Rows, Rows, Space]:
    """Log-normal and Pareto features; anomalies raise three of ten by a factor of 5 to 50."""
    rows = np.concatenate([rng.lognormal(5, 1, (usual, 5)), 10 * rng.pareto(2.5, (usual, 5))], axis=1)
    far = np.concatenate([rng.lognormal(5, 1, (planted, 5)), 10 * rng.pareto(2.5, (planted, 5))], axis=1)
    for row in far:
        row[rng.choice(10, 3, replace=False)] *= rng.uniform(5, 50)
    return rows, far, _space(10, 0, 1e6, "log")


def _correlated(rng: Rng, usual: int, planted: int) -> tuple[Rows, Rows, Space]:
    """Ten features from three hidden ones; anomalies are in bounds by each feature and leave the common plane."""
    plane = rng.normal(size=(3, 10))
    rows = rng.normal(size=(usual, 3)) @ plane + 0.2 * rng.normal(size=(usual, 10))
    far = rng.normal(size=(planted, 10)) * rows.std(axis=0) * 1.6
    return rows, far, _space(10, -16, 16, "linear")


def _categories(rng: Rng, usual: int, planted: int) -> tuple[Rows, Rows, Space]:
    """Whole numbers for categories of Zipf's frequencies, and rates of them; anomalies draw three evenly."""
    ranks = 1.0 / np.arange(1, 21) ** 1.8
    sizes, shuffled = ranks / ranks.sum(), np.stack([rng.permutation(20) for _ in range(8)])
    drawn = [rng.choice(20, size=(count, 8), p=sizes) for count in (usual, planted)]
    rows, far = (np.take_along_axis(shuffled.T, drawn_rows, axis=0).astype(float) for drawn_rows in drawn)
    for row in far:
        row[rng.choice(8, 3, replace=False)] = rng.integers(20, size=3)
    return rows, far, _space(8, 0, 20, "linear")


def _sparse(rng: Rng, usual: int, planted: int) -> tuple[Rows, Rows, Space]:
    """Fourteen features of which one in ten is not zero; in anomalies, one in three."""
    rows = rng.exponential(20, (usual, 14)) * (rng.random((usual, 14)) < 0.1)
    far = rng.exponential(20, (planted, 14)) * (rng.random((planted, 14)) < 0.33)
    return rows, far, _space(14, 0, 1e4, "log")


def _grouped(rng: Rng, usual: int, planted: int) -> tuple[Rows, Rows, Space]:
    """One wide cloud; the anomalies stand together, which hides them from each other's isolation."""
    rows = rng.normal(size=(usual, 6)) * 2
    return rows, rng.normal(size=(planted, 6)) * 0.3 + 6 * rng.choice([-1, 1], 6), _space(6, -16, 16, "linear")


def _gateway(rng: Rng, usual: int, planted: int) -> tuple[Rows, Rows, Space]:
    """Requests of a gateway: rates, sizes, ratios, levels that differ by principal; anomalies of five kinds."""

    def requests(count: int) -> Rows:
        level = rng.normal(size=(count, 1))
        rates = rng.poisson(np.exp(1 + 0.6 * level + 0.3 * rng.normal(size=(count, 3))))
        sizes = np.exp(7 + 0.8 * level + 0.7 * rng.normal(size=(count, 4)))
        return np.concatenate([rates, sizes, 100 * rng.beta(1, 12, (count, 3))], axis=1)

    far = requests(planted)
    for at, row in enumerate(far):
        kind = at % 5
        if kind == 0:
            row[0:3] = row[0:3] * 15 + 20
        elif kind == 1:
            row[3 + at % 4] *= 40
        elif kind == 2:
            row[7:10] = rng.uniform(40, 95, 3)
        elif kind == 3:
            row[3:7] /= 60
        else:
            row[0], row[5], row[8] = row[0] * 8 + 5, row[5] * 10, rng.uniform(30, 60)
    return requests(usual), far, _space(10, 0, 1e6, "log")


GENERATORS: Final[dict[str, Callable[[Rng, int, int], tuple[Rows, Rows, Space]]]] = {
    "clusters": _clusters,
    "local": _local,
    "heavy tails": _heavy,
    "correlated": _correlated,
    "categories": _categories,
    "sparse": _sparse,
    "grouped anomalies": _grouped,
    "gateway": _gateway,
}


PUBLIC: Final[dict[str, tuple[Callable[[], Any], int, tuple[int, ...], int]]] = {
    "breast cancer": (load_breast_cancer, 0, (1,), 10),
    "wine": (load_wine, 0, (1, 2), 10),
    "digits": (load_digits, 1, (9,), 30),
}
"""Loader, the class that is made rare, the classes that are usual, and how many of the former are kept."""


def generated(name: str, seed: int, rows: int = ROWS) -> Labelled:
    """A set of ``rows`` rows, ``PLANTED`` of them anomalies, in random order. Deterministic for its arguments."""
    rng = np.random.default_rng([seed, list(GENERATORS).index(name)])
    count = round(rows * PLANTED)
    usual, planted, space = GENERATORS[name](rng, rows - count, count)
    order = rng.permutation(rows)
    labels = np.arange(rows) >= rows - count
    return Labelled(name, np.concatenate([usual, planted])[order], labels[order], space)


def weeks(seed: int, gateways: int) -> Labelled:
    """A simulated week of requests with ten kinds of attack. Each principal keeps to one gateway, which has a behaviour
    model of its own; the rows are the z of its features on the days on which there are attacks."""
    models = [TailModel(second_opinion="off") for _ in range(gateways)]
    rows: list[list[float]] = []
    planted, where = [], []
    for one in week(seed, principals=100):
        gateway = int(one.event.principal[1:]) % gateways
        model = models[gateway]
        if one.event.time_s >= START_S + ATTACKS_FROM * DAY_S:
            rows.append([one_sided(z) for z in model.zs(one.event)])
            planted.append(bool(one.kind))
            where.append(gateway)
        model.learn(one.event, "allow")
        model.settle(one.event, one.outcome)
    parts = tuple(np.flatnonzero(np.array(where) == gateway) for gateway in range(gateways))
    return Labelled("simulated week", np.array(rows), np.array(planted), BEHAVIOUR, parts)


def public(name: str, seed: int) -> Labelled:
    """A public set that scikit-learn brings with it, with a rare class as anomalies, as ADBench makes them: of
    ``breast cancer`` (Wisconsin diagnostic) ten malignant ones, of ``wine`` ten of the first class, of ``digits`` 30
    ones among nines. Bounds are the ends of each feature, outwards to a power of two."""
    load, anomalies, usual, count = PUBLIC[name]
    found = load()
    labels = np.asarray(found.target)
    rng = np.random.default_rng(seed)
    rare = rng.choice(np.flatnonzero(labels == anomalies), count, replace=False)
    kept = np.sort(np.concatenate([np.flatnonzero(np.isin(labels, usual)), rare]))
    rows = np.asarray(found.data, np.float64)[kept]
    ends = 2.0 ** np.ceil(np.log2(np.maximum(np.abs(rows).max(axis=0), 1e-9)))
    space = Space(tuple(Axis(f"x{at}", 0.0, float(end), "linear") for at, end in enumerate(ends)))
    return Labelled(name, rows, np.isin(kept, rare), space)


def split(rows: Rows, parts: int, *, alike: bool, seed: int) -> list[npt.NDArray[np.intp]]:
    """Which rows each gateway has: ``alike`` at random, else sorted along a random direction and of unequal sizes."""
    rng = np.random.default_rng(seed)
    if alike:
        return list(np.array_split(rng.permutation(len(rows)), parts))
    spread = rows.std(axis=0)
    along = (rows / np.where(spread > 0, spread, 1)) @ rng.normal(size=rows.shape[1])
    cuts = np.sort(rng.choice(np.arange(1, len(rows)), parts - 1, replace=False))
    return list(np.split(np.argsort(along, kind="stable"), cuts))
