"""Vaults that outlive their exchange: one for each conversation of a principal, sealed, bounded and with an end.

One SQLite file (write-ahead log, every commit synced) for all processes of a deployment. It holds keyed names, ends and
ciphertext, nothing else. All calls block: for worker threads.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from guard.errors import ObligationFailed
from guard.obligations.sealing import Binding, Keyring, Names, key_id, seal, unseal
from guard.obligations.vault import Vault, VaultState

T = TypeVar("T")

STORE: Final = "conversations.sqlite3"
MAX_SEALED_BYTES: Final = 2**20
"""Of one conversation."""
_BUSY_SECONDS: Final = 2.0
_ATTEMPTS: Final = 5
# An end is moved only when this part of the time has passed, so that reading is not writing.
_RENEWED: Final = 16
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS conversations (
    name BLOB PRIMARY KEY, tenant BLOB NOT NULL, principal BLOB NOT NULL,
    key_id BLOB NOT NULL, expires_at INTEGER NOT NULL, sealed BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS by_principal ON conversations (principal, expires_at);
CREATE INDEX IF NOT EXISTS by_tenant ON conversations (tenant);
CREATE INDEX IF NOT EXISTS by_end ON conversations (expires_at);
"""


class Bounds(msgspec.Struct, frozen=True):
    """A conversation ends ``ttl_seconds`` after its last use. ``max_values`` is a conversation's, ``max_conversations``
    a principal's (the one unused for longest makes room), ``max_bytes`` the store's."""

    ttl_seconds: int = 86_400
    max_values: int = 2_000
    max_conversations: int = 100
    max_bytes: int = 256 * 2**20


class _Row(msgspec.Struct, frozen=True):
    key_id: bytes
    expires_at: int
    sealed: bytes


class Stored(msgspec.Struct, frozen=True):
    """What a tenant has in the store, under its keyed name in hex."""

    tenant: str
    conversations: int
    sealed_bytes: int


