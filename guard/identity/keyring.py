"""The keys that verify tokens, kept fresh without making requests wait, and refused when they are too old.

Rules, with times from the last successful read:

- A file is looked at again after a second, and a request waits for that look (it costs a ``stat``).
- An address is fetched again after ``jwks_refresh_seconds``. Requests go on with the keys at hand meanwhile; after
  twice that time they wait for the fetch, unless the last one failed.
- A token that names an unknown key causes one extra fetch, which it waits for.
- Between two fetches of an address lie at least 30 seconds (or ``jwks_refresh_seconds``, if that is less).
- Keys that could not be read again work for twelve refresh periods, an hour by default. Then every token is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from guard.config import JwtConfig
from guard.errors import CredentialRefused
from guard.identity.jwks import FETCH_DEADLINE_SECONDS, FileSource, KeySetUnreadable, Source, UrlSource, VerificationKey
from guard.telemetry import get_logger

FILE_CHECK_SECONDS: Final = 1.0
URL_RETRY_SECONDS: Final = 30.0
STALE_PERIODS: Final = 12

_log = get_logger("guard.identity")


class Keyring:
    """The current keys. ``generation`` changes whenever they do. Used from one event loop at a time."""

    def __init__(self, config: JwtConfig, *, monotonic: Callable[[], float]) -> None:
        """Raises ``ConfigError`` for an address that is not safe to fetch keys from."""
        refresh = config.jwks_refresh_seconds
        self._source: Source
        if config.jwks_file is not None:
            self._source = FileSource(config.jwks_file)
            self._due_seconds = self._wait_seconds = self._retry_seconds = FILE_CHECK_SECONDS
        else:
            self._source = UrlSource(str(config.jwks_url))
            self._due_seconds, self._wait_seconds = refresh, 2 * refresh
            self._retry_seconds = min(URL_RETRY_SECONDS, refresh)
        self._stale_seconds = STALE_PERIODS * refresh
        self._monotonic = monotonic
        self._read_at = self._tried_at = float("-inf")
        self._failure: KeySetUnreadable | None = None
        self._reading: asyncio.Task[None] | None = None
        self._keys: tuple[VerificationKey, ...] = ()
        self.generation = 0

    async def start(self) -> None:
        """The first read. Raises ``ConfigError`` if a key file is unreadable."""
        await self._refresh()
        if self._failure is not None and self._source.is_required_at_start:
            raise self._failure

    async def stop(self) -> None:
        """Forgets a read that is under way; its thread ends with its own deadline."""
        if self._reading is not None and self._is_reading():
            self._reading.cancel()
            await asyncio.wait([self._reading])
        self._reading = None

    async def keys(self) -> tuple[VerificationKey, ...]:
        """The keys that may verify now. Raises ``CredentialRefused`` when there are none, or none fresh enough."""
        age = self._monotonic() - self._read_at
        if age >= self._due_seconds and (self._may_try() or self._is_reading()):
            # In an outage that is known, requests go on with the keys at hand instead of waiting for each attempt.
            if age >= self._wait_seconds and (self._failure is None or age > self._stale_seconds):
                await self._refresh()
            else:
                self._begin()
            age = self._monotonic() - self._read_at
        if age > self._stale_seconds:
            raise CredentialRefused(
                "tokens cannot be verified: the issuer's keys could not be read for too long",
                where="Authorization",
                mend="look for 'key set' in the guard's log",
            )
        return self._keys

    async def refreshed_keys(self) -> tuple[VerificationKey, ...]:
        """The keys after one more read, if the minimum interval allows it: for a token that names an unknown key."""
        if self._may_try() or self._is_reading():
            await self._refresh()
        return await self.keys()

    def _may_try(self) -> bool:
        return self._monotonic() - self._tried_at >= self._retry_seconds

    def _is_reading(self) -> bool:
        task = self._reading
        return task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop()

    def _begin(self) -> asyncio.Task[None]:
        """The read that is under way, or a new one: there is never more than one."""
        if self._reading is None or not self._is_reading():
            self._tried_at = self._monotonic()
            self._reading = asyncio.get_running_loop().create_task(self._read())
        return self._reading

    async def _refresh(self) -> None:
        # Shielded: one request that gives up must not end the read for the others. Bounded: a source that drips
        # holds its thread, not the request.
        try:
            await asyncio.wait_for(asyncio.shield(self._begin()), FETCH_DEADLINE_SECONDS)
        except TimeoutError:
            self._failed(KeySetUnreadable("the key set did not arrive in time", where=self._source.where))

    async def _read(self) -> None:
        try:
            keys = await asyncio.to_thread(self._source.read)
            if keys is not None:
                self._keys = keys
                self.generation += 1
                _log.info("key set read", address=self._source.where, count=len(self._keys))
        except KeySetUnreadable as failure:
            self._failed(failure)
        else:
            self._failure = None
            self._read_at = self._monotonic()

    def _failed(self, failure: KeySetUnreadable) -> None:
        is_news = self._failure is None or self._failure.what != failure.what
        self._failure = failure
        if is_news:
            _log.warning("key set could not be read", address=failure.where, error=failure.what)
