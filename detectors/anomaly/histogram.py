"""A histogram of exceedances: how often something was at least so large. Two of them merge by addition, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

BINS: Final = 60


class Histogram:
    """Counts in bins of one ``width`` from 0 up; what is below counts in the first, what is above in the last."""

    __slots__ = ("above", "total", "width")

    def __init__(self, width: float, above: Sequence[int] | None = None) -> None:
        """``above[i]`` counts the values that reach bin ``i``. Raises ``ValueError`` where it falls not, or has another
        length than ``BINS + 1``."""
        self.width = width
        self.above = [0] * (BINS + 1) if above is None else list(above)
        if len(self.above) != BINS + 1 or self.above[-1] < 0 or sorted(self.above, reverse=True) != self.above:
            raise ValueError("not the exceedances of a histogram")
        self.total = self.above[0]

    def bin(self, value: float) -> int:
        """The bin of a value, 0 to ``BINS``."""
        return min(int(value / self.width), BINS) if value > 0.0 else 0

    def add(self, value: float) -> None:
        """Count a value."""
        above = self.above
        for index in range(self.bin(value) + 1):
            above[index] += 1
        self.total = above[0]

    def merged(self, other: Histogram) -> Histogram:
        """Both together: what one histogram of all values would hold. Raises ``ValueError`` for another width."""
        if other.width != self.width:
            raise ValueError(f"bins of {other.width:g} do not merge with bins of {self.width:g}")
        return Histogram(self.width, [mine + theirs for mine, theirs in zip(self.above, other.above, strict=True)])
