"""The bundles that are downloaded: the newest archive of each, polled by a thread of its own.

A poll only brings bytes. Whoever builds policies takes them from here, and says afterwards which configuration was
adopted (``keep``) or that it was not (``refused``): then the archive is asked for again in full, since what was refused
may have been damaged on its way. Until something better arrives, whatever was adopted last goes on deciding.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from guard.config import BundleConfig, GuardConfig
from guard.config.files import Prints
from guard.errors import GuardError
from guard.policy.bundles.remote import Remote, RemoteState

T = TypeVar("T")


class Remotes:
    """Every downloaded bundle of a running guard."""

    def __init__(self, state_directory: Path | None = None) -> None:
        """``state_directory`` ``None``: nothing is read from disk or kept there."""
        self._state_directory = state_directory
        self._remotes: dict[BundleConfig, Remote] = {}
        self._followed: tuple[Remote, ...] = ()
        self._on_change: Callable[[], None] = _nothing
        self._on_trouble: Callable[[GuardError], None] = _nothing
        self._started = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._polls: dict[Remote, asyncio.Task[None]] = {}
        self._stopped: asyncio.Event | None = None

    def archive(self, config: BundleConfig) -> bytes:
        """The newest archive of a bundle; blocks for its first download. Raises ``BundleUnavailable`` and
        ``ConfigError``."""
        return self._remotes.setdefault(config, Remote(config, self._state_directory)).first().data

    def trying(self, build: Callable[[], T]) -> T:
        """Build from what was downloaded; where that is refused, from the last good archives on disk, if there are any.
        Raises the first error otherwise."""
        try:
            return build()
        except GuardError as error:
            fallen = [remote.fall_back(error) for remote in self._remotes.values()]
            if True not in fallen:
                raise
        return build()

    def prints(self) -> Prints:
        """What tells one state of the archives from another."""
        return {
            f"bundle {remote.config.source}": (int(remote.newest.sha256, 16),)
            for remote in self._followed
            if remote.newest is not None
        }

    def states(self) -> tuple[RemoteState, ...]:
        """How each fares. From any thread."""
        return tuple(remote.state for remote in self._followed)

    def keep(self, config: GuardConfig, *, without_candidate: bool = False) -> Prints:
        """Know that a configuration decides: its archives are the last good ones, but for the candidate's where that
        was left out, and its bundles are polled from now on. Writes to disk. Gives the ``prints`` before anything new
        can arrive."""
        candidate = config.policy.candidate
        left_out = candidate.bundle if candidate is not None and without_candidate else None
        wanted = remote_sources(config)
        self._remotes = {source: remote for source, remote in self._remotes.items() if source in wanted}
        self._followed = tuple(self._remotes.values())
        for remote in self._followed:
            if remote.config == left_out:
                remote.turn_down()
            else:
                remote.keep()
        prints = self.prints()
        self._refollow()
        return prints

    def refused(self) -> None:
        """What was built from the newest archives does not decide."""
        for remote in self._followed:
            remote.turn_down()

    def start(self, on_change: Callable[[], None], on_trouble: Callable[[GuardError], None]) -> None:
        """Begin to poll what is followed. ``on_change`` is called for a new archive, ``on_trouble`` when a server does
        not answer any more, both from a thread."""
        self._on_change, self._on_trouble = on_change, on_trouble
        self._started = True
        for remote in self._followed:
            if remote.trouble is not None:
                on_trouble(remote.trouble)
        self._refollow()

    def stop(self) -> None:
        """Poll no more. Blocks until a request that is under way is given up."""
        self._started = False
        loop, self._loop = self._loop, None
        if loop is not None and self._stopped is not None:
            loop.call_soon_threadsafe(self._stopped.set)
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _refollow(self) -> None:
        """Have the thread poll what is followed now; there is none before something is."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._follow)
        elif self._started and self._followed:
            ready = threading.Event()
            self._thread = threading.Thread(target=self._run, args=(ready,), name="guard-bundles", daemon=True)
            self._thread.start()
            ready.wait()

    def _run(self, ready: threading.Event) -> None:
        asyncio.run(self._poll_all(ready))

    async def _poll_all(self, ready: threading.Event) -> None:
        self._stopped = stopped = asyncio.Event()
        self._polls = {}
        self._loop = asyncio.get_running_loop()
        self._follow()
        ready.set()
        await stopped.wait()
        for task in self._polls.values():
            task.cancel()
        await asyncio.gather(*self._polls.values(), return_exceptions=True)

    def _follow(self) -> None:
        followed = self._followed
        for remote in [remote for remote in self._polls if remote not in followed]:
            self._polls.pop(remote).cancel()
        for remote in followed:
            if remote not in self._polls:
                self._polls[remote] = asyncio.create_task(remote.poll(self._on_change, self._on_trouble))


def remote_sources(config: GuardConfig) -> Sequence[BundleConfig]:
    """The bundles of a configuration that are downloaded, each once."""
    candidate = config.policy.candidate
    named = (config.policy.bundle, None if candidate is None else candidate.bundle)
    return list(dict.fromkeys(bundle for bundle in named if bundle is not None and bundle.remote))


def _nothing(*_: object) -> None:
    """Nobody listens."""
