"""Signatures of bundles: ``.signatures.json`` holds one JWT that lists every file with its digest, as ``opa sign``
writes it. The key is configured, and so is the algorithm: nothing in a bundle chooses how it is verified (RFC 8725,
3.1).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry, deserialize_compact, serialize_compact

from guard.config import BundleConfig
from guard.errors import BundleUntrusted, KeyInvalid
from guard.policy.bundles.archive import place
from guard.policy.bundles.hashing import DIGESTS, digest, parse_json

SIGNATURES: Final = ".signatures.json"
MIN_RSA_BITS: Final = 2048
MIN_SECRET_BYTES: Final = 32
"""RFC 7518, 3.2 and 3.3."""

# How OPA calls signatures that are no plugin's.
_OWN_PLUGIN: Final = (None, "", "_default")
_DIGEST: Final = "SHA-256"
_CURVES: Final[Mapping[str, str]] = {"secp256r1": "ES256", "secp384r1": "ES384"}
_MEND: Final = "take the bundle from whoever signs it, or correct policy.bundle.public_key_file"


class BundleKey(msgspec.Struct, frozen=True):
    """A key with the one algorithm for which it is used, the key id and the scope that a signature must have."""

    key: Any
    algorithm: str
    key_id: str | None = None
    scope: str = ""


class _Registry(JWSRegistry):
    """The pinned algorithm, found without joserfc's warning about the name EdDSA, which OPA uses."""

    max_header_length = 4096
    max_payload_length = 16 * 2**20

    def __init__(self, algorithm: str) -> None:
        super().__init__(algorithms=[algorithm], strict_check_header=False)
        self._algorithm = algorithm

    def get_alg(self, name: str) -> Any:
        if name != self._algorithm:
            raise ValueError("the algorithm is not the key's")
        return self.algorithms[name]


def key_of(config: BundleConfig) -> BundleKey | None:
    """The verification key that the configuration names; ``None`` if it names none. Raises ``KeyInvalid``."""
    if config.hmac_secret_file is not None:
        key, natural = read_secret(config.hmac_secret_file), "HS256"
    elif config.public_key_file is not None:
        key, natural = _read_public(config.public_key_file)
    else:
        return None
    return BundleKey(key, _fitting(config.algorithm, natural, config.public_key_file), config.key_id, config.scope)


def signing_key(file: Path, algorithm: str | None = None, key_id: str | None = None, scope: str = "") -> BundleKey:
    """A private key (PEM, not encrypted) or, where ``algorithm`` is one of HMAC's, a secret. Raises ``KeyInvalid``."""
    if algorithm is not None and algorithm.startswith("HS"):
        return BundleKey(read_secret(file), algorithm, key_id, scope)
    try:
        private = serialization.load_pem_private_key(_bytes(file), password=None)
    except (ValueError, TypeError):
        mend = "give a private key in PEM, without a password"
        raise KeyInvalid("this is no private key", where=str(file), mend=mend) from None
    key, natural = _typed(private, file)
    return BundleKey(key, _fitting(algorithm, natural, file), key_id, scope)


def read_secret(file: Path) -> Key:
    """An HMAC secret: the bytes of a file, without the line's end. Raises ``KeyInvalid``."""
    secret = _bytes(file).rstrip(b"\r\n")
    if len(secret) < MIN_SECRET_BYTES:
        mend = "write a longer one, for example with: openssl rand -hex 32"
        raise KeyInvalid(f"the secret is shorter than {MIN_SECRET_BYTES} bytes", where=str(file), mend=mend)
    try:
        return OctKey.import_key(secret)
    except ValueError:
        mend = "name it in public_key_file, or write a secret"
        raise KeyInvalid("this is a key in PEM, and no secret", where=str(file), mend=mend) from None


