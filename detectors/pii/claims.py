"""What stronger findings have claimed of a text, so that weaker and dearer readers can pass it over."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence


class Claims:
    """Spans ``[start, end)`` of one text with their final scores; lives for one text.

    ``detectors.common.resolve`` lets the higher score win and gives the loser only what no winner covers. A finding
    whose every character lies in spans of strictly higher scores keeps nothing, and takes nothing from others.
    """

    def __init__(self) -> None:
        self._spans: list[tuple[int, int, float]] = []

    def add(self, start: int, end: int, score: float) -> None:
        """Another finding, after thresholds and the allow-list."""
        self._spans.append((start, end, score))

    def above(self, score: float) -> Cover:
        """What the spans that score more cover by now. O(n log n): what is added later is not in it."""
        starts: list[int] = []
        ends: list[int] = []
        for start, end, claimed in sorted(self._spans):
            if claimed <= score:
                continue
            if ends and start <= ends[-1]:
                ends[-1] = max(ends[-1], end)
            else:
                starts.append(start)
                ends.append(end)
        return Cover(starts, ends)


class Cover:
    """Disjoint spans in order: their starts and their ends."""

    def __init__(self, starts: Sequence[int], ends: Sequence[int]) -> None:
        self._starts = starts
        self._ends = ends

    def holds(self, start: int, end: int) -> bool:
        """Whether all of ``[start, end)`` is covered. O(log n)."""
        at = bisect_right(self._starts, start) - 1
        return at >= 0 and end <= self._ends[at]
