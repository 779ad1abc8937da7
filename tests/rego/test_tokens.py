"""io.jwt.* and crypto.x509.*: signatures, claims, chains, and keys that must not be believed."""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from guard import rego

U = rego.UNDEFINED
SECRET_JWK = {"kty": "oct", "k": base64.urlsafe_b64encode(b"s" * 32).decode().rstrip("=")}
RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())


def answer(call: str, value: Any = None) -> Any:
    """What a built-in answers."""
    return rego.compile({"t.rego": f"package t\np := {call}\n"}).eval("data.t.p", value)


def pem(key: Any) -> str:
    """The public half of a key."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    text: str = key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()
    return text


def private_pem(key: Any) -> str:
    """A private key in PKCS #8."""
    none = serialization.NoEncryption()
    text: str = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, none).decode()
    return text


def jwk(key: Any) -> Any:
    """A private key as a JWK, by our own built-in."""
    return answer("crypto.x509.parse_rsa_private_key(input)", private_pem(key))


def token(key: Any, alg: str, claims: dict[str, Any], **header: Any) -> str:
    """A signed token."""
    call = "io.jwt.encode_sign(input.header, input.claims, input.key)"
    found = answer(call, {"header": {"alg": alg, **header}, "claims": claims, "key": key})
    assert isinstance(found, str)
    return found


def decode_verify(text: str, **constraints: Any) -> Any:
    """``io.jwt.decode_verify``."""
    return answer("io.jwt.decode_verify(input.t, input.c)", {"t": text, "c": constraints})


@pytest.mark.parametrize("alg", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256"])
def test_what_one_key_signs_its_public_half_verifies_and_no_other(alg: str) -> None:
    """Round trip through ``encode_sign``, the function of the algorithm, and ``decode_verify``."""
    key = EC if alg == "ES256" else RSA
    text = token(jwk(key), alg, {"sub": "a"})
    assert decode_verify(text, cert=pem(key)) == [True, {"alg": alg}, {"sub": "a"}]
    call = f"io.jwt.verify_{alg.lower()}(input.t, input.k)"
    assert answer(call, {"t": text, "k": pem(key)}) is True
    other = OTHER_RSA if key is RSA else ec.generate_private_key(ec.SECP256R1())
    assert answer(call, {"t": text, "k": pem(other)}) is False
    assert decode_verify(text, cert=pem(other)) == [False, {}, {}]


def test_a_public_key_is_never_an_hmac_secret() -> None:
    """The algorithm confusion attack: HS256 over the text of a public key."""
    public = pem(RSA)
    forged = token({"kty": "oct", "k": base64.urlsafe_b64encode(public.encode()).decode()}, "HS256", {"admin": True})
    assert decode_verify(forged, cert=public) == [False, {}, {}]
    assert answer("io.jwt.verify_rs256(input.t, input.k)", {"t": forged, "k": public}) is False


@pytest.mark.parametrize(
    ("claims", "constraints", "valid"),
    [
        ({"exp": 2000}, {"time": 1_999_000_000_000}, True),
        ({"exp": 2000}, {"time": 2_000_000_000_000}, False),
        ({"nbf": 2000}, {"time": 2_000_000_000_000}, True),
        ({"nbf": 2000}, {"time": 1_999_999_999_999}, False),
        ({"iss": "a"}, {"iss": "a"}, True),
        ({"iss": ["a"]}, {"iss": "a"}, False),
        ({}, {"iss": "a"}, False),
        ({"aud": ["x", "y"]}, {"aud": "y"}, True),
        ({"aud": "x"}, {}, False),
        ({}, {"aud": "x"}, False),
        ({}, {"alg": "HS512"}, False),
    ],
)
def test_claims_are_held_against_the_constraints(
    claims: dict[str, Any], constraints: dict[str, Any], valid: bool
) -> None:
    """``exp`` is exclusive, nbf inclusive; an audience that nobody asked for is refused (RFC 7519 section 4.1)."""
    found = decode_verify(token(SECRET_JWK, "HS256", claims), secret="s" * 32, **constraints)
    assert found == ([True, {"alg": "HS256"}, claims] if valid else [False, {}, {}])


def test_alg_none_and_unknown_critical_headers_are_refused() -> None:
    """``alg: none`` has no signature; ``crit`` names what a verifier must understand (RFC 7515 section 4.1.11)."""
    head = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    assert decode_verify(f"{head}.e30.", secret="x") == [False, {}, {}]
    text = token(SECRET_JWK, "HS256", {}, crit=["b64"], b64=False)
    assert decode_verify(text, secret="s" * 32) == [False, {}, {}]


@pytest.mark.parametrize(
    "constraints",
    [{}, {"secret": "a", "cert": "{}"}, {"secret": "a", "other": 1}, {"cert": "junk"}, {"secret": "a", "time": -1}],
)
def test_constraints_that_make_no_sense_are_failures(constraints: dict[str, Any]) -> None:
    """No key, two keys, unknown names, unreadable certificates, negative times."""
    assert decode_verify(token(SECRET_JWK, "HS256", {}), **constraints) is U


def test_keys_that_are_too_large_are_refused() -> None:
    """A modulus of 80,000 bits would take seconds to use."""
    keys = {"keys": [{"kty": "RSA", "n": "A" * 14_000, "e": "AQAB"}]}
    text = token(SECRET_JWK, "HS256", {})
    assert answer("io.jwt.verify_rs256(input.t, input.k)", {"t": text, "k": json.dumps(keys)}) is U


# -- certificates ------------------------------------------------------------------------------------------------------


def certificate(name: str, key: Any, issuer: str, signer: Any, *, ca: bool, san: str = "") -> str:
    """A certificate in PEM, valid for a century."""
    begin = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=36500))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if san:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(san)]), critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


