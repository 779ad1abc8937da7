"""How well a forest of the behaviour model tells simulated attacks from ordinary requests, by itself.

It is the second opinion that is judged: one-sided z of the last two days of a simulated week, in which attacks are
planted; the shipped forest was trained on other weeks. The traffic is our own invention, so the figures rank forests
and promise nothing.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from detectors.anomaly import TailModel
from detectors.anomaly.features import NAMES
from detectors.anomaly.forest import FlatForest
from detectors.anomaly.model import VERSION
from detectors.anomaly.second import one_sided
from detectors.anomaly.training import week as simulation
from detectors.anomaly.training.week import ATTACKS_FROM, DAY_S, PLANTED, START_S, week

SEED: Final = 2_001
PRINCIPALS: Final = 100
ATTACKS: Final = 6
"""Episodes of each kind."""
SHARE: Final = 0.01
"""Of the ordinary requests, flagged at the threshold."""
_ROUND: Final = 3


def measured(forest: FlatForest) -> dict[str, Any]:
    """A group of metrics for a card: ``auc``; ``recall_micro`` and ``recall_macro``, the shares of the attacks'
    requests above the score that 1 % of the ordinary ones exceed, of all and as the mean over the kinds; ``of``, what
    was simulated and which version of the model rated it."""
    scores: dict[str, list[float]] = {kind: [] for kind in ("", *PLANTED)}
    model = TailModel(second_opinion="off")
    for row in week(SEED, principals=PRINCIPALS, attacks=ATTACKS):
        if row.event.time_s >= START_S + ATTACKS_FROM * DAY_S:
            scores[row.kind].append(forest.score([one_sided(z) for z in model.zs(row.event)]))
        # Attacks teach, too: nobody told the model what they are.
        model.learn(row.event, "allow")
        model.settle(row.event, row.outcome)
    usual = np.sort(np.array(scores.pop("")))
    threshold = float(np.quantile(usual, 1.0 - SHARE, method="higher"))
    found = {kind: np.array(each) for kind, each in scores.items()}
    every = np.concatenate(list(found.values()))
    recall = [float(np.mean(each > threshold)) for each in found.values()]
    figures = {
        "auc": _auc(usual, every),
        "recall_micro": float(np.mean(every > threshold)),
        "recall_macro": sum(recall) / len(recall),
    }
    told = {name: round(value, _ROUND) for name, value in figures.items()}
    return {"of": _digest(), "requests": len(usual) + len(every), **told}


def _auc(usual: npt.NDArray[np.float64], found: npt.NDArray[np.float64]) -> float:
    """How often an attack scores above an ordinary request; a tie counts half."""
    ranks = np.searchsorted(usual, found, "left") + np.searchsorted(usual, found, "right")
    return float(ranks.mean() / (2 * len(usual)))


def _digest() -> str:
    code = hashlib.sha256(Path(str(simulation.__file__)).read_bytes()).hexdigest()
    what = f"{code} {SEED} {PRINCIPALS} {ATTACKS} {VERSION} {' '.join(NAMES)}"
    return hashlib.sha256(what.encode()).hexdigest()
