"""API keys: only their SHA-256 is configured, so that who reads the configuration cannot use it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

from guard.config import ApiKey
from guard.errors import ConfigError
from guard.types import Principal

MIN_KEY_CHARACTERS: Final = 22
"""22 characters of base64 carry 128 bits. The hash has no salt and no cost, so a guessable key would be found."""


def hash_api_key(key: str) -> str:
    """``sha256:<hex>`` of an API key, for ``[[identity.api_keys]]``.

    A key is visible ASCII (RFC 6750 bearer tokens are) and has at least 22 characters, which must be random. Raises
    ``ValueError`` otherwise.
    """
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ValueError("an API key holds visible ASCII characters only, and no space")
    if len(key) < MIN_KEY_CHARACTERS:
        raise ValueError(f"an API key has at least {MIN_KEY_CHARACTERS} random characters, this one has {len(key)}")
    return f"sha256:{hashlib.sha256(key.encode('ascii')).hexdigest()}"


def principals_by_digest(keys: Sequence[ApiKey]) -> Mapping[bytes, Principal]:
    """SHA-256 digest -> principal.

    A look-up by digest needs no constant-time comparison: its timing depends on the digest of the presented key, which
    nobody can steer towards a stored one. Raises ``ConfigError`` when one hash stands twice.
    """
    found: dict[bytes, Principal] = {}
    for key in keys:
        digest = bytes.fromhex(key.hash.removeprefix("sha256:"))
        if digest in found:
            raise ConfigError(
                f"the hash of API key {key.id!r} is also that of {found[digest].id!r}",
                where="identity.api_keys",
                mend="give each entry a key of its own",
            )
        found[digest] = Principal(
            type="service",
            id=key.id,
            tenant=key.tenant,
            roles=key.roles,
            groups=key.groups,
            authenticated=True,
            method="api_key",
        )
    return found
