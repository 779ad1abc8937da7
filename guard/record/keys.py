"""Key files: the Ed25519 key that signs the log and the pseudonym key that stands between it and identities.

Files have mode 0600 in a directory of mode 0700. A file that others may read is refused, not repaired: who read it is
unknown. Keys are never ephemeral, since a log signed by a key that nobody kept proves nothing.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from guard.errors import KeyInvalid
from guard.keyed import KeyedHash
from guard.record.segment import fsync_directory, make_directory
from guard.record.sign import Ed25519Signer

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
    _ensure_private_directory(directory)
    files = ((directory / SIGNING_KEY, _new_signing_key), (directory / PSEUDONYM_KEY, _new_pseudonym_key))
    created = tuple(path for path, make in files if _create(path, make))
    return msgspec.structs.replace(load_keys(directory), created=created)


def load_keys(directory: Path) -> LogKeys:
    """The keys in ``directory``, which must be there. Raises ``KeyInvalid``."""
    return LogKeys(load_signing_key(directory / SIGNING_KEY), load_pseudonym_key(directory / PSEUDONYM_KEY))


def load_signing_key(path: Path) -> Ed25519PrivateKey:
    """An Ed25519 private key in PKCS #8 PEM, as ``openssl genpkey -algorithm ed25519`` writes it."""
    try:
        key = load_pem_private_key(_read_private(path), password=None)
    except (ValueError, TypeError) as error:
        raise KeyInvalid(
            "the file holds no unencrypted PEM private key", where=str(path), mend="restore it from your backup"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyInvalid("the key is no Ed25519 key", where=str(path), mend="openssl genpkey -algorithm ed25519")
    return key


def load_pseudonym_key(path: Path) -> KeyedHash:
    """A pseudonym key: one line ``hmac-sha256 <key id> <base64 of 32 bytes>``."""
    words = _read_private(path).decode("ascii", "replace").split()
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
    _ensure_private_directory(directory)
    path = directory / VAULT_KEY
    made = _create(path, _new_vault_key)
    words = _read_private(path).decode("ascii", "replace").split()
    try:
        form, encoded = words
        secret = base64.b64decode(encoded, validate=True)
        if form != _VAULT_FORM or len(secret) != 32:
            raise ValueError("another form of key")
    except (ValueError, binascii.Error) as error:
        raise KeyInvalid("the file holds no vault key", where=str(path), mend="restore it from your backup") from error
    return secret, path if made else None


def _new_signing_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _new_pseudonym_key() -> bytes:
    secret = secrets.token_bytes(32)
    return f"{_PSEUDONYM_FORM} {_pseudonym_key_id(secret)} {base64.b64encode(secret).decode()}\n".encode()


def _pseudonym_key_id(secret: bytes) -> str:
    return sha256(b"policy-guard pseudonym key id\x00" + secret).hexdigest()[:8]


def _new_vault_key() -> bytes:
    return f"{_VAULT_FORM} {base64.b64encode(secrets.token_bytes(32)).decode()}\n".encode()


def _create(path: Path, make: Callable[[], bytes]) -> bool:
    """Write a new key unless the file is there; whole or not at all, and never over another's."""
    if path.exists():
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


def _ensure_private_directory(directory: Path) -> None:
    if not directory.is_dir():
        make_directory(directory)
    mode = directory.stat().st_mode & 0o777
    if mode & 0o077:
        raise KeyInvalid(
            f"the key directory is open to others (mode {mode:04o})",
            where=str(directory),
            mend=f"chmod 700 {directory}, and consider its keys known",
        )


def _read_private(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            data = file.read(65_536)
    except OSError as error:
        raise KeyInvalid(
            f"the key file cannot be read ({error.strerror})", where=str(path), mend="restore it, or name another"
        ) from error
    if mode & 0o077:
        raise KeyInvalid(
            f"the key file is open to others (mode {mode:04o})",
            where=str(path),
            mend=f"chmod 600 {path}, and consider the key known",
        )
    return data
