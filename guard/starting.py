"""What a start opens beside the log, and how often one that fails is tried again: not by every request that comes
meanwhile."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Final

from guard.config import GuardConfig
from guard.errors import ConfigError, GuardError, GuardStopped
from guard.obligations.conversations import STORE, Bounds, Conversations
from guard.record.keys import load_or_create_vault_key
from guard.telemetry import get_logger

_log = get_logger("guard.starting")

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


def open_conversations(config: GuardConfig) -> Conversations | None:
    """The conversation-scoped vault, if ``[vault]`` asks for one. Blocks. Raises ``KeyInvalid``, ``ConfigError``."""
    vault = config.vault
    if vault.scope != "conversation":
        return None
    secret, created = load_or_create_vault_key(config.state_directory / "keys")
    if created is not None:
        _log.warning("key created; back it up and keep it secret", file=str(created))
    bounds = Bounds(vault.ttl_seconds, vault.max_values, vault.max_conversations, vault.max_bytes)
    directory = config.state_directory / "vault"
    try:
        return Conversations(directory, secret, bounds)
    except (sqlite3.Error, OSError) as error:
        raise ConfigError(
            f"the vault of conversations cannot be opened: {error}",
            where=str(directory / STORE),
            mend="check its permissions and the free space; deleting it loses pseudonyms and nothing else",
        ) from error
