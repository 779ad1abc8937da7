"""What leaves for the server is sealed: AES-256-GCM (NIST SP 800-38D) under keys that only replicas with the same
pseudonym key can derive. Who holds the server can delete and repeat, but neither read nor forge.

An envelope is ``"pgb" version kind | mark | sender | number | ciphertext``; all before the ciphertext is authenticated
with it. ``mark`` tells another key from damage, ``sender`` is drawn anew for each start of a process and has a key of
its own, and ``number`` is never used twice by one sender for one kind, so it is the nonce.
"""

from __future__ import annotations

import hmac
import secrets
import struct
from functools import lru_cache
from typing import Final, Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from guard.keyed import KeyedHash

Kind = Literal[b"L", b"C", b"M"]
"""Lessons; a chunk of a snapshot; the manifest of one."""

_MAGIC: Final = b"pgb1"
_HEAD: Final = struct.Struct(">4sc8s16sQ")
_TAG_BYTES: Final = 16
OVERHEAD_BYTES: Final = _HEAD.size + _TAG_BYTES


class SealBroken(Exception):
    """An envelope that does not open. ``foreign``: it was sealed under another pseudonym key or name."""

    def __init__(self, what: str, *, foreign: bool = False) -> None:
        super().__init__(what)
        self.foreign = foreign


class Opened(msgspec.Struct, frozen=True):
    """The content of an envelope, who sealed it, and its number."""

    sender: bytes
    number: int
    data: bytes


class Seal:
    """Seals as one sender and opens what any sender of the same deployment sealed. Thread-safe."""

    def __init__(self, keyed: KeyedHash, name: str) -> None:
        """``name``: that of the deployment. Another one has other keys."""
        self.sender = secrets.token_bytes(16)
        root = keyed.derived(b"policy-guard sharing of behaviour " + name.encode())
        self.mark = hmac.digest(root, b"mark", "sha256")[:8]
        """Tells one key from another, and nothing of it."""

        @lru_cache(maxsize=1024)
        def cipher(sender: bytes) -> AESGCM:
            return AESGCM(hmac.digest(root, b"sender" + sender + b"\x01", "sha256"))  # HKDF-Expand, RFC 5869

        self._cipher = cipher

    def seal(self, kind: Kind, number: int, data: bytes) -> bytes:
        """The envelope of ``data``. ``number`` must not have been used before for this kind."""
        head = _HEAD.pack(_MAGIC, kind, self.mark, self.sender, number)
        return head + self._cipher(self.sender).encrypt(_nonce(kind, number), data, head)

    def sealed_here(self, envelope: bytes) -> bool:
        """Whether this sender says to have sealed it. Nothing is proven: it is not opened."""
        return envelope[13:29] == self.sender

    def open(self, kind: Kind, envelope: bytes) -> Opened:
        """The content of an envelope of this kind. Raises ``SealBroken``."""
        if len(envelope) < OVERHEAD_BYTES or envelope[:4] != _MAGIC:
            raise SealBroken("it is no envelope of this version")
        head = envelope[: _HEAD.size]
        _, found, mark, sender, number = _HEAD.unpack(head)
        if mark != self.mark:
            raise SealBroken("it was sealed under another pseudonym key, or another name", foreign=True)
        if found != kind:
            raise SealBroken("it is an envelope of another kind")
        try:
            return Opened(
                sender, number, self._cipher(sender).decrypt(_nonce(kind, number), envelope[_HEAD.size :], head)
            )
        except InvalidTag:
            raise SealBroken("it is damaged or forged") from None


def _nonce(kind: Kind, number: int) -> bytes:
    return kind + b"\x00\x00\x00" + number.to_bytes(8, "big")
