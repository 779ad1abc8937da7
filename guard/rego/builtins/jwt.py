"""io.jwt.*: tokens in compact form (RFC 7519), decoded, and verified against shared secrets."""

from __future__ import annotations

import hmac
from typing import Any

from guard.rego.runtime import BuiltinFailure

from .encoding import decode_base64, parse_json, text_of
from .registry import builtin


def sections(token: str) -> tuple[str, str, str]:
    """Header, payload and signature as they stand in a token."""
    parts = token.split(".")
    if len(parts) == 1:
        raise BuiltinFailure("encoded JWT had no period separators")
    if len(parts) != 3:
        raise BuiltinFailure(f"encoded JWT must have 3 sections, found {len(parts)}")
    return parts[0], parts[1], parts[2]


def _section(text: str, name: str) -> bytes:
    try:
        return decode_base64(text, url=True)
    except BuiltinFailure as failure:
        raise BuiltinFailure(f"JWT {name} had invalid encoding: {failure.message}") from None


@builtin("io.jwt.decode", "string -> array")
def _decode(token: str) -> list[Any]:
    head, body, signature = sections(token)
    header = parse_json(text_of(_section(head, "header")))
    if type(header) is not dict:
        raise BuiltinFailure("JWT header is not an object")
    if "enc" in header:
        raise BuiltinFailure("JWT is a JWE object, which is not supported")
    payload_text = text_of(_section(body, "payload"))
    if str(header.get("cty", "")).lower() == "jwt":
        inner: list[Any] = _decode(payload_text.strip('"'))
        return inner
    try:
        payload = parse_json(payload_text)
    except BuiltinFailure:
        raise BuiltinFailure("type is JWT but payload is not JSON") from None
    if type(payload) is not dict:
        raise BuiltinFailure("type is JWT but payload is not JSON")
    return [header, payload, _section(signature, "signature").hex()]


def _verify(bits: str) -> None:
    @builtin(f"io.jwt.verify_hs{bits}", "string, string -> boolean")
    def verify(token: str, secret: str) -> bool:
        head, body, signature = sections(token)
        expected = hmac.new(secret.encode(), f"{head}.{body}".encode(), f"sha{bits}").digest()
        return hmac.compare_digest(expected, _section(signature, "signature"))


for _bits in ("256", "384", "512"):
    _verify(_bits)
