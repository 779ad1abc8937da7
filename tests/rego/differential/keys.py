"""Keys, certificates and tokens that are the same in each run: made from fixed numbers, signed without randomness."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
import random
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

SECRET = "a secret of 32 bytes and no more"
_CLAIMS: tuple[dict[str, object], ...] = (
    {"iss": "me", "aud": "you", "exp": 4_000_000_000, "nbf": 1, "sub": "jane"},
    {"iss": "me", "aud": ["you", "them"], "exp": 1},
    {"nbf": 4_000_000_000.5},
    {"exp": "soon", "aud": 7},
    {},
)  # fmt: skip


@dataclass(frozen=True)
class Material:
    """Texts for the operands of the cryptographic built-ins."""

    private: tuple[str, ...]
    public: tuple[str, ...]
    certificates: tuple[str, ...]
    requests: tuple[str, ...]
    tokens: tuple[str, ...]
    jwks: tuple[str, ...]


def _prime(seed: str, bits: int) -> int:
    """The first probable prime at or after a number drawn from a seed."""
    source = random.Random(seed)
    candidate = source.getrandbits(bits) | 1 | 3 << bits - 2
    while any(pow(base, candidate - 1, candidate) != 1 for base in (2, 3, 5, 7)):
        candidate += 2
    return candidate


def _rsa() -> rsa.RSAPrivateKey:
    p, q, e = _prime("p", 1024), _prime("q", 1024), 65537
    d = pow(e, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(e, p * q)
    return rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public).private_key()


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _signed(header: dict[str, object], claims: dict[str, object], sign: object) -> str:
    body = f"{_b64(json.dumps(header).encode())}.{_b64(json.dumps(claims).encode())}"
    return f"{body}.{_b64(sign(body.encode()))}" if callable(sign) else body


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> tuple[str, ...]:
    """The private key as PKCS#8 and, where it has one, in its traditional form."""
    forms = [serialization.PrivateFormat.PKCS8]
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        forms.append(serialization.PrivateFormat.TraditionalOpenSSL)
    plain = serialization.NoEncryption()
    return tuple(key.private_bytes(serialization.Encoding.PEM, form, plain).decode() for form in forms)


def _name(common: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Org"), x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )


def _certificate(
    common: str,
    issuer: str,
    public: rsa.RSAPublicKey | ed25519.Ed25519PublicKey,
    signer: rsa.RSAPrivateKey,
    *,
    ca: bool,
) -> str:
    names = x509.SubjectAlternativeName([x509.DNSName(f"{common}.example"), x509.RFC822Name("a@b.example")])
    made = (
        x509.CertificateBuilder(_name(issuer), _name(common), public, 7 if ca else 2**80)
        .not_valid_before(datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(2120, 1, 2, tzinfo=datetime.UTC))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=1 if ca else None), critical=True)
        .add_extension(names, critical=False)
        .sign(signer, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def _ecdsa(key: ec.EllipticCurvePrivateKey, body: bytes) -> bytes:
    signature = key.sign(body, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    return b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(signature))


@lru_cache(maxsize=1)
def material() -> Material:
    """All of it, made once."""
    big, curve = _rsa(), ec.derive_private_key(987654321, ec.SECP256R1())
    edwards = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = tuple(
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
        for key in (big, curve, edwards)
    )
    root = _certificate("root", "root", big.public_key(), big, ca=True)
    leaf = _certificate("leaf", "root", edwards.public_key(), big, ca=False)
    request = x509.CertificateSigningRequestBuilder(_name("asked")).sign(big, hashes.SHA256())
    raw = edwards.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    numbers = curve.public_key().public_numbers()
    jwks = (
        json.dumps({"kty": "oct", "k": _b64(SECRET.encode())}),
        json.dumps({"kty": "OKP", "crv": "Ed25519", "x": _b64(raw)}),
        json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "x": _b64(numbers.x.to_bytes(32, "big")),
                              "y": _b64(numbers.y.to_bytes(32, "big"))}]}),
    )  # fmt: skip
    signers = (
        ("HS256", lambda body: hmac.digest(SECRET.encode(), body, hashlib.sha256)),
        ("HS512", lambda body: hmac.digest(SECRET.encode(), body, hashlib.sha512)),
        ("RS256", lambda body: big.sign(body, padding.PKCS1v15(), hashes.SHA256())),
        ("ES256", lambda body: _ecdsa(curve, body)),
        ("EdDSA", edwards.sign),
        ("none", lambda _: b""),
    )
    tokens = [_signed({"alg": name, "typ": "JWT"}, claims, sign) for name, sign in signers for claims in _CLAIMS]
    tokens += [_signed({"alg": "ES256", "kid": "k"}, {}, signers[3][1]), tokens[0][:-2] + "AA", "a.b.c", "a.b", ""]
    tokens += [
        _signed({"alg": "HS256", "crit": ["x"]}, {}, signers[0][1]),
        _b64(b"[1]") + ".e30.",
        "e30.e30.",
        "e30.W10.",
    ]
    der = base64.b64encode(x509.load_pem_x509_certificate(leaf.encode()).public_bytes(serialization.Encoding.DER))
    return Material(
        private=(
            *_pem(big),
            *_pem(curve),
            *_pem(edwards),
            "",
            "-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----",
        ),
        public=public,
        certificates=(root, leaf, root + leaf, leaf + root, der.decode(), "", "bm90aGluZw==", leaf[:200]),
        requests=(request.public_bytes(serialization.Encoding.PEM).decode(), "", leaf),
        tokens=tuple(tokens),
        jwks=jwks,
    )
