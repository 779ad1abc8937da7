"""How sharing fares: counted for the heartbeats, told in the log when it changes, and shown in health."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Literal

import msgspec

from guard.telemetry import get_logger

TOLD_EVERY_S: Final = 60.0
"""What others do wrong is told so often at most, with how often it happened since."""

_log = get_logger("guard.sharing")

Side = Literal["sending", "receiving"]


class SharingState(msgspec.Struct, frozen=True, kw_only=True):
    """How sharing fares. Lessons since the start: ``sent``; ``received`` from others and taught; ``queued`` here;
    ``dropped`` here, because the server was away for too long; ``missed`` of others, which never came. ``refused``:
    messages that did not open. ``failures``: attempts since the server last did what was asked; then ``last_error``
    names the class of the failure. ``failed``: attempts that failed since the start."""

    failures: int = 0
    last_error: str = ""
    failed: int = 0
    sent: int = 0
    received: int = 0
    queued: int = 0
    dropped: int = 0
    missed: int = 0
    refused: int = 0
    ahead: int = 0
    snapshots: int = 0


class Complaints:
    """Says each kind of complaint at once, then at most once in ``TOLD_EVERY_S``, with the count since. From one
    thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: dict[str, tuple[float, int]] = {}

    def add(self, what: str, error: str, mend: str, count: int = 1) -> None:
        """Complain: ``what`` is a constant sentence."""
        now = self._clock()
        said_at, waiting = self._said.get(what, (-TOLD_EVERY_S, 0))
        waiting += count
        if now - said_at >= TOLD_EVERY_S:
            _log.warning("shared behaviour is not as it should be", what=what, count=waiting, error=error, mend=mend)
            said_at, waiting = now, 0
        self._said[what] = (said_at, waiting)


class Link:
    """Whether the server does what is asked, from both threads: told when it stops, and when it does again."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._down: dict[Side, str] = {}
        self.failures = 0
        """Attempts since the server last did what was asked."""
        self.failed_in_all = 0

    @property
    def last_error(self) -> str:
        """The class of the failure, ``""`` while all is well."""
        return next((text.partition(":")[0] for text in list(self._down.values())), "")

    def failed(self, side: Side, error: str) -> None:
        """One attempt of a side failed: ``Class: text``."""
        with self._lock:
            well = not self._down
            self._down[side] = error
            self.failures += 1
            self.failed_in_all += 1
        if well:
            _log.warning(
                "behaviour is not shared: the server does not answer as it should; requests are decided by what this "
                "process learned, and it is tried again",
                address=self._address,
                error=error,
            )

    def worked(self, side: Side) -> None:
        """One attempt of a side was well."""
        if not self._down:
            return
        with self._lock:
            well = self._down.pop(side, None) is not None and not self._down
            if well:
                self.failures = 0
        if well:
            _log.info("behaviour is shared again", address=self._address)