def verify(files: Mapping[str, bytes], key: BundleKey | None, label: str) -> None:
    """Hold the files of a bundle against its signature: each is signed, as it is, and no signed one is missing.

    Without a key, an unsigned bundle passes, and a signed one does not, as in OPA: whoever signs wants it to be
    verified. Raises ``BundleUntrusted``.
    """
    if key is None:
        if SIGNATURES in files:
            mend = "name the key in policy.bundle.public_key_file or hmac_secret_file"
            raise BundleUntrusted("the bundle is signed, and no key is configured", where=label, mend=mend)
        return
    if SIGNATURES not in files:
        mend = "sign it with: opa sign, or: guard policy bundle build --signing-key"
        raise BundleUntrusted("the bundle is not signed", where=label, mend=mend)
    where = place(label, SIGNATURES)
    signed = _signed_files(_payload(_token(files[SIGNATURES], where), key, where), where)
    for name in sorted(files.keys() - {SIGNATURES}):
        if name not in signed:
            raise BundleUntrusted("the file is not among those that were signed", where=place(label, name), mend=_MEND)
        _compare(name, files[name], *signed.pop(name), place(label, name))
    if signed:
        missing = place(label, min(signed))
        raise BundleUntrusted("the file was signed and is missing from the bundle", where=missing, mend=_MEND)


def sign(files: Mapping[str, bytes], key: BundleKey) -> bytes:
    """The content of ``.signatures.json`` for these files. Raises ``ValueError`` that names a structured file which
    cannot be read."""
    listed = []
    for name in sorted(files.keys() - {SIGNATURES}):
        try:
            listed.append({"name": name, "hash": digest(name, files[name], _DIGEST), "algorithm": _DIGEST})
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    payload: dict[str, Any] = {"files": listed}
    header = {"alg": key.algorithm, "typ": "JWT"}
    if key.scope:
        payload["scope"] = key.scope
    if key.key_id:
        payload["keyid"] = header["kid"] = key.key_id
    body = json.dumps(payload, separators=(",", ":"))
    token = serialize_compact(header, body, key.key, registry=_Registry(key.algorithm))
    return json.dumps({"signatures": [token]}, indent=1).encode()


def _token(content: bytes, where: str) -> str:
    try:
        held = parse_json(content)
    except (ValueError, RecursionError):
        held = None
    tokens = held.get("signatures") if isinstance(held, dict) and held.keys() <= {"signatures", "plugin"} else None
    if not isinstance(tokens, list) or len(tokens) != 1 or not isinstance(tokens[0], str):
        raise BundleUntrusted("the file does not hold exactly one JWT under signatures", where=where, mend=_MEND)
    assert isinstance(held, dict)  # noqa: S101 - it gave the tokens
    if held.get("plugin") not in _OWN_PLUGIN:
        raise BundleUntrusted("the signature is a plugin's, and plugins are not supported", where=where)
    if any(_unplain(part) for part in tokens[0].split(".")):
        raise BundleUntrusted("the JWT is not in its plain form", where=where, mend=_MEND)
    return tokens[0]


def _unplain(part: str) -> bool:
    """Whether several strings decode to the same bytes, and this is not the one that an encoder writes."""
    try:
        decoded = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return True
    return base64.urlsafe_b64encode(decoded).rstrip(b"=") != part.encode()


def _payload(token: str, key: BundleKey, where: str) -> dict[str, Any]:
    """The claims of a JWT whose signature, key id and scope are those that are wanted."""
    try:
        signature = deserialize_compact(token, key.key, registry=_Registry(key.algorithm))
        payload = parse_json(signature.payload)
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        what = f"the signature does not verify with the configured key and {key.algorithm}"
        raise BundleUntrusted(what, where=where, mend=_MEND) from None
    if not isinstance(payload, dict):
        raise BundleUntrusted("the signature covers no list of files", where=where)
    named = signature.headers().get("kid") or payload.get("keyid")
    if key.key_id is not None and named and named != key.key_id:
        raise BundleUntrusted("the signature names another key id", where=where, mend="correct policy.bundle.key_id")
    if payload.get("scope", "") != key.scope:
        raise BundleUntrusted("the signature has another scope", where=where, mend="correct policy.bundle.scope")
    return payload


