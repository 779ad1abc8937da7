"""One bundle that is downloaded: its newest archive, how its server fares, and how it is polled."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from guard.config import BundleConfig
from guard.errors import BundleRefused, BundleUnavailable, GuardError, place_of
from guard.policy.bundles.download import Answer, Downloader, fetch_once
from guard.policy.bundles.opened import label_for
from guard.policy.bundles.store import Archive, Store
from guard.telemetry import get_logger

T = TypeVar("T")

_FIRST_RETRY_SECONDS: Final = 0.5
_MAX_DOUBLINGS: Final = 16
# A server that says it holds requests back, and answers at once that nothing changed, is polled.
_HELD_SECONDS: Final = 1.0
_log = get_logger("guard.bundles")


class RemoteState(msgspec.Struct, frozen=True, kw_only=True):
    """How a downloaded bundle fares. ``failures`` counts the polls that failed since the server last answered,
    ``last_error_code`` says why the last one did; ``answered_seconds_ago`` is -1 where it never answered this process.
    ``last_good`` says that the archive in use was read from disk at the start."""

    name: str
    failures: int
    last_error_code: str
    answered_seconds_ago: int
    last_good: bool


class Remote:
    """One downloaded bundle. Written by one thread at a time, read by any."""

    def __init__(self, config: BundleConfig, state_directory: Path | None) -> None:
        self.config = config
        self.label = label_for(config)
        self.newest: Archive | None = None
        self.long_poll = False
        self.refused = False
        self.last_good = False
        self.failures = 0
        self.trouble: GuardError | None = None
        self._answered: float | None = None
        self._used: Archive | None = None
        self._kept = ""
        self._store = None if state_directory is None else Store(state_directory, config)

    @property
    def state(self) -> RemoteState:
        """How it fares now."""
        ago = -1 if self._answered is None else int(time.monotonic() - self._answered)
        return RemoteState(
            name=self.label,
            failures=self.failures,
            last_error_code="" if self.trouble is None else self.trouble.code,
            answered_seconds_ago=ago,
            last_good=self.last_good,
        )

    def first(self) -> Archive:
        """The newest archive, downloaded if there is none yet; the last good one where the server does not answer and
        the configuration allows it. Blocks. Raises ``BundleUnavailable`` and ``ConfigError``."""
        self._used = self.newest or self._first()
        return self._used

    def _first(self) -> Archive:
        stored = None if self._store is None else self._store.read()
        try:
            answer = _in_thread(fetch_once(self.config, etag="" if stored is None else stored.etag))
        except BundleUnavailable as error:
            if stored is None or not self.config.start_with_last_good:
                raise
            self.failed(error)
            self._use_stored(stored, error)
            return stored
        self.answered(answer)
        if answer.data is None and stored is not None:
            self._kept, self.newest = stored.sha256, stored
        assert self.newest is not None  # noqa: S101 - either there were bytes, or they are those of the store
        return self.newest

    def fall_back(self, error: GuardError) -> bool:
        """Use the last good archive instead of the one that was downloaded; false if there is none, or no other."""
        stored = None if self._store is None or not self.config.start_with_last_good else self._store.read()
        if stored is None or self.newest is None or stored.sha256 == self.newest.sha256:
            return False
        self._use_stored(stored, error)
        return True

    def _use_stored(self, stored: Archive, error: GuardError) -> None:
        _log.warning("the last good bundle decides", where=self.label, error=str(error))
        self._kept, self.newest, self.last_good, self.refused = stored.sha256, stored, True, True

    def answered(self, answer: Answer) -> bool:
        """Take in what the server said; true if there is something new."""
        self.failures, self.trouble, self._answered = 0, None, time.monotonic()
        if answer.long_poll is not None:
            self.long_poll = answer.long_poll and self.config.long_poll_seconds is not None
        if answer.data is None:
            return False
        archive = Archive.of(answer.data, answer.etag)
        if self.newest is not None and archive.sha256 == self.newest.sha256:
            self.newest = archive
            self.refused = self.refused and archive.sha256 != self._kept
            return False
        self.newest, self.refused = archive, False
        return True

    def failed(self, error: GuardError) -> bool:
        """Count a poll that failed; true if it is the first, or fails otherwise than the one before."""
        known = self.trouble is not None and self.trouble.code == error.code
        self.failures, self.trouble = self.failures + 1, error
        return not known

    def keep(self) -> None:
        """What was built last decides: it is the last good one from now on, also on disk."""
        archive = self._used
        if archive is None:
            return
        self.refused = False
        if archive.sha256 == self._kept:
            return
        self._kept, self.last_good = archive.sha256, False
        if self._store is not None:
            try:
                self._store.write(archive)
            except OSError as error:
                _log.error("the bundle cannot be kept for a restart", where=self.label, error=error.strerror)

    def turn_down(self) -> None:
        """What was built last was refused: ask for it again in full, unless it is what decides."""
        self.refused = self.newest is not None and self.newest.sha256 != self._kept

    async def poll(self, on_change: Callable[[], None], on_trouble: Callable[[GuardError], None]) -> None:
        """Ask the server again and again, until cancelled."""
        delay = 0.0 if self.newest is None or self.refused or self.long_poll else self._pause()
        async with Downloader(self.config) as downloader:
            while True:
                await asyncio.sleep(delay)
                etag = "" if self.refused or self.newest is None else self.newest.etag
                held = self.config.long_poll_seconds if self.long_poll and etag else None
                asked = time.monotonic()
                try:
                    answer = await downloader.fetch(etag=etag, wait_seconds=held)
                except Exception as error:  # noqa: BLE001 - whatever fails, the next poll may succeed
                    delay = self._retry(error, on_trouble)
                    continue
                news = self.answered(answer)
                if news:
                    on_change()
                prompt = self.long_poll and not self.refused and (news or time.monotonic() - asked >= _HELD_SECONDS)
                delay = 0.0 if prompt else self._pause()

    def _retry(self, error: Exception, on_trouble: Callable[[GuardError], None]) -> float:
        known = error if isinstance(error, GuardError) else _unexpected(error, self.label)
        if self.failed(known):
            _log.error("the bundle server does not answer; the last good bundle decides", error=str(known))
            on_trouble(known)
        doublings = min(self.failures - 1, _MAX_DOUBLINGS)
        longest: float = min(_FIRST_RETRY_SECONDS * 2**doublings, self.config.poll_max_seconds)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load

    def _pause(self) -> float:
        return random.uniform(self.config.poll_min_seconds, self.config.poll_max_seconds)  # noqa: S311 - spreads load


def _in_thread(work: Coroutine[Any, Any, T]) -> T:
    """Run it on an event loop of its own, also where this thread has one."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(asyncio.run(work))
        except BaseException as error:  # noqa: BLE001 - raised where it was asked for
            errors.append(error)

    thread = threading.Thread(target=run, name="guard-bundle-first", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _unexpected(error: Exception, label: str) -> GuardError:
    return BundleRefused(f"the download failed with {type(error).__name__} at {place_of(error)}", where=label)
