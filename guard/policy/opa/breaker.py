"""A circuit breaker: who failed to answer several times in a row is not asked for a while.

=========  =======================================  ===================================================================
state      requests                                 leaves by
=========  =======================================  ===================================================================
closed     are sent                                 ``failures`` outages in a row -> open
open       are refused at once                      a probe is due: at once, then each ``open_seconds`` -> half open
half open  are refused at once; one probe is asked  the probe's answer -> closed; its outage -> open
=========  =======================================  ===================================================================

No request is a probe: the owner of the breaker asks one question of its own, so no caller pays for finding out. An
answer that arrives late, to a request from before, closes it as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from guard.errors import EngineUnavailable

State = Literal["closed", "open", "half open"]


class Breaker:
    """Pure but for its clocks: ``clock`` in monotonic seconds, ``now`` for what people read. Used by one event loop."""

    def __init__(
        self,
        failures: int,
        open_seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``failures`` is at least 1, ``open_seconds`` above 0."""
        self._limit = failures
        self._open_seconds = open_seconds
        self._clock = clock
        self._now = now
        self._failures = 0
        self._state: State = "closed"
        self._refusal = ""
        self._probe_at = clock() + open_seconds

    @property
    def state(self) -> State:
        """As in the table above."""
        return self._state

    def check(self, where: str = "") -> None:
        """Raises ``EngineUnavailable`` unless closed: what failed, how often, and since when nobody is asked."""
        if self._state != "closed":
            raise EngineUnavailable(
                self._refusal, where=where, mend="it is asked again by itself, and as soon as it answers"
            )

    def failed(self) -> bool:
        """An outage. True if it opened the breaker."""
        self._failures += 1
        if self._state == "half open":
            self._state = "open"
        elif self._state == "closed" and self._failures >= self._limit:
            self._state = "open"
            self._probe_at = self._clock()
            since = self._now().isoformat(timespec="seconds").replace("+00:00", "Z")
            times = "once" if self._failures == 1 else f"{self._failures} times in a row"
            self._refusal = f"OPA did not answer {times}: the circuit breaker is open since {since}."
            return True
        return False

    def succeeded(self) -> bool:
        """An answer. True if it closed the breaker."""
        closed = self._state != "closed"
        self._failures, self._state, self._refusal = 0, "closed", ""
        return closed

    def probe_in(self) -> float:
        """Seconds until a probe is due; none or fewer: now."""
        return self._probe_at - self._clock()

    def probing(self) -> None:
        """A probe is under way, the next is due ``open_seconds`` from here. ``failed`` or ``succeeded`` must follow."""
        self._probe_at = self._clock() + self._open_seconds
        if self._state == "open":
            self._state = "half open"
