"""Ed25519 (RFC 8032) over the card of a model: the 64 raw bytes in a file of their own, so that ``openssl pkeyutl
-verify -rawin`` checks them too."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from guard.errors import KeyInvalid

_MAX_BYTES: Final = 65_536
_OTHERS: Final = 0o077
_MAKE: Final = "make one: openssl genpkey -algorithm ed25519 -out models.pem; chmod 600 models.pem"
_PUBLIC: Final = "it is the public half: openssl pkey -in models.pem -pubout -out models.pub"


def sign(message: bytes, key: Path) -> bytes:
    """The signature under a private key in PEM that nobody else may read. Raises ``KeyInvalid``."""
    data = _content(key, private=True)
    try:
        found = load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise KeyInvalid("this is no private key in PEM without a password", where=str(key), mend=_MAKE) from error
    if not isinstance(found, Ed25519PrivateKey):
        raise KeyInvalid("the key is not of Ed25519", where=str(key), mend=_MAKE)
    return found.sign(message)


def verifies(message: bytes, signature: bytes, key: Path) -> bool:
    """Whether the signature is of this public key (PEM). Raises ``KeyInvalid``."""
    try:
        _public(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def name_of(key: Path) -> str:
    """The first 16 hex digits of the SHA-256 of the public key's 32 bytes. Raises ``KeyInvalid``."""
    raw = _public(key).public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def _public(key: Path) -> Ed25519PublicKey:
    try:
        found = load_pem_public_key(_content(key, private=False))
    except ValueError as error:
        raise KeyInvalid("this is no public key in PEM", where=str(key), mend=_PUBLIC) from error
    if not isinstance(found, Ed25519PublicKey):
        raise KeyInvalid("the key is not of Ed25519", where=str(key), mend=_PUBLIC)
    return found


def _content(path: Path, *, private: bool) -> bytes:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(_MAX_BYTES)
    except OSError as error:
        mend = _MAKE if private else _PUBLIC
        raise KeyInvalid(f"the key cannot be read: {error.strerror}", where=str(path), mend=mend) from error
    if private and mode & _OTHERS:
        raise KeyInvalid(
            f"the signing key is open to others (mode {mode:04o})",
            where=str(path),
            mend=f"chmod 600 {path}, and consider the key known",
        )
    return data
