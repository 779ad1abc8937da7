"""What the behaviour model counts of its own scores: in bins, against its own past, and whether their mean moved."""

from __future__ import annotations

from typing import Final

from detectors.anomaly.options import NAME
from detectors.models.histogram import Histogram
from detectors.models.rolling import Rolling
from detectors.models.watch import Watch

EDGES: Final = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.65, 0.75, 0.9)
"""None of them is a score that many share, such as the caps at 0.7 and 1."""
SECOND_EDGES: Final = (0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75)
SECOND: Final = "second"


def watch_of(digest: str, flagged: float) -> Watch:
    """What counts the scores; ``digest`` names what they are counted under, ``flagged`` is the score that flags."""
    return Watch(
        NAME,
        digest,
        histograms={"score": Histogram(EDGES)},
        reference={},
        span=(0.0, 1.0),
        threshold=flagged,
        past=Rolling(len(EDGES) + 1),
        now_and_then={SECOND: Histogram(SECOND_EDGES)},
    )
