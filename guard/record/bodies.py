"""Bodies in records: a keyed digest and a size, never a byte of them."""

from __future__ import annotations

import hmac
from typing import Any, Final
from weakref import WeakKeyDictionary

import msgspec

from guard.keyed import KeyedHash

_CONTENT_KEYS: Final[WeakKeyDictionary[KeyedHash, bytes]] = WeakKeyDictionary()
"""What is derived for contents from each key that is in use: as long as that, and no longer."""


class BodyDigest(msgspec.Struct, frozen=True):
    """A body's keyed digest (``hmac:<key id>:<hex>``) and its size in bytes."""

    digest: str
    size_bytes: int


class PassedBody(msgspec.Struct, frozen=True):
    """What the app was given of a request body that was too large to be held; ``whole`` if that was all of it.
    ``content`` is ``None`` where it took nothing."""

    content: BodyDigest | None
    whole: bool


class ContentHasher:
    """The keyed digest of a body that comes in pieces.

    HMAC-SHA256 under a key derived for contents, so that short texts cannot be guessed without the pseudonym key.
    """

    def __init__(self, keyed: KeyedHash) -> None:
        self._key_id = keyed.key_id
        self._hmac = hmac.new(_content_key(keyed), digestmod="sha256")
        self._size = 0

    def update(self, data: bytes) -> None:
        """Take in the next piece."""
        self._hmac.update(data)
        self._size += len(data)

    def finish(self) -> BodyDigest:
        """The digest of everything so far."""
        return _digest(self._key_id, self._hmac.digest(), self._size)


def digest_of(data: bytes, keyed: KeyedHash) -> BodyDigest:
    """The keyed digest of a whole body: that of a ``ContentHasher`` that was given all of it."""
    return _digest(keyed.key_id, hmac.digest(_content_key(keyed), data, "sha256"), len(data))


def _digest(key_id: str, digest: bytes, size_bytes: int) -> BodyDigest:
    return BodyDigest(f"hmac:{key_id}:{digest[:16].hex()}", size_bytes)


def _content_key(keyed: KeyedHash) -> bytes:
    key = _CONTENT_KEYS.get(keyed)
    if key is None:
        key = _CONTENT_KEYS[keyed] = keyed.digest("content key", b"")
    return key


def body(body: bytes | BodyDigest | None, keyed: KeyedHash) -> dict[str, Any] | None:
    """The keyed digest of a body."""
    if body is None:
        return None
    if isinstance(body, bytes):
        body = digest_of(body, keyed)
    return {"digest": body.digest, "bytes": body.size_bytes}


def passed(body: PassedBody | None) -> dict[str, Any]:
    """The member that tells what of a large body passed; none for any other body."""
    if body is None:
        return {}
    content = body.content or BodyDigest("", 0)
    return {"request_content": {"digest": content.digest or None, "bytes": content.size_bytes, "whole": body.whole}}
