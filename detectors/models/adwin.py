"""ADWIN: a window over a stream that keeps growing while its mean stands still, and is cut when it moved.

A. Bifet, R. Gavalda: Learning from Time-Changing Data with Adaptive Windowing (SDM 2007), the second variant: buckets
whose sizes are powers of two, so that memory and time grow with the logarithm of the window. Imports no numpy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

DELTA: Final = 0.002
"""How sure a cut has to be: the chance of a false one at each look stays below it."""
BUCKETS_OF_A_SIZE: Final = 5
LOOK_EVERY: Final = 32
"""Values between two looks for a cut."""
_LEAST: Final = 16
"""The fewest values on either side of a cut."""
LARGEST_ROW: Final = 40
"""2^40 values: past it the oldest are dropped."""


class Adwin:
    """Values in 0..1, one after the other. Not thread-safe."""

    __slots__ = ("_delta", "_rows", "_since", "_total", "cuts", "width")

    def __init__(self, delta: float = DELTA) -> None:
        """``delta`` in (0, 1)."""
        if not 0.0 < delta < 1.0:
            raise ValueError("delta lies between 0 and 1")
        self._delta = delta
        # Row k holds buckets of 2**k values each, newest first, as (sum, sum of squared deviations).
        self._rows: list[list[tuple[float, float]]] = [[]]
        self._since = 0
        self._total = 0.0
        self.width = 0
        """Values in the window."""
        self.cuts = 0
        """How often the window was cut since the start."""

    @property
    def mean(self) -> float:
        """The mean of the window; 0 for an empty one."""
        return self._total / self.width if self.width else 0.0

    @property
    def buckets(self) -> int:
        """How many buckets are kept."""
        return sum(map(len, self._rows))

    def add(self, value: float) -> bool:
        """Take a value in. Returns whether the window was cut: the mean has moved."""
        value = min(max(value, 0.0), 1.0)
        self._rows[0].insert(0, (value, 0.0))
        self.width += 1
        self._total += value
        if len(self._rows[0]) > BUCKETS_OF_A_SIZE:
            self._compress()
        self._since += 1
        if self._since < LOOK_EVERY or self.width < 2 * _LEAST:
            return False
        self._since = 0
        cut = False
        while self._moved():
            self._drop_oldest()
            cut = True
        self.cuts += cut
        return cut

    def _compress(self) -> None:
        """Two of the oldest of a size that has too many become one of the next."""
        for number, row in enumerate(self._rows):
            if len(row) <= BUCKETS_OF_A_SIZE:
                return
            (sum_old, spread_old), (sum_new, spread_new) = row.pop(), row.pop()
            size = 1 << number
            between = (sum_old - sum_new) ** 2 / (2 * size)
            if number + 1 == len(self._rows):
                if len(self._rows) > LARGEST_ROW:
                    self.width -= 2 * size
                    self._total -= sum_old + sum_new
                    return
                self._rows.append([])
            self._rows[number + 1].insert(0, (sum_old + sum_new, spread_old + spread_new + between))

    def _oldest_first(self) -> Iterator[tuple[int, float]]:
        for number in range(len(self._rows) - 1, -1, -1):
            for total, _ in reversed(self._rows[number]):
                yield 1 << number, total

    def _moved(self) -> bool:
        """Whether some cut divides the window into two parts whose means differ by more than chance."""
        width, total = self.width, self._total
        if width < 2 * _LEAST:
            return False
        logarithm = math.log(2.0 * math.log(width) / self._delta)
        spread = 2.0 * self._variance() * logarithm
        size, part = 0, 0.0
        for count, summed in self._oldest_first():
            size += count
            part += summed
            rest = width - size
            if rest < _LEAST:
                return False
            if size < _LEAST:
                continue
            inverse = 1.0 / size + 1.0 / rest
            bound = math.sqrt(spread * inverse) + 2.0 / 3.0 * logarithm * inverse
            if abs(part / size - (total - part) / rest) > bound:
                return True
        return False

    def _variance(self) -> float:
        """Of the window: within the buckets, and between them."""
        mean, summed = self.mean, 0.0
        for number, row in enumerate(self._rows):
            size = 1 << number
            for total, spread in row:
                summed += spread + size * (total / size - mean) ** 2
        return summed / self.width

    def _drop_oldest(self) -> None:
        while not self._rows[-1]:
            self._rows.pop()
        total, _ = self._rows[-1].pop()
        self.width -= 1 << (len(self._rows) - 1)
        self._total -= total
        while len(self._rows) > 1 and not self._rows[-1]:
            self._rows.pop()
