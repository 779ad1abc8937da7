"""A pseudonym key for each tenant: ``<keys>/tenants/<32 hex digits>.key``, made when a tenant first comes.

The file is named by a keyed hash of the tenant, so the directory tells nobody who the tenants are. Everything that is
written about a tenant's requests (identities, addresses, ids, digests of bodies, tokens of pointers) is written under
its key: destroy the key, and nobody can link or search them any more. That is the erasure; the log itself stays whole.

Several processes share the directory. A key that was destroyed is noticed at its next use, in all of them.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from pathlib import Path
from typing import Final, NamedTuple

from guard.errors import KeyInvalid
from guard.keyed import KeyedHash
from guard.record.keyfiles import create_private, destroy, ensure_private_directory
from guard.record.keys import load_pseudonym_key, new_pseudonym_key

PURPOSE: Final = "tenant key"
MAX_CACHED: Final = 4096


class _Cached(NamedTuple):
    """A key, its file and what told that from others when it was loaded."""

    path: str
    state: tuple[int, int]
    keyed: KeyedHash


class TenantKeys:
    """The keys of all tenants. ``of`` blocks; the others do not. Used from one event loop, or one thread, at a time."""

    def __init__(self, directory: Path, deployment: KeyedHash, *, max_cached: int = MAX_CACHED) -> None:
        """``directory`` is that of all keys, ``deployment`` the key under which tenants are named there."""
        self._directory = directory / "tenants"
        self._deployment = deployment
        self._max_cached = max_cached
        self._cached: OrderedDict[str, _Cached] = OrderedDict()

    def path(self, tenant: str) -> Path:
        """Where the key of a tenant lies, if there is one."""
        return self._directory / f"{self._deployment.digest(PURPOSE, tenant)[:16].hex()}.key"

    def pseudonym(self, tenant: str) -> str:
        """The tenant as the record of an erasure names it."""
        return self._deployment.pseudonym(PURPOSE, tenant)

    async def keyed(self, tenant: str) -> KeyedHash:
        """The key of a tenant, made now if it has none. Raises ``KeyInvalid``."""
        held = self.held(tenant)
        return await asyncio.to_thread(self.of, tenant) if held is None else held

    def held(self, tenant: str) -> KeyedHash | None:
        """The key as it was loaded before, if its file is still the same one."""
        cached = self._cached.get(tenant)
        if cached is None:
            return None
        if cached.state != _state(cached.path):
            self._cached.pop(tenant, None)
            return None
        self._cached.move_to_end(tenant)
        return cached.keyed

    def of(self, tenant: str) -> KeyedHash:
        """The key of a tenant, made now if it has none. Raises ``KeyInvalid``."""
        path = self.path(tenant)
        try:
            ensure_private_directory(self._directory)
            create_private(path, new_pseudonym_key)
        except OSError as error:
            mend = "make room on the disk and check the permissions of the key directory"
            raise KeyInvalid(f"the key cannot be made ({error.strerror})", where=str(path), mend=mend) from error
        state = _state(str(path))
        keyed = load_pseudonym_key(path)
        self._cached[tenant] = _Cached(str(path), state, keyed)
        while len(self._cached) > self._max_cached:
            self._cached.popitem(last=False)
        return keyed

    def existing(self, tenant: str) -> KeyedHash | None:
        """The key of a tenant, if it has one. Raises ``KeyInvalid``."""
        path = self.path(tenant)
        return load_pseudonym_key(path) if path.exists() or path.is_symlink() else None

    def all(self) -> list[KeyedHash]:
        """Every key that there is, whosever it may be. Raises ``KeyInvalid``."""
        return [load_pseudonym_key(path) for path in sorted(self._directory.glob("*.key"))]

    def destroy(self, tenant: str) -> None:
        """Overwrite and remove the key. What was written under it stays, and belongs to nobody any more."""
        destroy(self.path(tenant))
        self._cached.pop(tenant, None)


def _state(path: str) -> tuple[int, int]:
    """What tells one file at a path from another."""
    try:
        state = os.stat(path)  # noqa: PTH116 - on every request
    except FileNotFoundError:
        return (0, 0)
    return (state.st_ino, state.st_mtime_ns)
