"""How long to wait after a failure: twice as long each time, and never all replicas at the same moment."""

from __future__ import annotations

import random
from typing import Final

FIRST_S: Final = 0.25
LONGEST_S: Final = 15.0


class Backoff:
    """The waits after failures that follow each other. Exponential with full jitter."""

    def __init__(self) -> None:
        self._failures = 0

    def next_s(self) -> float:
        """The wait after another failure, in seconds: up to ``LONGEST_S``."""
        longest = min(LONGEST_S, FIRST_S * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return longest * (0.5 + 0.5 * random.random())  # noqa: S311 - no secret is drawn

    def clear(self) -> None:
        """All is well again."""
        self._failures = 0
