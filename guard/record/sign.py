"""Signers of checkpoints. One protocol (``guard.types.Signer``); here the one whose Ed25519 key lies in memory, and
what a writer asks of the keys of its origin. Other signers: ``guard.record.signers``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Literal, TypeAlias

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from guard.errors import KeyInvalid
from guard.types import Signer

Reason: TypeAlias = Literal["rotate", "boot", "day"]


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


class Succession(msgspec.Struct, frozen=True):
    """The key that is to sign next, why, and the signed notes that endorse it (``guard.record.endorse``)."""

    signer: Signer
    reason: Reason
    endorsements: tuple[str, ...]


class SigningKeys(ABC):
    """The signing keys of one origin, as its writer asks for them. Called by whoever holds the origin's lock, from one
    thread at a time; public keys are 32 bytes."""

    name: str
    """The origin."""

    @abstractmethod
    def first(self) -> Signer:
        """The key under which a log begins. Raises ``KeyInvalid``."""

    @abstractmethod
    def begun(self, signer: Signer) -> tuple[str, ...]:
        """The endorsements of a log's first key; empty if nobody endorsed it."""

    @abstractmethod
    def held(self, public_key: bytes) -> Signer:
        """The signer of the key that the log is at. Raises ``KeyInvalid`` if it is not here."""

    @abstractmethod
    def successor(self, signer: Signer, used: Collection[bytes], *, opening: bool) -> Succession | None:
        """What is to follow ``signer`` now; ``None`` to go on. ``used`` are all keys that signed this log so far;
        ``opening`` is whether the writer opens the log, not merely goes on. Raises ``KeyInvalid``."""

    @abstractmethod
    def settled(self, signer: Signer) -> None:
        """``signer`` signs from now on, and that is durable: private keys before it can be destroyed."""


class OneKey(SigningKeys):
    """A single signer for the whole life of a log."""

    def __init__(self, signer: Signer) -> None:
        self.name = signer.name
        self._signer = signer

    def first(self) -> Signer:
        """The one."""
        return self._signer

    def begun(self, signer: Signer) -> tuple[str, ...]:
        """Nobody endorsed it."""
        del signer
        return ()

    def held(self, public_key: bytes) -> Signer:
        """The one, or ``KeyInvalid``."""
        if public_key != self._signer.public_key:
            raise not_held(self.name)
        return self._signer

    def successor(self, signer: Signer, used: Collection[bytes], *, opening: bool) -> Succession | None:
        """Never any."""
        del signer, used, opening
        return None

    def settled(self, signer: Signer) -> None:
        """Nothing to do."""
        del signer


def not_held(origin: str) -> KeyInvalid:
    """The error for a log whose present key is not here."""
    return KeyInvalid(
        "this log was begun, or goes on, under another signing key",
        where=origin,
        mend="restore that key, or start with another directory",
    )
