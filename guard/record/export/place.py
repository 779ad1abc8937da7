"""Where an export goes: a new file or directory, whole or not at all, never over what is there."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from guard.record.export.source import ExportRefused
from guard.record.segment import fsync_directory


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that stands at ``path`` (mode 0600) when the block ends in order; else nothing does.

    Raises ``ExportRefused`` if something is there, at the start or at the end; ``OSError`` as the system says.
    """
    _must_be_free(path)
    temporary = _beside(path)
    with _named(path):
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        try:
            # Unlike a rename, a link never replaces what somebody put there meanwhile.
            path.hardlink_to(temporary)
        except FileExistsError:
            raise _taken(path) from None
    finally:
        temporary.unlink()
    fsync_directory(path.parent)


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """A directory (mode 0700) that is renamed to ``path`` when the block ends in order; else it is removed.

    Raises ``ExportRefused`` if something is there; ``OSError`` as the system says.
    """
    _must_be_free(path)
    temporary = _beside(path)
    with _named(path):
        temporary.mkdir(mode=0o700)
    try:
        yield temporary
        try:
            # An empty directory that appeared meanwhile is replaced, anything else is not.
            temporary.rename(path)
        except OSError as error:
            if path.exists():
                raise _taken(path) from error
            raise
    except BaseException:
        with suppress(OSError):
            shutil.rmtree(temporary)
        raise
    fsync_directory(path.parent)


def _must_be_free(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise _taken(path)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors name the target, not the temporary name beside it."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def _beside(path: Path) -> Path:
    return path.absolute().with_name(f".{path.name}.{secrets.token_hex(8)}")


def _taken(path: Path) -> ExportRefused:
    return ExportRefused(
        "there is something already, and an export overwrites nothing",
        where=str(path),
        mend="name another place, or remove it yourself",
    )
