"""What the writer's thread does beside the records of others, and when: sync, checkpoint, heartbeat, opening again."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Final

from guard.types import DecisionRecord

LOSS_WINDOW_MS: Final = 100
"""Buffered mode: the longest time between a record's acknowledgement and its fdatasync."""

_PUBLISH_SECONDS: Final = 1.0
_REOPEN_SECONDS: Final = 1.0
_REOPEN_MAX_SECONDS: Final = 30.0
SUPPRESSED: Final = ("excluded_requests", "overloaded", "unrecorded")
"""The counters of what has no record of its own: what came on excluded routes, what was refused at the door, and what
passed on a route that fails open while nothing could be recorded."""


class Clock:
    """When the writer thread must wake up by itself: values of ``time.monotonic()``, infinity for never."""

    def __init__(self, heartbeat_seconds: float) -> None:
        self.heartbeat_at = time.monotonic() + heartbeat_seconds
        self.sync_at = self.publish_at = math.inf
        self.reopen_at = 0.0
        self.committed_at = time.monotonic()
        self.reopen_delay = _REOPEN_SECONDS

    def committed(self, *, synced: bool) -> None:
        """A batch was written."""
        now = self.committed_at = time.monotonic()
        self.publish_at = min(self.publish_at, now + _PUBLISH_SECONDS)
        self.sync_at = math.inf if synced else min(self.sync_at, now + LOSS_WINDOW_MS / 1000)

    def failed(self) -> None:
        """Nothing can be written; try again, ever more rarely."""
        self.sync_at = self.publish_at = math.inf
        self.reopen_at = time.monotonic() + self.reopen_delay
        self.reopen_delay = min(self.reopen_delay * 2, _REOPEN_MAX_SECONDS)

    def opened(self) -> None:
        """It can be written again."""
        self.reopen_delay = _REOPEN_SECONDS

    def wait_seconds(self, *, healthy: bool) -> float:
        """How long the queue may be waited for."""
        due = min(self.heartbeat_at, self.sync_at, self.publish_at) if healthy else self.reopen_at
        return max(due - time.monotonic(), 0.0)


class Suppressed:
    """Turns the counters of what is not recorded into records: each tells what came since the one before."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}
        self._since_us = time.time_ns() // 1000

    def due(self, counters: Mapping[str, int]) -> list[DecisionRecord]:
        """The ``suppressed`` record that ``counters`` call for, or nothing."""
        counts = {name: counters.get(name, 0) - self._told.get(name, 0) for name in SUPPRESSED}
        counts = {name: count for name, count in counts.items() if count > 0}
        return [{"kind": "suppressed", "counts": counts, "since_us": self._since_us}] if counts else []

    def told(self, counters: Mapping[str, int]) -> None:
        """What ``due`` gave for these counters stands in the log."""
        self._told = {name: counters.get(name, 0) for name in SUPPRESSED}
        self._since_us = time.time_ns() // 1000
