"""Keyed pseudonyms: the only form in which identities and client-chosen strings leave the request.

HMAC-SHA256 (RFC 2104) under a secret of the deployment. Whoever holds the key can look a value up (``guard log
hash``); whoever destroys it has erased every identity that was written under it.
"""

from __future__ import annotations

import hmac
import re
from typing import Final

_UUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32}")
_KEY_ID: Final = re.compile(r"[a-z0-9]{4,16}")


class KeyedHash:
    """One pseudonym key. Equal values under one key and purpose have equal pseudonyms; nothing else can be read off."""

    def __init__(self, key_id: str, secret: bytes) -> None:
        """``secret`` has at least 32 bytes; ``key_id`` is 4 to 16 of ``[a-z0-9]``. Raises ``ValueError`` otherwise."""
        if not _KEY_ID.fullmatch(key_id):
            raise ValueError(f"key id {key_id!r} is not 4 to 16 characters of a-z and 0-9")
        if len(secret) < 32:
            raise ValueError(f"a pseudonym key has at least 32 bytes, this one has {len(secret)}")
        self.key_id = key_id
        self._secret = secret

    def digest(self, purpose: str, value: str | bytes) -> bytes:
        """The 32 bytes of HMAC-SHA256 over ``purpose``, a NUL and ``value``. A purpose holds no NUL."""
        data = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
        return hmac.digest(self._secret, purpose.encode() + b"\x00" + data, "sha256")

    def pseudonym(self, purpose: str, value: str | bytes) -> str:
        """``hmac:<key id>:<32 hex digits>``, as it stands in records and policy documents."""
        return f"hmac:{self.key_id}:{self.digest(purpose, value)[:16].hex()}"

    def identifier(self, purpose: str, value: str) -> str:
        """A request id as it may stand in records: a UUID (RFC 9562) or 32 hex digits as it is, else its pseudonym.

        Other ids are the client's free text, and nobody has looked for personal data in them.
        """
        return value if _UUID.fullmatch(value) else self.pseudonym(purpose, value)

    def derived(self, info: bytes) -> bytes:
        """A key of 32 bytes for another use, named by ``info``, which holds no NUL: HKDF-Expand (RFC 5869) under this
        key, which is uniformly random. No ``digest`` is ever the same: what that hashes holds a NUL."""
        return hmac.digest(self._secret, info + b"\x01", "sha256")

    def token(self, value: str) -> str:
        """``~<12 hex digits>``: stands for one unrecognised token of a JSON pointer."""
        return "~" + self.digest("pointer", value)[:6].hex()
