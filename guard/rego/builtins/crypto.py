"""Hashes, HMACs and UUIDs."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any

from guard.rego.runtime import Context
from guard.rego.values import UNDEFINED

from .registry import builtin

_UUID = re.compile(
    r"(?:urn:uuid:)?[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\Z"
    r"|[\x00-\x7f][0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}[\x00-\x7f]\Z|[0-9a-f]{32}\Z",
    re.IGNORECASE,
)
_BRACED = 38
_EPOCH_100NS = 0x01B21DD213814000


def _hash(algorithm: str) -> None:
    @builtin(f"crypto.{algorithm}", "string -> string")
    def digest(text: str) -> str:
        return hashlib.new(algorithm, text.encode(), usedforsecurity=False).hexdigest()


def _mac(algorithm: str) -> None:
    @builtin(f"crypto.hmac.{algorithm}", "string, string -> string")
    def digest(text: str, key: str) -> str:
        return hmac.new(key.encode(), text.encode(), algorithm).hexdigest()


for _name in ("md5", "sha1", "sha256"):
    _hash(_name)
for _name in ("md5", "sha1", "sha256", "sha512"):
    _mac(_name)


@builtin("crypto.hmac.equal", "string, string -> boolean")
def _hmac_equal(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(), right.encode())


@builtin("uuid.rfc4122", "string -> string", context=True)
def _uuid4(ctx: Context, seed: str) -> str:
    import uuid

    return str(ctx.session.memory.setdefault(("uuid", seed), str(uuid.uuid4())))


@builtin("uuid.parse", "string -> object")
def _uuid_parse(text: str) -> Any:
    if not _UUID.match(text):
        return UNDEFINED
    # Of the form in braces only what is between them is looked at, as google/uuid does.
    inner = text[1:-1] if len(text) == _BRACED else text[-36:]
    data = bytes.fromhex(inner.replace("-", ""))
    version, high = data[6] >> 4, data[8]
    if high & 0xC0 == 0x80:
        variant = "RFC4122"
    elif high & 0xE0 == 0xC0:
        variant = "Microsoft"
    else:
        variant = "Future" if high & 0xE0 == 0xE0 else "Reserved"
    found: dict[str, Any] = {"version": version, "variant": variant}
    if version in {1, 2}:
        ticks = int.from_bytes(data[:4]) | int.from_bytes(data[4:6]) << 32 | (int.from_bytes(data[6:8]) & 0xFFF) << 48
        found["time"] = (ticks - _EPOCH_100NS) * 100
        found["nodeid"] = data[10:].hex("-")
        scope = "local" if data[10] & 2 else "global"
        found["macvariables"] = f"{scope}:{'multicast' if data[10] & 1 else 'unicast'}"
        found["clocksequence"] = int.from_bytes(data[8:10]) & 0x3FFF
    if version == 2:
        found["id"] = int.from_bytes(data[:4])
        domains = {0: "Person", 1: "Group", 2: "Org"}
        found["domain"] = domains.get(data[9], f"Domain{data[9]}")
    return found
