"""Counts in fixed bins, and how far two such counts lie apart. Imports no numpy: the request path uses it."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, Final

PSI_SHIFTED: Final = 0.25
"""The usual reading of the population stability index: below 0.1 the same, from 0.25 on another population."""
PSI_MOVED: Final = 0.1
_HALF: Final = 0.5


class Histogram:
    """Counts of values between fixed edges: below the first, from each edge to the next, from the last on."""

    __slots__ = ("counts", "edges")

    def __init__(self, edges: Sequence[float], counts: Sequence[int] | None = None) -> None:
        """Raises ``ValueError`` for edges that do not rise, or counts that do not fit them."""
        self.edges = tuple(edges)
        self.counts = [0] * (len(self.edges) + 1) if counts is None else list(counts)
        if not self.edges or any(a >= b for a, b in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError("the edges of a histogram do not rise")
        if len(self.counts) != len(self.edges) + 1 or min(self.counts) < 0:
            raise ValueError("the counts of a histogram do not fit its edges")

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_right(self.edges, value)] += 1

    @property
    def total(self) -> int:
        """How many values were counted."""
        return sum(self.counts)

    def as_card(self) -> dict[str, list[float] | list[int]]:
        """As it stands in a model's card."""
        return {"edges": list(self.edges), "counts": list(self.counts)}

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> Histogram:
        """What ``as_card`` gave. Raises ``ValueError``, ``KeyError``, ``TypeError``."""
        return cls([float(edge) for edge in card["edges"]], [int(count) for count in card["counts"]])


def psi(reference: Sequence[int], observed: Sequence[int]) -> float:
    """The population stability index of two counts over the same bins: the sum of ``(q - p) ln(q / p)``. At least 0,
    and 0 for equal shares; symmetric. Half a count is added to every bin, so that an empty one is no infinity.

    Raises ``ValueError`` for counts over different numbers of bins.
    """
    if len(reference) != len(observed):
        raise ValueError("the counts are over different bins")
    p_all, q_all = (sum(counts) + _HALF * len(counts) for counts in (reference, observed))
    shares = (((a + _HALF) / p_all, (b + _HALF) / q_all) for a, b in zip(reference, observed, strict=True))
    return sum((q - p) * math.log(q / p) for p, q in shares)