def _signed_files(payload: Mapping[str, Any], where: str) -> dict[str, tuple[str, str]]:
    """Digest and algorithm by name."""
    signed: dict[str, tuple[str, str]] = {}
    entries = payload.get("files")
    for entry in entries if isinstance(entries, list) else ():
        given = entry if isinstance(entry, dict) else {}
        fields = [given.get(name) for name in ("name", "hash", "algorithm")]
        name, found, algorithm = (field if isinstance(field, str) else "" for field in fields)
        if not name or not found or name in signed:
            raise BundleUntrusted("the signature's list of files cannot be read", where=where, mend=_MEND)
        signed[name] = (found, algorithm)
    return signed


def _compare(name: str, content: bytes, wanted: str, algorithm: str, where: str) -> None:
    if algorithm not in DIGESTS:
        mend = f"sign the bundle again with {_DIGEST}"
        raise BundleUntrusted("the file is signed with a digest that is not supported", where=where, mend=mend)
    try:
        found = digest(name, content, algorithm)
    except ValueError as error:
        raise BundleUntrusted(f"the file cannot be read as it was signed: {error}", where=where) from None
    if not hmac.compare_digest(found, wanted):
        raise BundleUntrusted("the file is not the one that was signed", where=where, mend=_MEND)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise KeyInvalid(f"the key cannot be read: {error.strerror}", where=str(file)) from None


def _read_public(file: Path) -> tuple[Key, str]:
    data = _bytes(file)
    if b"PRIVATE KEY-----" in data:
        mend = "give the public half only: openssl pkey -in KEY -pubout"
        raise KeyInvalid("this is a private key, with which bundles could be signed", where=str(file), mend=mend)
    try:
        if b"-----BEGIN CERTIFICATE-----" in data:
            return _typed(x509.load_pem_x509_certificate(data).public_key(), file)
        return _typed(serialization.load_pem_public_key(data), file)
    except ValueError:
        mend = "give a public key or a certificate in PEM"
        raise KeyInvalid("this is no public key", where=str(file), mend=mend) from None


def _typed(key: Any, file: Path) -> tuple[Key, str]:
    """The key as joserfc takes it, and the algorithm that it has by nature."""
    if isinstance(key, (rsa.RSAPublicKey, rsa.RSAPrivateKey)):
        if key.key_size < MIN_RSA_BITS:
            raise KeyInvalid(f"the RSA key is shorter than {MIN_RSA_BITS} bits", where=str(file))
        return RSAKey.import_key(_pem(key)), "RS256"
    if isinstance(key, (ec.EllipticCurvePublicKey, ec.EllipticCurvePrivateKey)) and key.curve.name in _CURVES:
        return ECKey.import_key(_pem(key)), _CURVES[key.curve.name]
    if isinstance(key, (ed25519.Ed25519PublicKey, ed25519.Ed25519PrivateKey)):
        return OKPKey.import_key(_pem(key)), "EdDSA"
    raise KeyInvalid("the key is of a kind that is not supported", where=str(file), mend="use RSA, P-256 or Ed25519")


def _pem(key: Any) -> bytes:
    pem = serialization.Encoding.PEM
    if hasattr(key, "private_bytes"):
        plain = serialization.NoEncryption()
        return bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return bytes(key.public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))


def _fitting(wanted: str | None, natural: str, file: Path | None) -> str:
    """The algorithm for a key. Raises ``KeyInvalid`` if the configured one is another kind of key's."""
    if wanted is None:
        return natural
    fits = wanted == natural or (natural == "RS256" and wanted[:2] in {"RS", "PS"}) or natural[:2] == wanted[:2] == "HS"
    if not fits:
        mend = f"use {natural}, or another key"
        raise KeyInvalid(f"the key is not one for {wanted}", where=str(file or ""), mend=mend)
    return wanted
