"""io.jwt.decode_verify: signature and claims of a token against constraints (RFC 7519 section 7.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from guard.rego.runtime import BuiltinFailure, Context
from guard.rego.values import NUMBERS, compare_numbers, sorted_keys

from .encoding import text_of
from .jwt import any_verifies, check_header, header_of, payload_of, section, sections
from .registry import builtin

_STRINGS = ("alg", "aud", "iss", "secret")
_SECOND = 1_000_000_000


@dataclass(slots=True)
class _Constraints:
    """What a caller requires of a token; ``time`` is in nanoseconds."""

    time: float
    keys: list[Any] | None = None
    strings: dict[str, str] = field(default_factory=dict)


@builtin("io.jwt.decode_verify", "string, object -> array", context=True)
def _decode_verify(ctx: Context, token: str, options: dict[Any, Any]) -> list[Any]:
    wanted = _constraints(options, ctx.session.now_ns)
    unverified = [False, {}, {}]
    while True:
        head, body, signature = sections(token)
        header = header_of(head)
        check_header(header)
        if not _acceptable(header, wanted.strings.get("alg", "")):
            return unverified
        if not _signed(wanted, header, f"{head}.{body}".encode(), section(signature, "signature")):
            return unverified
        if header.get("cty", "").lower() != "jwt":
            break
        token = text_of(section(body, "payload"))
    payload = payload_of(body)
    return [True, header, payload] if _claims_hold(payload, wanted) else unverified


def _constraints(options: dict[Any, Any], now_ns: int) -> _Constraints:
    found = _Constraints(float(now_ns))
    for name in sorted_keys(options):
        value = options[name]
        if name in _STRINGS:
            if type(value) is not str:
                raise BuiltinFailure(f"{name} constraint: must be a string")
            found.strings[name] = value
        elif name == "cert":
            found.keys = _certificate(value)
        elif name == "time":
            found.time = _time(value)
        else:
            raise BuiltinFailure(f"unknown token validation constraint: {name}")
    given = (found.keys is not None) + bool(found.strings.get("secret"))
    if given != 1:
        raise BuiltinFailure("duplicate key constraints" if given else "no key constraint")
    return found


def _certificate(value: Any) -> list[Any]:
    from .keys import load_keys

    if type(value) is not str:
        raise BuiltinFailure("cert constraint: must be a string")
    return load_keys(value)


def _time(value: Any) -> float:
    if type(value) not in NUMBERS:
        raise BuiltinFailure("token time constraint: must be a number")
    if value < 0:
        raise BuiltinFailure("token time constraint: must not be negative")
    return float(value)


def _acceptable(header: dict[Any, Any], alg: str) -> bool:
    """Whether the header has an algorithm, the wanted one, and no critical parameter that is not understood."""
    found = header.get("alg", "")
    known = {"alg", "kid", "typ", "cty", "crit"}
    unknown_critical = any(name in header and name not in known for name in header.get("crit", ()) if type(name) is str)
    return bool(found) and not unknown_critical and alg in {"", found}


def _signed(wanted: _Constraints, header: dict[Any, Any], data: bytes, signature: bytes) -> bool:
    from .keys import verified

    alg = header["alg"]
    if wanted.keys is not None:
        return any_verifies(wanted.keys, header, alg, data, signature, any_salt=False)
    return verified(wanted.strings["secret"].encode(), alg, data, signature)


def _claims_hold(payload: dict[Any, Any], wanted: _Constraints) -> bool:
    """iss, aud, exp and nbf (RFC 7519 section 4.1). Raises BuiltinFailure for a time that is no number."""
    iss, aud = wanted.strings.get("iss", ""), wanted.strings.get("aud", "")
    if iss and payload.get("iss") != iss:
        return False
    if "aud" in payload or aud:
        claimed = payload.get("aud")
        if aud not in (claimed if type(claimed) is list else [claimed]):
            return False
    now = wanted.time / _SECOND
    for name in ("exp", "nbf"):
        if name in payload and type(payload[name]) not in NUMBERS:
            raise BuiltinFailure(f"{name} value must be a number")
    if "exp" in payload and compare_numbers(now, payload["exp"]) >= 0:
        return False
    return "nbf" not in payload or compare_numbers(now, payload["nbf"]) >= 0
