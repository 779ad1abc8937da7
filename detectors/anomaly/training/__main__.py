"""``python -m detectors.anomaly.training``: train the forest of the second opinion on simulated ordinary behaviour.

The same seeds and the same scikit-learn give the same file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import sklearn
from sklearn.ensemble import IsolationForest

from detectors.anomaly import TailModel
from detectors.anomaly.features import NAMES
from detectors.anomaly.forest import KIND, FlatForest
from detectors.anomaly.second import SHIPPED, one_sided
from detectors.anomaly.training.flatten import arrays_of
from detectors.anomaly.training.week import DAY_S, START_S, week
from detectors.common import artefact
from detectors.models.simulated import measured

SEEDS: Final = (1001, 1002)
TREES: Final = 100
ROWS: Final = 256
SETTLED_DAYS: Final = 3
SHIPPED_AS: Final = "2026.11"
"""The version under which the forest of these seeds is shipped."""


def rows(seed: int) -> list[list[float]]:
    """One-sided z of a week without attacks, from the fourth day on."""
    model, taken = TailModel(second_opinion="off"), []
    for row in week(seed, attacks=0):
        if row.event.time_s >= START_S + SETTLED_DAYS * DAY_S:
            taken.append([one_sided(z) for z in model.zs(row.event)])
        model.learn(row.event, "allow")
        model.settle(row.event, row.outcome)
    return taken


def train(path: Path, seeds: Sequence[int] = SEEDS) -> str:
    """Train, and write the files. Returns the digest. Raises ``OSError``."""
    data = np.asarray([one for seed in seeds for one in rows(seed)], dtype=np.float32)
    model = IsolationForest(n_estimators=TREES, max_samples=ROWS, random_state=seeds[0]).fit(data)
    arrays, depth, normal = arrays_of(model)
    metrics = measured(FlatForest(**arrays, depth=depth, normal=normal, features=len(NAMES)))
    card = {
        "name": "behaviour-second-opinion",
        "version": SHIPPED_AS,
        "features": list(NAMES),
        "depth": depth,
        "normal": normal,
        "data": {"generator": "detectors.anomaly.training.week", "seeds": list(seeds), "rows": len(data)},
        "trainer": {"scikit-learn": sklearn.__version__, "trees": TREES, "rows_per_tree": ROWS},
        "licence": "as the package",
        "metrics": {"simulated": metrics},
    }
    return artefact.write(path, KIND, arrays, card)


def main(given: Sequence[str] | None = None) -> None:
    """Train, print where and what."""
    parser = argparse.ArgumentParser(prog="python -m detectors.anomaly.training", description=__doc__)
    parser.add_argument("--out", type=Path, default=SHIPPED, metavar="FILE", help="default: the shipped file")
    chosen = parser.parse_args(given)
    sys.stdout.write(f"{chosen.out}: {train(chosen.out)}\n")


if __name__ == "__main__":
    main()
