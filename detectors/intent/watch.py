"""The bins in which the intent model counts what it read: how sure it was, how hard that reads, and what it was."""

from __future__ import annotations

from typing import Final

from detectors.intent.stored import LEARNED, NAME, Stored
from detectors.models.histogram import Histogram
from detectors.models.watch import Watch, reference_of
from guard.errors import ConfigError

_EDGES: Final[dict[str, tuple[float, ...]]] = {
    "score": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99),
    "difficulty": (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95),
    "intent": tuple(number - 0.5 for number in range(1, len(LEARNED))),
}


def histograms() -> dict[str, Histogram]:
    """Empty ones: of the score, of the difficulty, and of the number of the class in ``LEARNED``."""
    return {name: Histogram(edges) for name, edges in _EDGES.items()}


def watch_of(stored: Stored) -> Watch:
    """What counts the readings of a model. Raises ``ConfigError`` for a reference that is damaged."""
    try:
        reference = reference_of(stored.card)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"the reference in the model's card is damaged: {error}",
            where=f"detectors.options.{NAME}",
            mend="train it again: guard model train intent",
        ) from error
    return Watch(NAME, stored.digest, histograms=histograms(), reference=reference, span=(0.0, 1.0))
