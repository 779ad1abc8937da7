"""Ed25519 private keys as files: PKCS #8 PEM (RFC 5958, RFC 8410), and the one line in which note tools keep theirs."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from guard.errors import KeyInvalid
from guard.record.keyfiles import create_private, read_private
from guard.record.note import ED25519, NoteInvalid, VerifierKey
from guard.record.sign import Ed25519Signer

_ROOT: Final = "PRIVATE+KEY+"
_ROOT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")


def load_signing_key(path: Path) -> Ed25519PrivateKey:
    """An Ed25519 private key in PKCS #8 PEM, as ``openssl genpkey -algorithm ed25519`` writes it. Raises
    ``KeyInvalid``."""
    try:
        key = load_pem_private_key(read_private(path), password=None)
    except (ValueError, TypeError) as error:
        raise KeyInvalid(
            "the file holds no unencrypted PEM private key", where=str(path), mend="restore it from your backup"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyInvalid("the key is no Ed25519 key", where=str(path), mend="openssl genpkey -algorithm ed25519")
    return key


def pem_of(key: Ed25519PrivateKey) -> bytes:
    """The PEM of a private key, unencrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def root_line(name: str, key: Ed25519PrivateKey) -> bytes:
    """A named private key as Go's ``sumdb/note`` writes it: ``PRIVATE+KEY+<name>+<id>+<base64(0x01 || seed)>``."""
    vkey = VerifierKey(name, key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    seed = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    return f"{_ROOT}{name}+{vkey.id.hex()}+{base64.b64encode(bytes((ED25519,)) + seed).decode()}\n".encode()


def create_root(path: Path, name: str) -> bool:
    """Make an offline root's key in a file of mode 0600, unless one is there; whether this call made it. Raises
    ``KeyInvalid`` for a name that no vkey can have."""
    if not _ROOT_NAME.fullmatch(name):
        raise KeyInvalid(f"{name!r} is no name of a root", where=str(path), mend="use a-z, 0-9, dots and hyphens")
    return create_private(path, lambda: root_line(name, Ed25519PrivateKey.generate()))


def load_root(path: Path) -> Ed25519Signer:
    """The signer of an offline root's file. Raises ``KeyInvalid``."""
    text = read_private(path).decode("utf-8", "replace").strip()
    try:
        if not text.startswith(_ROOT):
            raise NoteInvalid("another form")
        name, identifier, encoded = text.removeprefix(_ROOT).split("+", 2)
        data = base64.b64decode(encoded, validate=True)
        if len(data) != 33 or data[0] != ED25519:
            raise NoteInvalid("another kind of key")
        signer = Ed25519Signer(name, Ed25519PrivateKey.from_private_bytes(data[1:]))
        if VerifierKey.of(signer).id.hex() != identifier:
            raise NoteInvalid("the id does not belong to the key")
    except (ValueError, binascii.Error) as error:
        raise KeyInvalid(
            "the file holds no root key (PRIVATE+KEY+name+id+base64)",
            where=str(path),
            mend="restore it, or make a root: guard keys new --root FILE",
        ) from error
    return signer
