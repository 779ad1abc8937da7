"""What a running model counts of itself: its scores and features in bins, whether their mean moved, and how a candidate
beside it would have judged. Numbers only, never a text. None of it changes a finding. Imports no numpy."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, Final

from detectors.models.adwin import Adwin
from detectors.models.histogram import Histogram, psi
from detectors.models.rolling import Rolling
from guard.types import Distribution

PREFIX: Final = "model"
PAIRS: Final = ("neither", "candidate_only", "live_only", "both")
"""What a candidate and the live model flag: index 2 * live + candidate."""
_SHORT: Final = 12


class Watch:
    """Counts of one model since it was made. Thread-safe.

    ``histograms`` are empty ones, the score's first. ``span`` is what the score is scaled by for ADWIN: its lowest and
    highest interesting value. ``edges`` are those of the score's histogram as scores in 0..1, where it holds another
    measure of them. ``threshold``: the score from which something is flagged; ``None`` where nothing is. ``past``: the
    reference of the scores that the model makes itself, where no file has one. ``now_and_then`` are
    histograms of what is not measured of each judgement.
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
        edges: Sequence[float] = (),
        threshold: float | None = None,
        past: Rolling | None = None,
        now_and_then: Mapping[str, Histogram] | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._head = f"{PREFIX}.{name}.{digest[:_SHORT]}"
        self._histograms = dict(histograms)
        self._list = list(self._histograms.values())
        self._histograms |= now_and_then or {}
        self._reference = {
            key: each for key, each in reference.items() if key in histograms and each.edges == histograms[key].edges
        }
        self._low, self._scale = span[0], 1.0 / (span[1] - span[0])
        self._adwin = Adwin()
        self._pairs = [0] * len(PAIRS)
        self._candidate = candidate[:_SHORT]
        self._edges = tuple(edges) or self._list[0].edges
        self._threshold = threshold
        self._past = past
        self._total = 0.0
        self._flagged = 0

    def observe(self, values: Sequence[float], score: float | None = None) -> None:
        """Count one judgement: the score and the features, in the order of the histograms. ``score`` in 0..1 is given
        where the first value is another measure of it."""
        score = values[0] if score is None else score
        with self._lock:
            for histogram, value in zip(self._list, values, strict=True):
                histogram.add(value)
            self._adwin.add((values[0] - self._low) * self._scale)
            self._total += score
            if self._threshold is not None and score >= self._threshold:
                self._flagged += 1
            if self._past is not None:
                self._past.add(bisect_right(self._list[0].edges, values[0]))

    def also(self, name: str, value: float) -> None:
        """Count a value in one of ``now_and_then``."""
        with self._lock:
            self._histograms[name].add(value)

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
            for name, count in (("moved", self._adwin.cuts), ("flagged", self._flagged)):
                if count:
                    found[f"{self._head}.{name}"] = count
            head = f"{self._head}.shadow.{self._candidate}"
            pairs = zip(PAIRS, self._pairs, strict=True)
            return found | {f"{head}.{name}": count for name, count in pairs if count}

    def measures(self) -> dict[str, float]:
        """What is to be watched: PSI against the reference (0 or more), the window of ADWIN, the shares (0..1) of what
        was flagged and of what the candidate judged otherwise."""
        with self._lock:
            measured = {
                f"psi.{name}": round(psi(each.counts, self._histograms[name].counts), 4)
                for name, each in self._reference.items()
                if self._histograms[name].total
            }
            compared, judged = sum(self._pairs), self._list[0].total
            if compared:
                measured["shadow.disagreement"] = round((self._pairs[1] + self._pairs[2]) / compared, 6)
            if self._threshold is not None and judged:
                measured["flagged"] = round(self._flagged / judged, 6)
            if self._past is not None and (drift := self._past.psi) is not None:
                measured["psi.score"] = round(drift, 4)
            return {
                **measured,
                "judged": float(judged),
                "moved": float(self._adwin.cuts),
                "window": float(self._adwin.width),
            }

    def distribution(self) -> Distribution:
        """The scores in their bins."""
        with self._lock:
            return Distribution(self._edges, tuple(self._list[0].counts), self._total)

    def kept(self) -> list[list[int]]:
        """The past that survives a restart; empty for a model whose reference is in its file."""
        with self._lock:
            return [] if self._past is None else self._past.dump()

    def restore(self, kept: Sequence[Sequence[int]]) -> None:
        """Take the place of what ``kept`` gave."""
        with self._lock:
            if self._past is not None:
                self._past.restore(kept)


def reference_of(card: Mapping[str, Any]) -> dict[str, Histogram]:
    """The reference histograms of a model's card; none where it has none. Raises ``ValueError``, ``KeyError``,
    ``TypeError`` for one that is damaged."""
    given = card.get("reference", {})
    return {name: Histogram.from_card(each) for name, each in given.items() if isinstance(each, Mapping)}
