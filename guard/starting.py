"""How often a start that fails is tried again: not by every request that comes meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from guard.errors import GuardError, GuardStopped

RETRY_SECONDS: Final = 1.0


class Attempts:
    """Remembers a start that failed for ``RETRY_SECONDS`` of ``clock``, a monotonic one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed_at: float | None = None
        self._failure: GuardError | None = None

    @property
    def failure(self) -> GuardError | None:
        """Why the last attempt failed; ``None`` if it did not."""
        return self._failure

    def check(self) -> None:
        """Raises ``GuardStopped`` while the last failure is too young for another attempt."""
        if self._failed_at is not None and self._clock() - self._failed_at < RETRY_SECONDS:
            raise could_not_start(self._failure)

    def failed(self, error: GuardError) -> None:
        """Note a failure."""
        self._failure, self._failed_at = error, self._clock()

    def succeeded(self) -> None:
        """Forget what failed before."""
        self._failure = self._failed_at = None


def could_not_start(error: GuardError | None) -> GuardStopped:
    """The error for a request; a fresh one each time, for a raised one carries its traceback."""
    if error is None:
        return GuardStopped("the guard is stopped", mend="start it again")
    return GuardStopped(f"the guard could not start: {error.what}", where=error.where, mend=error.mend)
