"""Hot reload: a configuration or policy that was edited replaces the running one, whole or not at all.

A thread of its own watches ``guard.toml`` and the policy directories, reads and compiles what changed, and hands the
result to the event loop, which swaps one reference. Requests that are under way end under the services with which they
began. Whatever fails, the last good ones go on deciding, and the failure is said: in a ``config`` record, in
``ReloadState``, hence in health, and in the counters of the heartbeats.

Files that cannot be read, parsed or compiled are tried again when they change. What was built and could not be adopted
(the log is full, a key set is not there yet) is tried again by and by.

The kernel's notices (``watchfiles``) only make it quick. What counts is the state of the files, which is compared every
``poll_seconds`` in any case: notices get lost on network file systems, and with symbolic links that are swapped.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
from collections.abc import Coroutine
from pathlib import PurePath
from typing import Any, Final, Protocol

import msgspec
import watchfiles

from guard.config import GuardConfig
from guard.config.explain import ConfigInvalid
from guard.config.files import ConfigSource, Prints, fingerprint, matters, watched
from guard.errors import BundleUnavailable, GuardError, PolicyInvalid, place_of
from guard.policy.bundles.remotes import Remotes
from guard.telemetry import get_logger

__all__ = ["ConfigSource", "Owner", "Prepared", "Refusal", "ReloadState", "Reloader", "fingerprint", "watched"]

POLL_SECONDS: Final = 2.0
# How long a change must be over before it is read: an editor writes a file in several steps.
_SETTLE_MS: Final = 100
_DEBOUNCE_MS: Final = 400
_RETRY_MAX_SECONDS: Final = 60.0

_log = get_logger("guard.reload")
_FILE_AND_ROW: Final = re.compile(r"(.*?)(?::(\d+))?(?::\d+)?", re.DOTALL)
# Keys of a configuration, and names of variables and keywords. No path, address or value looks like these.
_KEYS: Final = re.compile(r"(environment variable |keyword )?(\[\w+(\.\w+)*\] )?\w+(\.\w+)*(, \w+(\.\w+)*)*", re.ASCII)


class Refusal(msgspec.Struct, frozen=True):
    """Why a reload was refused, for records and health: a code of ``docs/errors.md`` and a place. Free of the files'
    content: ``where`` is ``file:line`` (a policy's path below its directory, the name of any other file), the key of a
    configuration, or ``""``."""

    code: str
    where: str

    @classmethod
    def of(cls, error: Exception) -> Refusal:
        """The code and place of an error; of one that is not ours, where in the code it was raised."""
        if not isinstance(error, GuardError):
            return cls(GuardError.code, place_of(error))
        if isinstance(error, PolicyInvalid):
            first = next((each for each in error.diagnostics if each.file), None)
            return cls(error.code, "" if first is None else _short(first.file, first.row))
        return cls(error.code, _place(error.problems[0].where if isinstance(error, ConfigInvalid) else error.where))


def _place(where: str) -> str:
    """The key, or the name and line of the file, in the ``where`` of an error."""
    if _KEYS.fullmatch(where):
        return where
    key, _, value = where.partition(" = ")
    if value and _KEYS.fullmatch(key):
        return key
    # An address may hold a password.
    placed = None if "://" in where else _FILE_AND_ROW.fullmatch(where)
    return _short(placed[1], int(placed[2] or 0)) if placed else ""


def _short(file: str, row: int) -> str:
    """A place without the directories of this machine, which may tell who owns it."""
    path = PurePath(file)
    name = path.name if path.is_absolute() else file
    return f"{name}:{row}" if row else name


class ReloadState(msgspec.Struct, frozen=True):
    """How reloading fares. ``revision`` is that of the policies that decide; ``last_error`` is ``""``, and ``refusal``
    ``None``, unless the files as they stand could not be taken. ``watching`` ends with the guard, or when an edit
    switches reloading off."""

    revision: str
    reloads: int = 0
    failures: int = 0
    last_error: str = ""
    refusal: Refusal | None = None
    watching: bool = False


class Prepared(Protocol):
    """What a changed configuration needs, built and not yet in use."""

    @property
    def revision(self) -> str:
        """The revision of its policies."""
        ...

    @property
    def left_out(self) -> GuardError | None:
        """Why the candidate policies were not taken over with everything else."""
        ...


class Owner(Protocol):
    """Whose parts are reloaded."""

    def prepare(self, config: GuardConfig) -> Any | None:
        """Build a ``Prepared``; ``None`` for files that change nothing. Called from the reloader's thread. Raises
        ``GuardError``."""
        ...

    async def adopt(self, generation: Any) -> None:
        """Let it decide. Raises ``GuardError`` if it cannot."""
        ...

    async def refuse(self, refusal: Refusal, generation: Any | None) -> None:
        """Record that the files were refused, before or after ``generation`` was built."""
        ...


class Reloader:
    """Watches, builds and hands over to its owner on the event loop."""

    def __init__(
        self,
        source: ConfigSource | None,
        config: GuardConfig,
        owner: Owner,
        *,
        poll_seconds: float = POLL_SECONDS,
        remotes: Remotes | None = None,
    ) -> None:
        """``config`` is what ``source`` gave; without a source no file is watched, only the bundles of ``remotes``. The
        files are looked at now: what is edited after this call is noticed. What cannot be adopted is tried again after
        ``poll_seconds``, then after ever longer."""
        self.state = ReloadState("")
        self._source = source
        self._config = config
        self._owner = owner
        self._remotes = remotes or Remotes()
        self._poll_seconds = self._retry_seconds = poll_seconds
        self._paths = watched(source, config)
        self._seen: Prints = fingerprint(self._paths)
        self._refused: Prints | None = None
        self._stopping = threading.Event()
        self._stirred = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._deaf = False

    def start(self, revision: str) -> None:
        """Begin to watch; what is built is adopted on the loop that runs now. ``revision`` is the one that decides."""
        self.state = msgspec.structs.replace(self.state, revision=revision, watching=True)
        self._loop = asyncio.get_running_loop()
        self._stopping.clear()
        # What was downloaded for the start is no news.
        self._seen = {**self._seen, **self._remotes.prints()}
        self._remotes.start(self._stirred.set, self._tell)
        self._thread = threading.Thread(target=self._run, name="guard-reload", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Watch no more; a reload that is under way is finished first."""
        self._stopping.set()
        self._stirred.set()
        await asyncio.to_thread(self._remotes.stop)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._stirred.clear()
                if self._look() == self._seen:
                    self._wait()
                elif self._settled():
                    self._attempt()
        except Exception as error:  # noqa: BLE001 - a bug of ours; health is degraded from here on
            _log.critical("reloading has ended", exception=type(error).__name__, where=place_of(error))
        finally:
            self.state = msgspec.structs.replace(self.state, watching=False)

    def _settled(self) -> bool:
        """Whether nobody is writing: the first half of a policy may be a policy, with half of its rules."""
        before = self._look()
        return not self._stopping.wait(_SETTLE_MS / 1000) and self._look() == before

    def _look(self) -> Prints:
        return {**fingerprint(self._paths), **self._remotes.prints()}

    def _attempt(self) -> None:
        """Read, build and hand over. What changes meanwhile is of two moments, and is not used: it settles first."""
        before = self._look()
        prepared = None
        try:
            config = self._config if self._source is None else self._source.load()
            wanted = watched(self._source, config)
            if more := [path for path in wanted if path not in self._paths]:
                self._paths = [*self._paths, *more]
                return
            prepared = self._owner.prepare(config)
            if self._look() != before:
                return
            if prepared is not None and not self._on_loop(self._owner.adopt(prepared)):
                return
        except Exception as error:  # noqa: BLE001 - whatever fails, the last good configuration goes on deciding
            # The files of the failed configuration stay watched: it may be mended in any of them.
            if self._look() == before:
                self._failed(error, prepared, before)
            return
        # Where it stands on fewer files now, the next look finds them otherwise than seen, and nothing to do.
        self._paths, self._seen = wanted, before
        self._keep(config, prepared)
        self._succeeded(prepared)
        if prepared is not None and prepared.left_out is not None:
            self._failed(prepared.left_out, None, before)
        if self._source is not None and not config.reload:
            _log.warning("reloading was switched off; a restart switches it on again")
            self._source, self._paths = None, []
            if not self._remotes.prints():
                self._stopping.set()

    def _on_loop(self, work: Coroutine[Any, Any, None]) -> bool:
        """Have the event loop do it; false if the loop is closed: then nobody is served any more."""
        loop = self._loop
        assert loop is not None  # noqa: S101 - start has set it
        try:
            future = asyncio.run_coroutine_threadsafe(work, loop)
        except RuntimeError:
            work.close()
            self._stopping.set()
            return False
        future.result()
        return True

    def _keep(self, config: GuardConfig, prepared: Prepared | None) -> None:
        """Know what decides now, and see to its bundles."""
        left_out = prepared is not None and prepared.left_out is not None
        kept = self._remotes.keep(config, without_candidate=left_out)
        # A bundle that this configuration brought is no news, but one that arrived meanwhile is.
        self._config, self._seen = config, {**kept, **self._seen}

    def _tell(self, error: GuardError) -> None:
        """Record that a bundle server does not answer. From the thread of the downloads, which must not wait."""
        assert self._loop is not None  # noqa: S101 - start has set it
        work = self._owner.refuse(Refusal.of(error), None)
        try:
            asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:  # the loop is closed: nobody is served any more
            work.close()

    def _succeeded(self, prepared: Prepared | None) -> None:
        state = self.state
        self._refused, self._retry_seconds = None, self._poll_seconds
        if prepared is None:
            self.state = msgspec.structs.replace(state, last_error="", refusal=None)
            if state.last_error:
                _log.info("the files are again as the guard runs them", revision=state.revision)
            return
        self.state = ReloadState(prepared.revision, state.reloads + 1, state.failures, watching=True)
        _log.info("configuration and policies reloaded", revision=prepared.revision, count=self.state.reloads)

    def _failed(self, error: Exception, prepared: Prepared | None, files: Prints) -> None:
        """Say it once for one state of the files, however often these are tried."""
        if files != self._refused:
            self._refused, self._retry_seconds = files, self._poll_seconds
            # The message of an error that is not ours may quote a file: its class must do.
            said = str(error) if isinstance(error, GuardError) else type(error).__name__
            state = self.state
            refusal = Refusal.of(error)
            self.state = msgspec.structs.replace(state, failures=state.failures + 1, last_error=said, refusal=refusal)
            _log.error("the reload failed; the last good policies decide", error=said, revision=state.revision)
            self._remotes.refused()
            self._on_loop(self._owner.refuse(refusal, prepared))
        # A server that does not answer may do so later.
        if prepared is None and not isinstance(error, BundleUnavailable):
            self._seen = files
            return
        end = time.monotonic() + self._retry_seconds
        self._retry_seconds = min(2 * self._retry_seconds, _RETRY_MAX_SECONDS)
        while not self._stopping.is_set() and time.monotonic() < end and self._look() == files:
            self._wait()

    def _wait(self) -> None:
        """Until something stirs, or ``poll_seconds`` have passed, or the guard stops."""
        paths = [path for path in self._paths if os.path.exists(path)]  # noqa: PTH110
        if not paths or self._deaf:
            self._stirred.wait(self._poll_seconds)
            return
        notices = watchfiles.watch(
            *paths,
            watch_filter=lambda _, path: matters(path),
            debounce=_DEBOUNCE_MS,
            step=_SETTLE_MS,
            stop_event=self._stirred,
            rust_timeout=round(self._poll_seconds * 1000),
            yield_on_timeout=True,
            raise_interrupt=False,
            ignore_permission_denied=True,
        )
        try:
            next(notices, None)
        except Exception as error:  # noqa: BLE001 - out of inotify watches, or a directory that vanished
            if os.path.exists(paths[0]):  # noqa: PTH110
                self._deaf = True
                _log.warning("no notices of changes; files are compared", exception=type(error).__name__)
        finally:
            notices.close()
