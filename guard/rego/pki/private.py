"""Private keys as objects: the fields of Go's key types, and JWK (RFC 7517, RFC 7518 section 6, RFC 8037)."""

from __future__ import annotations

import base64
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from guard.rego.builtins.keys import MAX_PRIVATE_BITS, bounded
from guard.rego.builtins.pem import blocks
from guard.rego.runtime import BuiltinFailure

from .describe import base64_text

_LABELS = frozenset({"RSA PRIVATE KEY", "PRIVATE KEY", "EC PRIVATE KEY"})
_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_MAX_KEYS = 20


def load(text: str) -> list[Any]:
    """The private keys of the PEM blocks of a text; blocks of other kinds are passed over. Raises BuiltinFailure."""
    found: list[Any] = []
    for label, data in blocks(text):
        if label in _LABELS:
            if len(found) >= _MAX_KEYS:
                raise BuiltinFailure(f"more than {_MAX_KEYS} private keys")
            found.append(load_one(data))
    return found


def load_one(data: bytes) -> Any:
    """One private key in PKCS #1, PKCS #8 or SEC 1. Raises BuiltinFailure."""
    if len(data) > MAX_PRIVATE_BITS:
        raise BuiltinFailure("private key is too large")
    try:
        return bounded(load_der_private_key(data, None))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BuiltinFailure(f"asn1: structure error: {error}") from None


def describe(key: Any) -> Any:
    """A key as Go shows it. Raises BuiltinFailure for a kind that it does not know."""
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        public = numbers.public_numbers
        parts = {"Dp": numbers.dmp1, "Dq": numbers.dmq1, "Qinv": numbers.iqmp, "CRTValues": []}
        return {"N": public.n, "E": public.e, "D": numbers.d, "Primes": [numbers.p, numbers.q], "Precomputed": parts}
    if isinstance(key, ec.EllipticCurvePrivateKey):
        point = key.public_key().public_numbers()
        return {"Curve": {}, "X": point.x, "Y": point.y, "D": key.private_numbers().private_value}
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return base64_text(key.private_bytes_raw() + key.public_key().public_bytes_raw())
    raise BuiltinFailure("x509: unknown private key type")


def to_jwk(key: Any) -> dict[str, str]:
    """A key as a JWK. Raises BuiltinFailure for a kind that has none here."""
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        public = numbers.public_numbers
        values = {"n": public.n, "e": public.e, "d": numbers.d, "p": numbers.p, "q": numbers.q}
        values |= {"dp": numbers.dmp1, "dq": numbers.dmq1, "qi": numbers.iqmp}
        return {"kty": "RSA", **{name: _number(value) for name, value in values.items()}}
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        size = (key.curve.key_size + 7) // 8
        point = key.public_key().public_numbers()
        values = {"x": point.x, "y": point.y, "d": key.private_numbers().private_value}
        texts = {name: _number(value, size) for name, value in values.items()}
        return {"kty": "EC", "crv": _CURVES[key.curve.name], **texts}
    if isinstance(key, ed25519.Ed25519PrivateKey):
        public_key, private = key.public_key().public_bytes_raw(), key.private_bytes_raw()
        return {"kty": "OKP", "crv": "Ed25519", "x": _base64url(public_key), "d": _base64url(private)}
    raise BuiltinFailure("x509: unknown private key type")


def _number(value: int, size: int = 0) -> str:
    return _base64url(value.to_bytes(size or (value.bit_length() + 7) // 8))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
