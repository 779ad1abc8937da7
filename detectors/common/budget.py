"""The time that one call may take, and how it ends when it could not finish."""

from __future__ import annotations

from time import monotonic
from typing import Final

from guard.types import DetectContext

ONE_CALL_SECONDS: Final = 10.0
"""The deadline of the one-call form ``detect_text``, in seconds."""


class Unfinished(Exception):
    """Raised inside a detector; its ``detect`` turns it into ``DetectionIncomplete``. ``reason``: deadline, limit."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Budget:
    """A deadline (``time.monotonic()``, seconds) and a number of costly tries."""

    __slots__ = ("_deadline", "_tries")

    def __init__(self, deadline: float, tries: int = 0) -> None:
        self._deadline = deadline
        self._tries = tries

    def check(self) -> None:
        """Raises ``Unfinished("deadline")`` once the deadline has passed."""
        if monotonic() >= self._deadline:
            raise Unfinished("deadline")

    def remaining_s(self) -> float:
        """Seconds that are left. Raises ``Unfinished("deadline")`` if none are."""
        left = self._deadline - monotonic()
        if left <= 0:
            raise Unfinished("deadline")
        return left

    def spend(self) -> None:
        """Takes one try. Raises ``Unfinished``: ``limit`` when none is left, ``deadline`` when it has passed."""
        self._tries -= 1
        if self._tries < 0:
            raise Unfinished("limit")
        self.check()


def one_call() -> DetectContext:
    """The context of ``detect_text``."""
    return DetectContext("request", monotonic() + ONE_CALL_SECONDS)
