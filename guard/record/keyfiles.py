"""Private files: made whole or not at all, never over another's, refused when somebody else could have read them.

A file that others may read is refused, not repaired: who read it is unknown.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from guard.errors import KeyInvalid
from guard.record.segment import fsync_directory, make_directory

_MAX_BYTES: Final = 65_536


def create_private(path: Path, make: Callable[[], bytes]) -> bool:
    """Write a new file of mode 0600 unless one is there; whether this call made it. Several processes may try at once:
    one makes the file, and nobody sees a half of it."""
    if path.is_symlink() or path.exists():
        return False
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(make())
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            return False
    finally:
        temporary.unlink()
    fsync_directory(path.parent)
    return True


def ensure_private_directory(directory: Path) -> None:
    """Make a directory of mode 0700 where none is. Raises ``KeyInvalid`` for one that others can enter."""
    if not directory.is_dir():
        make_directory(directory)
    check_private_directory(directory)


def check_private_directory(directory: Path) -> None:
    """Raises ``KeyInvalid`` for a directory that others can enter, or that is another user's."""
    state = directory.stat()
    mode = state.st_mode & 0o777
    if mode & 0o077:
        raise KeyInvalid(
            f"the key directory is open to others (mode {mode:04o})",
            where=str(directory),
            mend=f"chmod 700 {directory}, and consider its keys known",
        )
    _check_owner("the key directory", state, directory)


def read_private(path: Path) -> bytes:
    """At most 64 KiB of a private file. Raises ``KeyInvalid`` for one that is missing, a link, no plain file, open to
    others, or another user's."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            state = os.fstat(fd)
            data = os.read(fd, _MAX_BYTES) if stat.S_ISREG(state.st_mode) else b""
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise KeyInvalid(
                "the key file is a symbolic link", where=str(path), mend="put the file itself there, mode 0600"
            ) from error
        raise KeyInvalid(
            f"the key file cannot be read ({error.strerror})", where=str(path), mend="restore it, or name another"
        ) from error
    if not stat.S_ISREG(state.st_mode):
        raise KeyInvalid("the key file is no plain file", where=str(path), mend="put a file there, mode 0600")
    mode = state.st_mode & 0o777
    if mode & 0o077:
        raise KeyInvalid(
            f"the key file is open to others (mode {mode:04o})",
            where=str(path),
            mend=f"chmod 600 {path}, and consider the key known",
        )
    _check_owner("the key file", state, path)
    return data


def destroy(path: Path) -> None:
    """Overwrite a file with random bytes, make that durable, and remove its name; a file that has other names only
    loses this one. A file that is gone is gone.

    This is what a program can do. It does not reach copies in backups and snapshots, in memory that was swapped out,
    or blocks that a copy-on-write or journalling file system or a flash disk moved elsewhere.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        alone = os.fstat(fd).st_nlink == 1
        if alone:
            _overwrite(fd)
        path.unlink(missing_ok=True)
        if not alone and os.fstat(fd).st_nlink == 0:
            # Another process took the other name away just now.
            _overwrite(fd)
    finally:
        os.close(fd)
    fsync_directory(path.parent)


def _overwrite(fd: int) -> None:
    left = memoryview(os.urandom(os.fstat(fd).st_size))
    while left:
        left = left[os.write(fd, left) :]
    os.fsync(fd)


def _check_owner(what: str, state: os.stat_result, path: Path) -> None:
    # Root may read everybody's files anyway, and starts services for others.
    user = os.geteuid()
    if state.st_uid not in (user, 0) and user != 0:
        raise KeyInvalid(
            f"{what} belongs to user {state.st_uid}, and this is user {user}",
            where=str(path),
            mend=f"run as that user, or chown {user} {path}",
        )
