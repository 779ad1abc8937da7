"""A reference that a model makes of its own past, where no file holds one: how the last scores are distributed beside
those before them. Imports no numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from detectors.models.histogram import psi

WINDOW: Final = 2_000
"""Scores that are compared at a time: the index of two equal windows in a dozen bins is 0.01 by chance."""
MEMORY: Final = 100_000
"""Scores of the past that are held; past it all counts are halved, so that what is long ago fades."""


class Rolling:
    """Counts in ``bins`` bins: of the window that fills, of the last full one, and of what came before that. Constant
    memory. Not thread-safe."""

    __slots__ = ("before", "filling", "last", "missing")

    def __init__(self, bins: int) -> None:
        self.before = [0] * bins
        self.last = [0] * bins
        self.filling = [0] * bins
        self.missing = WINDOW

    def add(self, index: int) -> None:
        """Count one score in a bin."""
        self.filling[index] += 1
        self.missing -= 1
        if self.missing == 0:
            self.before = [a + b for a, b in zip(self.before, self.last, strict=True)]
            if sum(self.before) > MEMORY:
                self.before = [count // 2 for count in self.before]
            self.last, self.filling = self.filling, [0] * len(self.filling)
            self.missing = WINDOW

    @property
    def psi(self) -> float | None:
        """The population stability index of the last full window against what came before it; ``None`` before the
        second window is full."""
        return psi(self.before, self.last) if any(self.before) else None

    def dump(self) -> list[list[int]]:
        """What survives a restart: the past and the last full window."""
        return [list(self.before), list(self.last)]

    def restore(self, kept: Sequence[Sequence[int]]) -> None:
        """Take the place of what ``dump`` gave; the window begins anew. What a version with other bins kept says
        nothing about these: then the past begins anew, too."""
        bins = len(self.before)
        if len(kept) == 2 and all(len(counts) == bins and min(counts) >= 0 for counts in kept):
            self.before, self.last = list(kept[0]), list(kept[1])
        else:
            self.before, self.last = [0] * bins, [0] * bins
        self.filling, self.missing = [0] * bins, WINDOW
