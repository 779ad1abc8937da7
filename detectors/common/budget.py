"""The time that one call may take, and how it ends when it could not finish."""

from __future__ import annotations

from time import monotonic
from typing import Final

from guard.types import DetectContext

ONE_CALL_SECONDS: Final = 10.0
"""The deadline of the one-call form ``detect_text``, in seconds."""


UNBOUNDED: Final = 1 << 60

SECONDS_OF_A_FINDING: Final = 5e-6
"""Overlaps and positions of one finding take 1 µs alone and 8 µs in a long chain of overlaps: without this, thousands
would be resolved past the deadline."""


class Unfinished(Exception):
    """Raised inside a detector; its ``detect`` turns it into ``DetectionIncomplete``.

    ``reason``: deadline, limit, error. ``bound``: the option that gives the limit.
    """

    def __init__(self, reason: str, bound: str = "") -> None:
        super().__init__(f"{reason} {bound}".rstrip())
        self.reason = reason


class Budget:
    """A deadline (``time.monotonic()``, seconds) and a number of costly tries."""

    __slots__ = ("_deadline", "_findings", "_tries")

    def __init__(self, deadline: float, tries: int = 0, findings: int = UNBOUNDED) -> None:
        """``findings``: how many there may be, before overlaps are resolved."""
        self._deadline = deadline
        self._tries = tries
        self._findings = findings

    def check(self) -> None:
        """Raises ``Unfinished("deadline")`` once the deadline has passed."""
        if monotonic() >= self._deadline:
            raise Unfinished("deadline")

    def found(self) -> None:
        """One finding more; what is still to be done with it takes its time from the deadline, beforehand.

        Raises ``Unfinished("limit")`` past the bound.
        """
        self._findings -= 1
        if self._findings < 0:
            raise Unfinished("limit", "max_findings")
        self._deadline -= SECONDS_OF_A_FINDING

    def settled(self, findings: int) -> None:
        """So many findings are done with: their time is given back."""
        self._deadline += findings * SECONDS_OF_A_FINDING

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
            raise Unfinished("limit", "phone_tries")
        self.check()


def one_call() -> DetectContext:
    """The context of ``detect_text``."""
    return DetectContext("request", monotonic() + ONE_CALL_SECONDS)
