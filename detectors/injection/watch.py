"""The bins in which the injection model counts what it judged: scores in log-odds, and what the second stage sees."""

from __future__ import annotations

import math
from typing import Final

from detectors.models.histogram import Histogram

SPAN: Final = (-16.0, 6.0)
"""Log-odds between which scores differ in a way that matters."""
_EDGES: Final[dict[str, tuple[float, ...]]] = {
    "score": (-16, -14, -12, -10, -8, -6, -4, -2, 0, 2, 4, 6),
    "document": (-5, -4, -3, -2, -1, 0, 2, 4),
    "best_16": (-2, -1, 0, 1, 2, 3, 5, 7),
    "best_48": (-2, -1, 0, 1, 2, 3, 5, 7),
    "length": (1.5, 2, 2.5, 3, 3.5, 4, 5, 6),
    "repetition": (0.001, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4),
}
_LEAST: Final = 1e-12


def histograms() -> dict[str, Histogram]:
    """Empty ones: the score's, then one for each number of the second stage, in its order."""
    return {name: Histogram(edges) for name, edges in _EDGES.items()}


def edges() -> tuple[float, ...]:
    """The bins of the score as scores in 0..1."""
    return tuple(1.0 / (1.0 + math.exp(-edge)) for edge in _EDGES["score"])


def log_odds(score: float) -> float:
    """Of a score in 0..1; of 0 and 1 some 28 to either side."""
    bounded = min(max(score, _LEAST), 1.0 - _LEAST)
    return math.log(bounded / (1.0 - bounded))
