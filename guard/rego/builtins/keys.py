"""Keys and signatures of JSON Web Tokens: PEM (RFC 7468) and JWK (RFC 7517) to keys of ``cryptography``, and the
algorithms of RFC 7518 and RFC 8037. Imported when the first token is verified or signed.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from guard.rego.runtime import BuiltinFailure

from .encoding import decode_base64, parse_json
from .pem import first_block

MAX_PUBLIC_BITS = 8192
MAX_PRIVATE_BITS = 4096
_MAX_KEYS = 100
_HASHES: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
_CURVES: dict[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
_SIGNING_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
ALGORITHMS = frozenset(f"{family}{bits}" for family in ("HS", "RS", "PS", "ES") for bits in _HASHES) | {"EdDSA"}


@dataclass(frozen=True, slots=True)
class Key:
    """A key with what its JWK says of it: bytes for HMAC, else a key of ``cryptography``."""

    key: Any
    alg: str = ""
    kid: str = ""


def load_keys(text: str) -> list[Key]:
    """The keys of a PEM certificate, a PEM public key, a JWK or a set of them. Raises BuiltinFailure."""
    block = first_block(text)
    if block is None:
        return [key for key in jwk_set(text) if not key.alg or key.alg in ALGORITHMS]
    label, data, end = block
    if end < len(text):
        raise BuiltinFailure("extra data after a PEM certificate block")
    try:
        if label == "CERTIFICATE":
            return [Key(bounded(x509.load_der_x509_certificate(data).public_key()))]
        if label == "PUBLIC KEY":
            return [Key(bounded(serialization.load_der_public_key(data)))]
    except (ValueError, UnsupportedAlgorithm) as error:
        what = "certificate" if label == "CERTIFICATE" else "public key"
        raise BuiltinFailure(f"failed to parse a PEM {what}: {error}") from None
    raise BuiltinFailure("failed to extract a Key from the PEM certificate")


def bounded(key: Any) -> Any:
    """The key, unless it is so large that using it takes noticeable time. Raises BuiltinFailure."""
    size = getattr(key, "key_size", 0)
    most = MAX_PRIVATE_BITS if isinstance(key, rsa.RSAPrivateKey) else MAX_PUBLIC_BITS
    if size > most:
        raise BuiltinFailure(f"key of {size} bits is larger than {most} bits")
    return key


# -- JWK ---------------------------------------------------------------------------------------------------------------


def jwk_set(text: str) -> list[Key]:
    """The keys of a JWK or a JWK set. Raises BuiltinFailure."""
    try:
        found = parse_json(text)
    except BuiltinFailure as failure:
        raise _bad_jwk(failure.message) from None
    if type(found) is not dict:
        raise _bad_jwk("not a JSON object")
    members = found.get("keys", [found])
    if type(members) is not list or len(members) > _MAX_KEYS:
        raise _bad_jwk(f"keys must be an array of at most {_MAX_KEYS}")
    return [_jwk(member) for member in members]


def _bad_jwk(why: str) -> BuiltinFailure:
    return BuiltinFailure(f"failed to parse a JWK key (set): {why}")


def _jwk(member: Any) -> Key:
    if type(member) is not dict:
        raise _bad_jwk("a key must be an object")
    readers = {"RSA": _rsa, "EC": _ec, "OKP": _okp, "oct": _oct}
    kind = member.get("kty")
    if type(kind) is not str or kind not in readers:
        raise _bad_jwk(f"invalid key type {kind!r}")
    try:
        key = readers[kind](member)
    except (ValueError, UnsupportedAlgorithm, OverflowError) as error:
        raise _bad_jwk(str(error)) from None
    alg, kid = member.get("alg", ""), member.get("kid", "")
    if type(alg) is not str or type(kid) is not str:
        raise _bad_jwk("alg and kid must be strings")
    return Key(key, alg, kid)


def _bytes(member: dict[Any, Any], name: str) -> bytes:
    text = member.get(name)
    if type(text) is not str or not text:
        raise _bad_jwk(f"required field {name} is missing")
    return decode_base64(text, url=True)


def _int(member: dict[Any, Any], name: str, most: int = MAX_PUBLIC_BITS) -> int:
    data = _bytes(member, name)
    if len(data) * 8 > most:
        raise _bad_jwk(f"field {name} is larger than {most} bits")
    return int.from_bytes(data)


def _rsa(member: dict[Any, Any]) -> Any:
    if "d" not in member:
        return rsa.RSAPublicNumbers(_int(member, "e", 64), _int(member, "n")).public_key()
    public = rsa.RSAPublicNumbers(_int(member, "e", 64), _int(member, "n", MAX_PRIVATE_BITS))
    d, p, q = (_int(member, name, MAX_PRIVATE_BITS) for name in "dpq")
    if not (p > 1 and q > 1 and d > 1):
        raise _bad_jwk("RSA factors are too small")
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), rsa.rsa_crt_iqmp(p, q), public)
    return numbers.private_key()


def _ec(member: dict[Any, Any]) -> Any:
    curve = _CURVES.get(str(member.get("crv")))
    if curve is None:
        raise _bad_jwk(f"invalid curve {member.get('crv')!r}")
    public = ec.EllipticCurvePublicNumbers(_int(member, "x"), _int(member, "y"), curve)
    if "d" in member:
        return ec.EllipticCurvePrivateNumbers(_int(member, "d"), public).private_key()
    return public.public_key()


def _okp(member: dict[Any, Any]) -> Any:
    if member.get("crv") != "Ed25519":
        raise _bad_jwk(f"invalid curve {member.get('crv')!r}")
    if "d" in member:
        return ed25519.Ed25519PrivateKey.from_private_bytes(_bytes(member, "d"))
    return ed25519.Ed25519PublicKey.from_public_bytes(_bytes(member, "x"))


def _oct(member: dict[Any, Any]) -> bytes:
    return _bytes(member, "k")


# -- signatures --------------------------------------------------------------------------------------------------------


def verified(key: Any, alg: str, data: bytes, signature: bytes, *, any_salt: bool = False) -> bool:
    """Whether the signature is this key's under an algorithm of RFC 7518 or EdDSA. A key of another kind verifies
    nothing, so that a public key is never used as an HMAC secret. ``any_salt`` lets PSS salts have any length."""
    family, bits = alg[:2], alg[2:]
    try:
        if alg == "EdDSA":
            if not isinstance(key, ed25519.Ed25519PublicKey):
                return False
            key.verify(signature, data)
        elif alg not in ALGORITHMS:
            return False
        elif family == "HS":
            return isinstance(key, bytes) and hmac.compare_digest(hmac.digest(key, data, f"sha{bits}"), signature)
        elif family == "ES":
            return isinstance(key, ec.EllipticCurvePublicKey) and _verify_ecdsa(key, _HASHES[bits], data, signature)
        else:
            if not isinstance(key, rsa.RSAPublicKey):
                return False
            key.verify(signature, data, _padding(family, bits, any_salt=any_salt), _HASHES[bits])
    except InvalidSignature:
        return False
    return True


def _padding(family: str, bits: str, *, any_salt: bool) -> padding.AsymmetricPadding:
    if family == "RS":
        return padding.PKCS1v15()
    salt = padding.PSS.AUTO if any_salt else padding.PSS.DIGEST_LENGTH
    return padding.PSS(padding.MGF1(_HASHES[bits]), salt)


def _verify_ecdsa(key: ec.EllipticCurvePublicKey, digest: hashes.HashAlgorithm, data: bytes, signature: bytes) -> bool:
    size = (key.curve.key_size + 7) // 8
    if len(signature) != 2 * size:
        return False
    r, s = int.from_bytes(signature[:size]), int.from_bytes(signature[size:])
    key.verify(encode_dss_signature(r, s), data, ec.ECDSA(digest))
    return True


def sign(key: Any, alg: str, data: bytes) -> bytes:
    """A signature under an algorithm of `ALGORITHMS`. Raises BuiltinFailure for a key of another kind."""
    family, bits = alg[:2], alg[2:]
    if alg == "EdDSA" and isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    if family == "HS" and isinstance(key, bytes):
        return hmac.digest(key, data, f"sha{bits}")
    if family in {"RS", "PS"} and isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, _padding(family, bits, any_salt=False), _HASHES[bits])
    if family == "ES" and isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == _SIGNING_CURVES[alg]:
        size = (key.curve.key_size + 7) // 8
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(_HASHES[bits])))
        return r.to_bytes(size) + s.to_bytes(size)
    raise BuiltinFailure(f"key is not usable with {alg}")
