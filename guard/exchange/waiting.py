"""Requests that a behaviour model has scored and that are not decided yet, for each principal."""

from __future__ import annotations

from threading import Lock


class Waiting:
    """Counts of what is under way; false where nothing is. Bounded by that; thread-safe."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._lock = Lock()

    def __bool__(self) -> bool:
        return bool(self._counts)

    def enter(self, principal: str) -> int:
        """One more of a principal waits. Returns how many did before."""
        with self._lock:
            before = self._counts.get(principal, 0)
            self._counts[principal] = before + 1
        return before

    def leave(self, principal: str) -> None:
        """One that had entered waits no longer."""
        with self._lock:
            left = self._counts.pop(principal) - 1
            if left:
                self._counts[principal] = left
