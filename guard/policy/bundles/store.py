"""The last good archive of a downloaded bundle, kept so that a restart decides while the server is away.

One directory for each address. What is read is verified like a download: the store is a cache, not a source of trust.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from guard.config import BundleConfig
from guard.telemetry import get_logger

_ARCHIVE: Final = "bundle.tar.gz"
_LABEL: Final = "download.json"
_log = get_logger("guard.bundles")


class Archive(msgspec.Struct, frozen=True):
    """The bytes of a bundle as they were downloaded. ``etag`` is ``""`` where the server gave none; ``sha256`` in
    hex."""

    data: bytes
    etag: str
    sha256: str

    @classmethod
    def of(cls, data: bytes, etag: str) -> Archive:
        """An archive with its digest."""
        return cls(data, etag, hashlib.sha256(data).hexdigest())


class _Label(msgspec.Struct, frozen=True):
    etag: str
    sha256: str


class Store:
    """Holds the last good archive of one address below ``state_directory/bundles``."""

    def __init__(self, state_directory: Path, config: BundleConfig) -> None:
        """Touches nothing."""
        name = hashlib.sha256(config.source.encode()).hexdigest()[:32]
        self.directory = state_directory / "bundles" / name
        self._limit = config.max_archive_bytes

    def read(self) -> Archive | None:
        """The archive, if there is one that can be read. Its ``etag`` counts only if it was written for these bytes."""
        try:
            with (self.directory / _ARCHIVE).open("rb") as file:
                data = file.read(self._limit + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.error("the last good bundle cannot be read", exception=type(error).__name__)
            return None
        if len(data) > self._limit:
            return None
        archive = Archive.of(data, "")
        try:
            label = msgspec.json.decode((self.directory / _LABEL).read_bytes(), type=_Label)
        except (OSError, msgspec.DecodeError):
            return archive
        return msgspec.structs.replace(archive, etag=label.etag) if label.sha256 == archive.sha256 else archive

    def write(self, archive: Archive) -> None:
        """Replace the archive, whole or not at all, readable by its owner only. Raises ``OSError``."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(self.directory / _ARCHIVE, archive.data)
        _replace(self.directory / _LABEL, msgspec.json.encode(_Label(archive.etag, archive.sha256)))


def _replace(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
