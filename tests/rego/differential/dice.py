"""Where a generator takes its choices from: Hypothesis, which can shrink them, or a seeded random source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


class Dice:
    """Choices for a generator. ``below(n)`` answers an integer from 0 to n - 1; smaller is simpler."""

    def __init__(self, below: Callable[[int], int]) -> None:
        self.below = below

    def pick(self, items: Sequence[Item]) -> Item:
        """One of the items; the simplest come first."""
        return items[self.below(len(items))]

    def chance(self, percent: int) -> bool:
        """True in about so many of a hundred cases."""
        return self.below(100) >= 100 - percent

    def some(self, most: int, least: int = 0) -> range:
        """A range of ``least`` to ``most`` turns."""
        return range(least + self.below(most - least + 1))