ROOT = certificate("root", EC, "root", EC, ca=True)
LEAF_KEY = ec.generate_private_key(ec.SECP256R1())
LEAF = certificate("leaf", LEAF_KEY, "root", EC, ca=False, san="a.example.com")


def verified(text: str, **options: Any) -> Any:
    """Whether a chain is valid, and whose certificates it holds."""
    call = "crypto.x509.parse_and_verify_certificates_with_options(input.c, input.o)"
    valid, chain = answer(call, {"c": text, "o": options})
    return valid, [each["Subject"]["CommonName"] for each in chain]


def test_a_chain_goes_from_the_leaf_to_the_root() -> None:
    """The first certificate is trusted; the chain is given leaf first."""
    assert verified(ROOT + LEAF) == (True, ["leaf", "root"])
    assert verified(ROOT + LEAF, DNSName="a.example.com") == (True, ["leaf", "root"])


def test_chains_that_must_not_be_believed() -> None:
    """Another name, another time, another usage, another signer, a signer that is no authority."""
    assert verified(ROOT + LEAF, DNSName="b.example.com") == (False, [])
    assert verified(ROOT + LEAF, CurrentTime=0) == (False, [])
    other = certificate("root", LEAF_KEY, "root", LEAF_KEY, ca=True)
    assert verified(other + LEAF) == (False, [])
    below = certificate("below", RSA, "leaf", LEAF_KEY, ca=False)
    assert verified(ROOT + LEAF + below) == (False, [])


def test_a_certificate_is_described_as_go_describes_it() -> None:
    """Names, keys and extensions under the field names of Go's ``x509.Certificate``."""
    (found,) = answer("crypto.x509.parse_certificates(input)", LEAF)
    assert found["DNSNames"] == ["a.example.com"]
    assert (found["IsCA"], found["Version"], found["SignatureAlgorithm"]) == (False, 3, 10)
    assert found["NotBefore"] == "2024-01-01T00:00:00Z"
    assert found["PublicKey"]["X"] == LEAF_KEY.public_key().public_numbers().x
    assert found["Extensions"][0]["Id"] == [2, 5, 29, 19]
    assert answer("crypto.x509.parse_certificates(input)", "junk") is U


def test_a_key_pair_must_belong_together() -> None:
    """A certificate with another's private key is an error."""
    pair = answer("crypto.x509.parse_keypair(input.c, input.k)", {"c": LEAF, "k": private_pem(LEAF_KEY)})
    assert pair["Leaf"]["Subject"]["CommonName"] == "leaf"
    assert answer("crypto.x509.parse_keypair(input.c, input.k)", {"c": LEAF, "k": private_pem(EC)}) is U
