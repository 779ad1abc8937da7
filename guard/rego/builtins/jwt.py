"""io.jwt.*: JSON Web Tokens in compact form (RFC 7515, RFC 7519), decoded, and their signatures verified."""

from __future__ import annotations

import hmac
from typing import Any

from guard.rego.runtime import BuiltinFailure

from .encoding import decode_base64, parse_json, text_of
from .registry import builtin

_HEADER_STRINGS = ("alg", "kid", "typ", "cty")
_ASYMMETRIC = [f"{family}{bits}" for family in ("RS", "PS", "ES") for bits in (256, 384, 512)]


def sections(token: str) -> tuple[str, str, str]:
    """Header, payload and signature as they stand in a token."""
    parts = token.split(".")
    if len(parts) == 1:
        raise BuiltinFailure("encoded JWT had no period separators")
    if len(parts) != 3:
        raise BuiltinFailure(f"encoded JWT must have 3 sections, found {len(parts)}")
    return parts[0], parts[1], parts[2]


def section(text: str, name: str) -> bytes:
    """The bytes of one section. Raises BuiltinFailure."""
    try:
        return decode_base64(text, url=True)
    except BuiltinFailure as failure:
        raise BuiltinFailure(f"JWT {name} had invalid encoding: {failure.message}") from None


def _json_object(data: bytes) -> dict[Any, Any]:
    try:
        found = parse_json(text_of(data))
    except BuiltinFailure as failure:
        raise BuiltinFailure(f"invalid JSON: {failure.message}") from None
    if type(found) is not dict:
        raise BuiltinFailure("decoded JSON type was not an Object")
    return found


def header_of(text: str) -> dict[Any, Any]:
    """The header, which must be that of a JWS. Raises BuiltinFailure."""
    data = section(text, "header")
    try:
        header = _json_object(data)
    except BuiltinFailure as failure:
        raise BuiltinFailure(f"bad JWT header: {failure.message}") from None
    if "enc" in header:
        raise BuiltinFailure("JWT is a JWE object, which is not supported")
    return header


def payload_of(text: str) -> dict[Any, Any]:
    """The claims. Raises BuiltinFailure."""
    return _json_object(section(text, "payload"))


def check_header(header: dict[Any, Any]) -> None:
    """The types of the parameters that verification reads. Raises BuiltinFailure."""
    for name in _HEADER_STRINGS:
        if type(header.get(name, "")) is not str:
            raise BuiltinFailure(f"{name}: must be a string")
    if "crit" in header:
        if type(header["crit"]) is not list:
            raise BuiltinFailure("crit: must be a list")
        if not any(type(each) is str for each in header["crit"]):
            raise BuiltinFailure("crit: must be a nonempty list")


@builtin("io.jwt.decode", "string -> array")
def _decode(token: str) -> list[Any]:
    head, body, signature = sections(token)
    header = header_of(head)
    if str(header.get("cty", "")) == "JWT":
        inner: list[Any] = _decode(text_of(section(body, "payload")).strip("\"'"))
        return inner
    return [header, payload_of(body), section(signature, "signature").hex()]


def _verify_hmac(bits: str) -> None:
    @builtin(f"io.jwt.verify_hs{bits}", "string, string -> boolean")
    def verify(token: str, secret: str) -> bool:
        head, body, signature = sections(token)
        expected = hmac.new(secret.encode(), f"{head}.{body}".encode(), f"sha{bits}").digest()
        return hmac.compare_digest(expected, section(signature, "signature"))


def _verify(name: str, alg: str) -> None:
    @builtin(f"io.jwt.verify_{name}", "string, string -> boolean")
    def verify(token: str, certificate: str) -> bool:
        from .keys import load_keys

        head, body, signature = sections(token)
        keys = load_keys(certificate)
        given = section(signature, "signature")
        header = header_of(head)
        check_header(header)
        return any_verifies(keys, header, alg, f"{head}.{body}".encode(), given, any_salt=True)


def any_verifies(
    keys: list[Any], header: dict[Any, Any], alg: str, data: bytes, signature: bytes, *, any_salt: bool
) -> bool:
    """Whether the key that the header names, or else any that may be used with its algorithm, verifies."""
    from .keys import verified

    named = header.get("kid")
    for key in keys:
        if named and key.kid == named:
            return verified(key.key, alg, data, signature, any_salt=any_salt)
    usable = [key for key in keys if not key.alg or key.alg == header.get("alg")]
    return any(verified(key.key, alg, data, signature, any_salt=any_salt) for key in usable)


for _bits in ("256", "384", "512"):
    _verify_hmac(_bits)
for _alg in _ASYMMETRIC:
    _verify(_alg.lower(), _alg)
_verify("eddsa", "EdDSA")
