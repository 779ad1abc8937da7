"""Signers of checkpoints. One protocol (``guard.types.Signer``); here the one whose Ed25519 key lies in memory."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class Ed25519Signer:
    """Signs with a private key held in this process (RFC 8032)."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        """``name`` is the key name of the C2SP signed note: for a log, its origin."""
        self._name = name
        self._key = key
        self._public_key = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def name(self) -> str:
        """The key name."""
        return self._name

    @property
    def public_key(self) -> bytes:
        """The 32 bytes of the public key."""
        return self._public_key

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of the signature over ``message``."""
        return self._key.sign(message)
