"""The files of logs' keys, read again when they change: a log that rotates its key, or a new one, needs no restart."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from guard.errors import ConfigError, GuardError
from guard.record.trust import TrustedKey, UsageError, parse_trust
from guard.telemetry import get_logger

_log = get_logger("guard.witness")
_MAX_BYTES: Final = 1 << 20
_MEND: Final = "the keys of the logs as guard keys show prints them for a trust file, a line each"


def read_keys(path: Path) -> list[TrustedKey]:
    """The keys of logs in a trust file, with their sizes; its roots and witnesses are not looked at, since a witness
    sees no record that could endorse a key. Raises ``ConfigError``."""
    try:
        with path.open("rb") as file:
            lines = file.read(_MAX_BYTES).decode().splitlines()
        keys = parse_trust(lines, str(path)).keys
    except (OSError, ValueError) as error:
        said = (error.strerror if isinstance(error, OSError) else None) or error
        raise ConfigError(f"the keys of the logs do not read: {said}", where=str(path), mend=_MEND) from None
    except UsageError as error:
        said = error.what.removeprefix("the trust file does not read: ")
        raise ConfigError(f"the keys of the logs do not read: {said}", where=error.where, mend=_MEND) from None
    if not keys:
        raise ConfigError("the file names no log", where=str(path), mend=_MEND)
    return list(keys)


class Keyring:
    """The keys in some files, and the change of them. Files that do not read leave the keys as they were."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Raises ``ConfigError``."""
        self._paths = paths
        self._stamp = self._look()
        self._gate = threading.Lock()
        self.keys = self._read()

    def refresh(self, learn: Callable[[Iterable[TrustedKey]], None]) -> None:
        """Look whether a file changed since the last look, and if so tell ``learn`` the keys there are now."""
        with self._gate:
            stamp = self._look()
            if stamp == self._stamp:
                return
            self._stamp = stamp
            try:
                keys = self._read()
                learn(keys)
            except (GuardError, OSError) as error:
                _log.error("the keys of the logs changed and were not taken", error=str(error))
                return
            self.keys = keys
            _log.info("the keys of the logs changed", count=len(keys))

    def _read(self) -> list[TrustedKey]:
        return list(dict.fromkeys(key for path in self._paths for key in read_keys(path)))

    def _look(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(path) for path in self._paths]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_ino, state.st_size, state.st_mtime_ns
