"""Keys and seals of the conversation-scoped vault: AES-256-GCM (NIST SP 800-38D), one random key for each tenant.

A tenant's key lies in a file of its own, wrapped under the deployment's vault key. Who destroys that file has erased
everything that was sealed under it, in every copy of the store. The associated data of each seal name whose it is, so
that a sealed vault opens for nobody else, wherever it is moved.
"""

from __future__ import annotations

import os
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from guard.errors import ObligationFailed
from guard.keyed import KeyedHash
from guard.types import Principal

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
_WRAPPED_BYTES: Final = NONCE_BYTES + KEY_BYTES + 16
_MEND: Final = "restore the vault and its keys from your backup, or destroy the vault (guard vault destroy)"


class Binding(msgspec.Struct, frozen=True):
    """Whose vault it is. Every member is part of the associated data of its seal."""

    tenant: str | None
    type: str
    method: str
    id: str
    conversation: str

    @classmethod
    def of(cls, principal: Principal, conversation: str) -> Binding:
        """The binding of a principal's conversation."""
        return cls(principal.tenant, principal.type, principal.method, principal.id, conversation)


class Names(msgspec.Struct, frozen=True):
    """Under which names a binding stands in the store: keyed hashes, 16 bytes each."""

    tenant: bytes
    principal: bytes
    conversation: bytes


class Keyring:
    """The tenants' keys in one directory. Safe to use from several threads and processes."""

    def __init__(self, directory: Path, master: bytes) -> None:
        """``master`` is the deployment's vault key, 32 bytes. Names and wrapping have keys derived from it."""
        self._directory = directory
        self._names = KeyedHash("vault", sha256(b"policy-guard vault names\x00" + master).digest())
        self._wrap = AESGCM(sha256(b"policy-guard vault wrapping\x00" + master).digest())

    def names(self, binding: Binding) -> Names:
        """The names of a binding."""
        who = msgspec.json.encode([binding.tenant, binding.type, binding.method, binding.id])
        talk = msgspec.json.encode([binding.tenant, binding.type, binding.method, binding.id, binding.conversation])
        return Names(
            self.tenant_name(binding.tenant),
            self._names.digest("principal", who)[:16],
            self._names.digest("conversation", talk)[:16],
        )

    def tenant_name(self, tenant: str | None) -> bytes:
        """The name of a tenant; ``None`` is everybody without one."""
        return self._names.digest("tenant", msgspec.json.encode(tenant))[:16]

    def key(self, tenant: bytes, *, make: bool) -> bytes | None:
        """A tenant's key; ``None`` if there is none and it is not to be made. Raises ``ObligationFailed`` if the file
        is not the one that was written under this master key."""
        path = self._path(tenant)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            if not make:
                return None
            self._create(path, tenant)
            data = path.read_bytes()
        if len(data) != _WRAPPED_BYTES:
            raise ObligationFailed("a tenant's vault key is damaged", where=str(path), mend=_MEND)
        try:
            return self._wrap.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], _KEY_LABEL + tenant)
        except InvalidTag:
            raise ObligationFailed("a tenant's vault key does not open", where=str(path), mend=_MEND) from None

    def destroy(self, tenant: bytes) -> bool:
        """Delete a tenant's key; ``False`` if there is none."""
        try:
            self._path(tenant).unlink()
        except FileNotFoundError:
            return False
        _sync(self._directory)
        return True

    def tenants(self) -> list[bytes]:
        """The names of the tenants that have a key."""
        return sorted(bytes.fromhex(path.stem) for path in self._directory.glob("*.key"))

    def _path(self, tenant: bytes) -> Path:
        return self._directory / f"{tenant.hex()}.key"

    def _create(self, path: Path, tenant: bytes) -> None:
        """A new key, whole or not at all, and never over another's."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        wrapped = nonce + self._wrap.encrypt(nonce, secrets.token_bytes(KEY_BYTES), _KEY_LABEL + tenant)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(wrapped)
                file.flush()
                os.fsync(file.fileno())
            try:
                path.hardlink_to(temporary)
            except FileExistsError:
                return
        finally:
            temporary.unlink()
        _sync(self._directory)


_KEY_LABEL: Final = b"policy-guard vault key 1\x00"
_SEAL_LABEL: Final = b"policy-guard vault 1\x00"


def key_id(key: bytes) -> bytes:
    """Which key sealed something: 8 bytes of its SHA-256."""
    return sha256(b"policy-guard vault key id\x00" + key).digest()[:8]


def seal(key: bytes, binding: Binding, expires_at: int, data: bytes) -> bytes:
    """Nonce and ciphertext. The nonce is random: a key stays far below the 2**32 seals that allows (SP 800-38D, 8.3)
    because every conversation has a key of its own, derived from the tenant's."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + _cipher(key, binding).encrypt(nonce, data, _associated(binding, expires_at))


def unseal(key: bytes, binding: Binding, expires_at: int, sealed: bytes) -> bytes:
    """What was sealed for this binding and this end. Raises ``ObligationFailed`` for anything else."""
    try:
        return _cipher(key, binding).decrypt(
            sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _associated(binding, expires_at)
        )
    except (InvalidTag, ValueError):
        raise ObligationFailed(
            "a stored vault was changed, or is another's", where="the conversation-scoped vault", mend=_MEND
        ) from None


def _cipher(key: bytes, binding: Binding) -> AESGCM:
    return AESGCM(KeyedHash("vault", key).digest("conversation", msgspec.json.encode(binding)))


def _associated(binding: Binding, expires_at: int) -> bytes:
    return _SEAL_LABEL + msgspec.json.encode([msgspec.to_builtins(binding), expires_at])


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
