"""io.jwt.encode_sign and encode_sign_raw: tokens in compact form (RFC 7515 section 7.1)."""

from __future__ import annotations

import base64
import re
from typing import Any

from guard.rego.runtime import BuiltinFailure, Context
from guard.rego.show import compact, to_json

from .encoding import parse_json
from .registry import builtin

_NUMBERLIKE = re.compile(r"[-+.eE0-9]+\Z")
_COST = 2000


@builtin("io.jwt.encode_sign", "object, object, object -> string", context=True, deep=True, lenient=True)
def _encode_sign(ctx: Context, headers: Any, payload: Any, key: Any) -> str:
    texts = [compact(to_json(each, exact=True)) for each in (headers, payload, key)]
    return _signed(ctx, *texts)


@builtin("io.jwt.encode_sign_raw", "string, string, string -> string", context=True)
def _encode_sign_raw(ctx: Context, headers: str, payload: str, key: str) -> str:
    return _signed(ctx, headers, payload, key)


def _signed(ctx: Context, headers: str, payload: str, key: str) -> str:
    from .keys import ALGORITHMS, jwk_set, sign

    ctx.budget.charge(_COST)
    keys = jwk_set(key)
    if not keys:
        raise BuiltinFailure("no keys found in JWK set")
    parsed = _headers(headers)
    alg = parsed.get("alg")
    if type(alg) is not str:
        raise BuiltinFailure("missing or invalid 'alg' header: jwsbb: header \"alg\" not found")
    if alg not in ALGORITHMS:
        raise BuiltinFailure(f"unknown JWS algorithm: {alg}")
    if parsed.get("typ", "JWT") == "JWT" and not _is_json(payload):
        raise BuiltinFailure("type is JWT but payload is not JSON")
    data = f"{_base64url(headers.encode())}.{_base64url(payload.encode())}"
    return f"{data}.{_base64url(sign(keys[0].key, alg, data.encode()))}"


def _headers(text: str) -> dict[Any, Any]:
    """The header object; no object (a number, read leniently, included) has no ``alg``."""
    if not text:
        raise BuiltinFailure("missing or invalid 'alg' header: cannot parse JSON: cannot parse empty string")
    if _NUMBERLIKE.match(text):
        return {}
    try:
        found = parse_json(text)
    except BuiltinFailure as failure:
        raise BuiltinFailure(f"missing or invalid 'alg' header: cannot parse JSON: {failure.message}") from None
    return found if type(found) is dict else {}


def _is_json(text: str) -> bool:
    try:
        parse_json(text)
    except BuiltinFailure:
        return False
    return True


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
