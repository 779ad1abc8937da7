"""Key files: the Ed25519 key that signs the log and the pseudonym key that stands between it and identities.

Files have mode 0600 in a directory of mode 0700. A file that others may read is refused, not repaired: who read it is
unknown. Keys are never ephemeral, since a log signed by a key that nobody kept proves nothing.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from guard.errors import KeyInvalid
from guard.keyed import KeyedHash
from guard.record.keyfiles import create_private, ensure_private_directory, read_private
from guard.record.pem import load_signing_key, pem_of
from guard.record.sign import Ed25519Signer

__all__ = [
    "PSEUDONYM_KEY",
    "SIGNING_KEY",
    "VAULT_KEY",
    "LogKeys",
    "load_keys",
    "load_or_create_keys",
    "load_or_create_pseudonym_key",
    "load_or_create_vault_key",
    "load_pseudonym_key",
    "load_signing_key",
    "new_pseudonym_key",
]

SIGNING_KEY: Final = "log-signing.pem"
PSEUDONYM_KEY: Final = "pseudonym.key"
VAULT_KEY: Final = "vault.key"
_PSEUDONYM_FORM: Final = "hmac-sha256"
_VAULT_FORM: Final = "aes-256-gcm"


class LogKeys(msgspec.Struct, frozen=True):
    """The keys of one deployment. ``created`` names the files that this call made, so that the place can be said."""

    signing_key: Ed25519PrivateKey
    keyed: KeyedHash
    created: tuple[Path, ...] = ()

    def signer(self, origin: str) -> Ed25519Signer:
        """The signer of one origin: each origin signs under its own key name."""
        return Ed25519Signer(origin, self.signing_key)


def load_or_create_keys(directory: Path) -> LogKeys:
    """The keys in ``directory``, made there if they are missing. Raises ``KeyInvalid``.

    Several processes may start at once: the first one's files stand, the others load them.
    """
    ensure_private_directory(directory)
    files = ((directory / SIGNING_KEY, _new_signing_key), (directory / PSEUDONYM_KEY, new_pseudonym_key))
    created = tuple(path for path, make in files if create_private(path, make))
    return msgspec.structs.replace(load_keys(directory), created=created)


def load_or_create_pseudonym_key(directory: Path) -> tuple[KeyedHash, Path | None]:
    """The pseudonym key alone, where the signing key is elsewhere, and its file if this call made it. Raises
    ``KeyInvalid``."""
    ensure_private_directory(directory)
    path = directory / PSEUDONYM_KEY
    made = create_private(path, new_pseudonym_key)
    return load_pseudonym_key(path), path if made else None


def load_keys(directory: Path) -> LogKeys:
    """The keys in ``directory``, which must be there. Raises ``KeyInvalid``."""
    return LogKeys(load_signing_key(directory / SIGNING_KEY), load_pseudonym_key(directory / PSEUDONYM_KEY))


def load_pseudonym_key(path: Path) -> KeyedHash:
    """A pseudonym key: one line ``hmac-sha256 <key id> <base64 of 32 bytes>``."""
    words = read_private(path).decode("ascii", "replace").split()
    try:
        form, key_id, encoded = words
        secret = base64.b64decode(encoded, validate=True)
        if form != _PSEUDONYM_FORM or key_id != _pseudonym_key_id(secret):
            raise ValueError("the key id does not belong to the key")
        return KeyedHash(key_id, secret)
    except (ValueError, binascii.Error) as error:
        raise KeyInvalid(
            "the file holds no pseudonym key", where=str(path), mend="restore it from your backup"
        ) from error


def load_or_create_vault_key(directory: Path) -> tuple[bytes, Path | None]:
    """The 32 bytes under which tenants' vault keys are wrapped, and the file if this call made it. Raises
    ``KeyInvalid``. One line: ``aes-256-gcm <base64>``."""
    ensure_private_directory(directory)
    path = directory / VAULT_KEY
    made = create_private(path, _new_vault_key)
    words = read_private(path).decode("ascii", "replace").split()
    try:
        form, encoded = words
        secret = base64.b64decode(encoded, validate=True)
        if form != _VAULT_FORM or len(secret) != 32:
            raise ValueError("another form of key")
    except (ValueError, binascii.Error) as error:
        raise KeyInvalid("the file holds no vault key", where=str(path), mend="restore it from your backup") from error
    return secret, path if made else None


def _new_signing_key() -> bytes:
    return pem_of(Ed25519PrivateKey.generate())


def new_pseudonym_key() -> bytes:
    """The file of a new pseudonym key."""
    secret = secrets.token_bytes(32)
    return f"{_PSEUDONYM_FORM} {_pseudonym_key_id(secret)} {base64.b64encode(secret).decode()}\n".encode()


def _pseudonym_key_id(secret: bytes) -> str:
    return sha256(b"policy-guard pseudonym key id\x00" + secret).hexdigest()[:8]


def _new_vault_key() -> bytes:
    return f"{_VAULT_FORM} {base64.b64encode(secrets.token_bytes(32)).decode()}\n".encode()
