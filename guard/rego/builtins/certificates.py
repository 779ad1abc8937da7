"""crypto.x509.* and crypto.parse_private_keys: certificates, requests and keys, in PEM or in base64."""

from __future__ import annotations

import contextlib
import datetime as dt
import warnings
from typing import TYPE_CHECKING, Any

from guard.rego.runtime import BuiltinFailure, Context
from guard.rego.values import NUMBERS, Set, sorted_keys

from .encoding import decode_base64
from .pem import blocks, first_block
from .registry import builtin

if TYPE_CHECKING:
    from cryptography import x509

    from guard.rego.pki.chain import Options

_BYTES_PER_STEP = 8
_VERIFY_COST = 1000
_MAX_CERTIFICATES = 100
_USAGES = (
    "Any", "ServerAuth", "ClientAuth", "CodeSigning", "EmailProtection", "IPSECEndSystem", "IPSECTunnel", "IPSECUser",
    "TimeStamping", "OCSPSigning", "MicrosoftServerGatedCrypto", "NetscapeServerGatedCrypto",
    "MicrosoftCommercialCodeSigning", "MicrosoftKernelCodeSigning",
)  # fmt: skip


def _certificates(ctx: Context, text: str) -> list[x509.Certificate]:
    """The certificates of a text: PEM, base64 of PEM, or base64 of DER. Raises BuiltinFailure."""
    from cryptography import x509

    from guard.rego.pki import der

    ctx.budget.charge(len(text) // _BYTES_PER_STEP)
    data = b""
    if not text.startswith("-----BEGIN"):
        data = decode_base64(text, url=False)
        text = data.decode("latin-1")
    if text.startswith("-----BEGIN"):
        data = b""
        for label, content in blocks(text):
            if label != "CERTIFICATE":
                raise BuiltinFailure(f"PEM block type is '{label}', expected CERTIFICATE")
            data += content
    try:
        parts = der.elements(data)
        if len(parts) > _MAX_CERTIFICATES:
            raise BuiltinFailure(f"more than {_MAX_CERTIFICATES} certificates")
        found = [_load(part.raw(data)) for part in parts]
        for each in found:
            _ = each.extensions
    except (ValueError, IndexError, x509.DuplicateExtension) as error:
        raise BuiltinFailure(f"x509: malformed certificate: {error}") from None
    return found


def _load(data: bytes) -> x509.Certificate:
    """A certificate. Serial numbers below 1, of which the library warns, are read as OPA reads them."""
    from cryptography import x509

    from guard.rego.pki import der

    certificate, *_ = der.elements(data)
    body, *_ = der.children(data, certificate)
    parts = der.children(data, body)
    serial = parts[1] if parts[0].tag == der.VERSION else parts[0]
    if int.from_bytes(serial.inside(data), signed=True) > 0:
        return x509.load_der_x509_certificate(data)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Parsed a serial number")
        return x509.load_der_x509_certificate(data)


def _described(certificate: x509.Certificate, *, urls: bool = True) -> dict[str, Any]:
    from guard.rego.pki.describe import describe

    try:
        found = describe(certificate)
    except (ValueError, IndexError) as error:
        raise BuiltinFailure(f"x509: malformed certificate: {error}") from None
    if urls:
        from cryptography import x509

        from guard.rego.pki.describe import extension
        from guard.rego.pki.names import general_names

        found["URIStrings"] = general_names(extension(certificate, x509.SubjectAlternativeName) or ()).urls or None
    return found


@builtin("crypto.x509.parse_certificates", "string -> array", context=True)
def _parse_certificates(ctx: Context, text: str) -> list[Any]:
    return [_described(each) for each in _certificates(ctx, text)]


@builtin("crypto.x509.parse_and_verify_certificates", "string -> array", context=True)
def _parse_and_verify(ctx: Context, text: str) -> list[Any]:
    from guard.rego.pki.chain import Options

    return _verified(ctx, text, Options(), urls=True)


@builtin("crypto.x509.parse_and_verify_certificates_with_options", "string, object -> array", context=True)
def _parse_and_verify_with_options(ctx: Context, text: str, options: dict[Any, Any]) -> list[Any]:
    try:
        _certificates(ctx, text)
    except (BuiltinFailure, ValueError):
        return [False, []]
    return _verified(ctx, text, _options(options), urls=False)


def _verified(ctx: Context, text: str, options: Options, *, urls: bool) -> list[Any]:
    from cryptography.exceptions import UnsupportedAlgorithm

    from guard.rego.pki.chain import Unverified, verify

    ctx.budget.charge(_VERIFY_COST)
    if options.time is None:
        options.time = dt.datetime.fromtimestamp(ctx.session.now_ns / 1e9, dt.UTC)
    try:
        chain = verify(_certificates(ctx, text), options)
    except (BuiltinFailure, Unverified, ValueError, UnsupportedAlgorithm):
        return [False, []]
    return [True, [_described(each, urls=urls) for each in chain]]


def _options(given: dict[Any, Any]) -> Options:
    """The options of a verification. Raises BuiltinFailure."""
    from guard.rego.pki.chain import Options

    found = Options()
    for key in sorted_keys(given):
        value = given[key]
        if key == "DNSName":
            if type(value) is not str:
                raise BuiltinFailure("'DNSName' should be a string")
            found.dns_name = value.strip('"')
        elif key == "CurrentTime":
            found.time = _instant(value)
        elif key == "MaxConstraintComparisons":
            if type(value) not in NUMBERS:
                raise BuiltinFailure("'MaxConstraintComparisons' should be a number")
        elif key == "KeyUsages":
            found.usages = _usages(value)
        elif type(key) is str:
            raise BuiltinFailure("invalid key option")
    return found


def _instant(value: Any) -> dt.datetime:
    if type(value) not in NUMBERS:
        raise BuiltinFailure("'CurrentTime' should be a number")
    if type(value) is not int or not -(1 << 63) <= value < 1 << 63:
        raise BuiltinFailure("'CurrentTime' should be a valid int64 number")
    return dt.datetime.fromtimestamp(value // 1_000_000_000, dt.UTC)


def _usages(value: Any) -> list[int]:
    if type(value) not in {list, Set}:
        raise BuiltinFailure("'KeyUsages' should be an Array or Set")
    names = [each.strip('"').removeprefix("KeyUsage") for each in value if type(each) is str]
    invalid = [name for name in names if name not in _USAGES]
    if invalid:
        raise BuiltinFailure(f"invalid entries for 'KeyUsages' found: [{' '.join(invalid)}]")
    return [_USAGES.index(name) for name in names]


@builtin("crypto.x509.parse_certificate_request", "string -> object", context=True)
def _parse_certificate_request(ctx: Context, text: str) -> dict[str, Any]:
    from cryptography import x509

    from guard.rego.pki.describe import describe_request

    ctx.budget.charge(len(text) // _BYTES_PER_STEP)
    label = "CERTIFICATE REQUEST"
    data = b""
    if not text.startswith(f"-----BEGIN {label}-----"):
        data = decode_base64(text, url=False)
        text = data.decode("latin-1")
    block = first_block(text)
    if block is not None and block[0] != label:
        raise BuiltinFailure("invalid PEM-encoded certificate signing request")
    try:
        return describe_request(x509.load_der_x509_csr(block[1] if block is not None else data))
    except (ValueError, IndexError, x509.DuplicateExtension) as error:
        raise BuiltinFailure(f"asn1: structure error: {error}") from None


# -- private keys ------------------------------------------------------------------------------------------------------


def _keys(ctx: Context, text: str) -> list[Any]:
    from guard.rego.pki.private import load

    ctx.budget.charge(_VERIFY_COST + len(text) // _BYTES_PER_STEP)
    with contextlib.suppress(BuiltinFailure):
        text = decode_base64(text, url=False).decode("latin-1")
    return load(text)


@builtin("crypto.parse_private_keys", "string -> array", context=True)
def _parse_private_keys(ctx: Context, text: str) -> Any:
    from guard.rego.pki.private import describe

    return [describe(key) for key in _keys(ctx, text)] if text else None


@builtin("crypto.x509.parse_rsa_private_key", "string -> object", context=True)
def _parse_rsa_private_key(ctx: Context, text: str) -> Any:
    from guard.rego.pki.private import to_jwk

    if not text:
        raise BuiltinFailure("input PEM data was empty")
    if not text.startswith("-----BEGIN"):
        text = decode_base64(text, url=False).decode("latin-1")
    keys = _keys(ctx, text)
    return to_jwk(keys[0]) if keys else None


@builtin("crypto.x509.parse_keypair", "string, string -> object", context=True)
def _parse_keypair(ctx: Context, certificate: str, key: str) -> dict[str, Any]:
    from guard.rego.pki.describe import base64_text
    from guard.rego.pki.private import describe, load_one

    ctx.budget.charge(_VERIFY_COST)
    chain = _certificates(ctx, certificate)
    if not chain:
        raise BuiltinFailure('tls: failed to find "CERTIFICATE" PEM block in certificate input')
    if not key.startswith("-----BEGIN "):
        key = decode_base64(key, url=False).decode("latin-1")
    found = next(
        (data for label, data in blocks(key) if label.endswith("PRIVATE KEY")), key.encode("latin-1", "replace")
    )
    private = load_one(found)
    if private.public_key() != chain[0].public_key():
        raise BuiltinFailure("tls: private key does not match public key")
    from cryptography.hazmat.primitives.serialization import Encoding

    return {
        "Certificate": [base64_text(each.public_bytes(Encoding.DER)) for each in chain],
        "PrivateKey": describe(private),
        "SupportedSignatureAlgorithms": None,
        "OCSPStaple": None,
        "SignedCertificateTimestamps": None,
        "Leaf": _described(chain[0], urls=False),
    }
