"""How much one comparison, hash or order may look at. Values share parts, so that one built in sixty steps can be
larger than any memory: whoever walks a value pays for each part, shared ones each time.
"""

from __future__ import annotations

import time
from typing import Final

from .errors import DeadlineError, StepLimitError

MAX_EFFORT: Final = 500_000
_LOOK_EVERY: Final = 1024


class Effort:
    """What is left for one operation: a container costs one and an eighth of its length. Half a second at most, less
    where there is a ``deadline`` (``time.monotonic()``)."""

    __slots__ = ("deadline", "left", "look")

    def __init__(self, deadline: float | None = None) -> None:
        self.left = MAX_EFFORT
        self.deadline = deadline
        self.look = MAX_EFFORT - _LOOK_EVERY

    def visit(self, size: int) -> None:
        """Pay for a container of that length. Raises StepLimitError, DeadlineError."""
        self.left -= 1 + (size >> 3)
        if self.left < self.look:
            self.look = self.left - _LOOK_EVERY
            if self.deadline is not None and time.monotonic() > self.deadline:
                raise DeadlineError("the deadline passed")
            if self.left < 0:
                raise StepLimitError(f"values of more than {MAX_EFFORT} parts are too large to be compared")
