"""What stronger findings have claimed of a text, so that weaker and dearer readers can pass it over."""

from __future__ import annotations

from bisect import bisect_right


class Claims:
    """Spans ``[start, end)`` of one text with their final scores; lives for one text.

    ``detectors.common.resolve`` lets the higher score win and gives the loser only what no winner covers. A finding
    whose every character lies in spans of strictly higher scores keeps nothing, and takes nothing from others.
    """

    def __init__(self) -> None:
        self._spans: list[tuple[int, int, float]] = []
        self._merged: dict[float, tuple[list[int], list[int]]] = {}

    def add(self, start: int, end: int, score: float) -> None:
        """Another finding, after thresholds and the allow-list."""
        self._spans.append((start, end, score))
        self._merged.clear()

    def cover(self, start: int, end: int, *, above: float) -> bool:
        """Whether spans that score more than ``above`` cover all of ``[start, end)``. O(log n) between additions."""
        if not self._spans:
            return False
        if above not in self._merged:
            self._merged[above] = self._merge(above)
        starts, ends = self._merged[above]
        at = bisect_right(starts, start) - 1
        return at >= 0 and end <= ends[at]

    def _merge(self, above: float) -> tuple[list[int], list[int]]:
        """The spans that score more, as disjoint ones in order: their starts and their ends."""
        starts: list[int] = []
        ends: list[int] = []
        for start, end, score in sorted(self._spans):
            if score <= above:
                continue
            if ends and start <= ends[-1]:
                ends[-1] = max(ends[-1], end)
            else:
                starts.append(start)
                ends.append(end)
        return starts, ends
