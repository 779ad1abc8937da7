"""The lock on an origin: one writer process at a time.

A process that decides takes the first origin that is free, and keeps it. A log in which many processes write an entry
now and then is taken for the length of one.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from guard.errors import LogLocked
from guard.record.segment import fsync_directory, make_directory

_MAX_SLOTS: Final = 1024
_POLL_SECONDS: Final = 0.02


class Slot:
    """The lock on one origin directory ``<name>-<n>``: the first that no living process holds."""

    def __init__(self, directory: Path, name: str) -> None:
        """Takes the lock. Raises ``LogLocked`` if 1024 writers hold theirs, ``OSError`` if it cannot be made."""
        if not directory.is_dir():
            make_directory(directory)
        for number in range(_MAX_SLOTS):
            path = directory / f"{name}-{number}"
            fd = _lock_file(path)
            if not _taken(fd):
                os.close(fd)
                continue
            self.path, self.origin, self._fd = path, path.name, fd
            fsync_directory(directory)
            return
        raise LogLocked(
            f"{_MAX_SLOTS} processes already write logs of this name", where=str(directory), mend="set record.name"
        )

    def release(self) -> None:
        """Let the next process have the origin."""
        os.close(self._fd)


@contextmanager
def taken(directory: Path, what: str, seconds: float) -> Iterator[None]:
    """The lock of a log for the length of one entry; ``what`` calls it by name. Waits for others, at most ``seconds``.

    Raises ``LogLocked``, and ``OSError`` if the lock cannot be made.
    """
    fd = _lock_file(directory)
    try:
        until = time.monotonic() + seconds
        while not _taken(fd):
            if time.monotonic() >= until:
                raise LogLocked(
                    f"another process holds {what} for {seconds:g} s",
                    where=str(directory),
                    mend="look for a stopped process that has its `lock` open",
                )
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(fd)


def _lock_file(directory: Path) -> int:
    make_directory(directory)
    return os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _taken(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