class Conversations:
    """The store. Safe to use from several threads; several processes may open the same directory."""

    def __init__(
        self, directory: Path, master: bytes, bounds: Bounds | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Opens the store in ``directory``, made if it is missing. Raises ``OSError`` and ``sqlite3.Error``."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / "keys").mkdir(mode=0o700, exist_ok=True)
        path = directory / STORE
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._keys = Keyring(directory / "keys", master)
        self._bounds = bounds or Bounds()
        self._clock = clock
        self._gate = threading.Lock()
        self._db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON;" + _SCHEMA)

    def close(self) -> None:
        """Close the store."""
        with self._gate:
            self._db.close()

    def use(self, binding: Binding, texts: Callable[[], list[str]], work: Callable[[Vault], T]) -> tuple[Vault, T]:
        """Do ``work`` with the vault of a conversation, and make durable what it added before this returns.

        ``texts`` are those in which the suffix of a new vault must not be. ``work`` may run again with a fresh vault,
        if another request of the conversation was faster: numbers are given once. Raises ``ObligationFailed`` past a
        bound, for a store that cannot be used, or for one that was tampered with.
        """
        names = self._keys.names(binding)
        try:
            for _ in range(_ATTEMPTS):
                row, vault = self._load(names, binding, texts)
                before = vault.size
                result = work(vault)
                if vault.size == before and not self._due(row):
                    return vault, result
                if self._save(names, binding, row, vault):
                    return vault, result
        except (sqlite3.Error, OSError) as error:
            raise ObligationFailed(
                f"the vault of the conversation cannot be used ({type(error).__name__})",
                where="the conversation-scoped vault",
                mend="check state_directory, its permissions and the free space",
            ) from error
        raise ObligationFailed("other requests of the conversation were faster each time", mend="try again")

    def _load(self, names: Names, binding: Binding, texts: Callable[[], list[str]]) -> tuple[_Row | None, Vault]:
        with self._gate:
            row = self._row(names)
        most = self._bounds.max_values
        key = self._keys.key(names.tenant, make=False) if row else None
        if row is None or key is None or row.key_id != key_id(key) or row.expires_at <= self._clock():
            return row, Vault(texts(), max_values=most)
        data = unseal(key, binding, row.expires_at, row.sealed)
        return row, Vault.of(msgspec.msgpack.decode(data, type=VaultState), max_values=most)

    def _row(self, names: Names) -> _Row | None:
        found = self._db.execute(
            "SELECT key_id, expires_at, sealed FROM conversations WHERE name = ?", (names.conversation,)
        ).fetchone()
        return _Row(*found) if found else None

    def _due(self, row: _Row | None) -> bool:
        """Whether the end of what is kept has to be moved."""
        if row is None:
            return False
        ttl = self._bounds.ttl_seconds
        left = row.expires_at - self._clock()
        return 0 < left < ttl - ttl / _RENEWED

    def _save(self, names: Names, binding: Binding, seen: _Row | None, vault: Vault) -> bool:
        """Write the vault, unless the row is another than the one that was seen."""
        expires_at = int(self._clock()) + self._bounds.ttl_seconds
        key = self._keys.key(names.tenant, make=True)
        assert key is not None  # noqa: S101 - it was to be made
        sealed = seal(key, binding, expires_at, msgspec.msgpack.encode(vault.state))
        if len(sealed) > MAX_SEALED_BYTES:
            raise ObligationFailed("the values of one conversation are larger than its vault may be", mend=_MEND_FULL)
        with self._writing() as db:
            if self._row(names) != seen:
                return False
            if seen is None:
                self._make_room(names)
            db.execute(
                "INSERT OR REPLACE INTO conversations VALUES (?, ?, ?, ?, ?, ?)",
                (names.conversation, names.tenant, names.principal, key_id(key), expires_at, sealed),
            )
        return True

    def _make_room(self, names: Names) -> None:
        """Let ended conversations go, and the principal's oldest past the bound. Raises ``ObligationFailed`` where the
        store is full: nobody's conversation makes room for another's."""
        db = self._db
        db.execute("DELETE FROM conversations WHERE expires_at <= ?", (int(self._clock()),))
        db.execute(
            "DELETE FROM conversations WHERE name IN (SELECT name FROM conversations WHERE principal = ?"
            " ORDER BY expires_at DESC LIMIT -1 OFFSET ?)",
            (names.principal, self._bounds.max_conversations - 1),
        )
        size, pages, free = (
            db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
        )
        if (pages - free) * size + MAX_SEALED_BYTES > self._bounds.max_bytes:
            raise ObligationFailed("the vault of conversations is full", mend=_MEND_FULL)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing."""
        with self._gate:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    # For people ------------------------------------------------------------------------------------------------------

    def destroy(self, tenant: str | None) -> int:
        """Erase a tenant: its key first, so that no copy of the store opens any more, then its rows. Returns how many
        conversations there were."""
        return self._destroy(self._keys.tenant_name(tenant))

    def destroy_all(self) -> int:
        """Erase every tenant."""
        with self._gate:
            named = {row[0] for row in self._db.execute("SELECT DISTINCT tenant FROM conversations")}
        return sum(self._destroy(name) for name in sorted(named.union(self._keys.tenants())))

    def _destroy(self, tenant: bytes) -> int:
        self._keys.destroy(tenant)
        with self._writing() as db:
            gone = db.execute("DELETE FROM conversations WHERE tenant = ?", (tenant,)).rowcount
        with self._gate:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return gone

    def stored(self) -> list[Stored]:
        """What each tenant has in the store, by its keyed name: what has ended is not counted."""
        with self._gate:
            rows = self._db.execute(
                "SELECT tenant, COUNT(*), SUM(LENGTH(sealed)) FROM conversations WHERE expires_at > ? GROUP BY tenant"
                " ORDER BY tenant",
                (int(self._clock()),),
            ).fetchall()
        return [Stored(tenant.hex(), count, size) for tenant, count, size in rows]


_MEND_FULL: Final = "raise the bounds of [vault], shorten vault.ttl_seconds, or redact with replace or mask"
