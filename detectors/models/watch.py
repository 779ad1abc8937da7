"""What a running model counts of itself: its scores and features in bins, whether their mean moved, and how a candidate
beside it would have judged. Numbers only, never a text. None of it changes a finding. Imports no numpy."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from detectors.models.adwin import Adwin
from detectors.models.histogram import Histogram, psi

PREFIX: Final = "model"
PAIRS: Final = ("neither", "candidate_only", "live_only", "both")
"""What a candidate and the live model flag: index 2 * live + candidate."""
_SHORT: Final = 12


class Watch:
    """Counts of one model since it was made. Thread-safe.

    ``histograms`` are empty ones, the score's first. ``span`` is what the score is scaled by for ADWIN: its lowest and
    highest interesting value.
    """

    def __init__(
        self,
        name: str,
        digest: str,
        *,
        histograms: Mapping[str, Histogram],
        reference: Mapping[str, Histogram],
        span: tuple[float, float],
        candidate: str = "",
    ) -> None:
        self._lock = threading.Lock()
        self._head = f"{PREFIX}.{name}.{digest[:_SHORT]}"
        self._histograms = dict(histograms)
        self._list = list(self._histograms.values())
        self._reference = {
            key: each for key, each in reference.items() if key in histograms and each.edges == histograms[key].edges
        }
        self._low, self._scale = span[0], 1.0 / (span[1] - span[0])
        self._adwin = Adwin()
        self._pairs = [0] * len(PAIRS)
        self._candidate = candidate[:_SHORT]

    def observe(self, values: Sequence[float]) -> None:
        """Count one judgement: the score and the features, in the order of the histograms."""
        with self._lock:
            for histogram, value in zip(self._list, values, strict=True):
                histogram.add(value)
            self._adwin.add((values[0] - self._low) * self._scale)

    def compare(self, *, live: bool, candidate: bool) -> None:
        """Count one judgement of the candidate beside the live one's."""
        with self._lock:
            self._pairs[2 * live + candidate] += 1

    def counters(self) -> dict[str, int]:
        """The counts that are not zero, by the names of ``docs/models.md``."""
        with self._lock:
            found = {
                f"{self._head}.{name}.{number}": count
                for name, each in self._histograms.items()
                for number, count in enumerate(each.counts)
                if count
            }
            if self._adwin.cuts:
                found[f"{self._head}.moved"] = self._adwin.cuts
            head = f"{self._head}.shadow.{self._candidate}"
            pairs = zip(PAIRS, self._pairs, strict=True)
            return found | {f"{head}.{name}": count for name, count in pairs if count}

    def measures(self) -> dict[str, float]:
        """What is to be watched: PSI against the reference (0 or more), the window of ADWIN, the candidate's share of
        disagreements."""
        with self._lock:
            measured = {
                f"psi.{name}": round(psi(each.counts, self._histograms[name].counts), 4)
                for name, each in self._reference.items()
                if self._histograms[name].total
            }
            judged = sum(self._pairs)
            if judged:
                measured["shadow.disagreement"] = round((self._pairs[1] + self._pairs[2]) / judged, 6)
            return {
                **measured,
                "judged": float(self._list[0].total),
                "moved": float(self._adwin.cuts),
                "window": float(self._adwin.width),
            }


def reference_of(card: Mapping[str, Any]) -> dict[str, Histogram]:
    """The reference histograms of a model's card; none where it has none. Raises ``ValueError``, ``KeyError``,
    ``TypeError`` for one that is damaged."""
    given = card.get("reference", {})
    return {name: Histogram.from_card(each) for name, each in given.items() if isinstance(each, Mapping)}
