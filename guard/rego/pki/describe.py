"""Certificates and requests as objects, with the fields of Go's types ``Certificate`` and ``CertificateRequest``."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Iterable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID as Access
from cryptography.x509.oid import ExtensionOID

from . import der
from .names import describe_url, general_names

_ATTRIBUTES = {
    "2.5.4.6": "Country", "2.5.4.10": "Organization", "2.5.4.11": "OrganizationalUnit", "2.5.4.7": "Locality",
    "2.5.4.8": "Province", "2.5.4.9": "StreetAddress", "2.5.4.17": "PostalCode",
}  # fmt: skip
_SINGLE = {"2.5.4.3": "CommonName", "2.5.4.5": "SerialNumber"}
_SIGNATURES = {
    "1.2.840.113549.1.1.2": 1, "1.2.840.113549.1.1.4": 2, "1.2.840.113549.1.1.5": 3, "1.3.14.3.2.29": 3,
    "1.2.840.113549.1.1.11": 4, "1.2.840.113549.1.1.12": 5, "1.2.840.113549.1.1.13": 6,
    "1.2.840.10040.4.3": 7, "2.16.840.1.101.3.4.3.2": 8, "1.2.840.10045.4.1": 9, "1.2.840.10045.4.3.2": 10,
    "1.2.840.10045.4.3.3": 11, "1.2.840.10045.4.3.4": 12, "1.3.101.112": 16,
}  # fmt: skip
_PSS = {"sha256": 13, "sha384": 14, "sha512": 15}
_RSA_PSS = "1.2.840.113549.1.1.10"
EXTENDED_USAGES = {
    "2.5.29.37.0": 0, "1.3.6.1.5.5.7.3.1": 1, "1.3.6.1.5.5.7.3.2": 2, "1.3.6.1.5.5.7.3.3": 3,
    "1.3.6.1.5.5.7.3.4": 4, "1.3.6.1.5.5.7.3.5": 5, "1.3.6.1.5.5.7.3.6": 6, "1.3.6.1.5.5.7.3.7": 7,
    "1.3.6.1.5.5.7.3.8": 8, "1.3.6.1.5.5.7.3.9": 9, "1.3.6.1.4.1.311.10.3.3": 10, "2.16.840.1.113730.4.1": 11,
    "1.3.6.1.4.1.311.2.1.22": 12, "1.3.6.1.4.1.311.61.1.1": 13,
}  # fmt: skip
_HANDLED = frozenset(
    {ExtensionOID.KEY_USAGE, ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.SUBJECT_ALTERNATIVE_NAME}
    | {ExtensionOID.NAME_CONSTRAINTS, ExtensionOID.CRL_DISTRIBUTION_POINTS, ExtensionOID.AUTHORITY_KEY_IDENTIFIER}
    | {ExtensionOID.EXTENDED_KEY_USAGE, ExtensionOID.SUBJECT_KEY_IDENTIFIER, ExtensionOID.CERTIFICATE_POLICIES}
    | {ExtensionOID.AUTHORITY_INFORMATION_ACCESS, ExtensionOID.POLICY_CONSTRAINTS, ExtensionOID.INHIBIT_ANY_POLICY}
)
Certificate = x509.Certificate | x509.CertificateSigningRequest


def base64_text(data: bytes) -> str:
    """Bytes as Go's JSON shows them."""
    return base64.b64encode(data).decode()


def arcs(oid: x509.ObjectIdentifier) -> list[int]:
    """An object identifier as a list of numbers."""
    return [int(part) for part in oid.dotted_string.split(".")]


def or_null(items: Iterable[Any]) -> list[Any] | None:
    """A list, or null where it is empty."""
    return list(items) or None


def describe(certificate: x509.Certificate) -> dict[str, Any]:
    """A certificate. Raises ValueError for extensions that cannot be read."""
    raw = _raw_parts(certificate.tbs_certificate_bytes)
    found: dict[str, Any] = {
        "Raw": base64_text(_encoded(certificate)),
        "RawTBSCertificate": base64_text(certificate.tbs_certificate_bytes),
        **raw,
        "Version": certificate.version.value + 1,
        "Issuer": _name(certificate.issuer),
        "NotBefore": certificate.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "NotAfter": certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "PermittedDNSDomainsCritical": False,
        "ExtraExtensions": None,
        "PolicyMappings": None,
        **_common(certificate),
    }
    _describe_policies(certificate, found)
    _describe_authority(certificate, found)
    _describe_constraints(certificate, found)
    _describe_usages(certificate, found)
    return found


def describe_request(request: x509.CertificateSigningRequest) -> dict[str, Any]:
    """A certificate signing request. Raises ValueError."""
    body = request.tbs_certrequest_bytes
    parts = der.children(body, der.element(body, 0, len(body)))
    return {
        "Raw": base64_text(_encoded(request)),
        "RawTBSCertificateRequest": base64_text(body),
        "RawSubjectPublicKeyInfo": base64_text(parts[2].raw(body)),
        "RawSubject": base64_text(parts[1].raw(body)),
        "Version": int.from_bytes(parts[0].inside(body)),
        "Attributes": _attributes(body, parts[3]) if len(parts) > 3 else None,
        "ExtraExtensions": None,
        "Extensions": or_null(_extensions(request)),
        **_common(request),
    }


def _encoded(certificate: Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)


def _common(certificate: Certificate) -> dict[str, Any]:
    """What certificates and requests share."""
    names = general_names(extension(certificate, x509.SubjectAlternativeName) or ())
    return {
        "Signature": base64_text(certificate.signature),
        "SignatureAlgorithm": signature_algorithm(certificate),
        **_public_key(certificate),
        "Subject": _name(certificate.subject),
        "DNSNames": or_null(names.dns),
        "EmailAddresses": or_null(names.emails),
        "IPAddresses": or_null(str(each) for each in names.addresses),
        "URIs": or_null(describe_url(each) for each in names.urls),
    }


def signature_algorithm(certificate: Certificate) -> int:
    """Go's number for the algorithm; 0 where it has none."""
    oid = certificate.signature_algorithm_oid.dotted_string
    if oid == _RSA_PSS and certificate.signature_hash_algorithm is not None:
        return _PSS.get(certificate.signature_hash_algorithm.name, 0)
    return _SIGNATURES.get(oid, 0)


def _public_key(certificate: Certificate) -> dict[str, Any]:
    try:
        key = certificate.public_key()
    except ValueError:
        return {"PublicKeyAlgorithm": 0, "PublicKey": None}
    if isinstance(key, rsa.RSAPublicKey):
        return {"PublicKeyAlgorithm": 1, "PublicKey": {"N": key.public_numbers().n, "E": key.public_numbers().e}}
    if isinstance(key, dsa.DSAPublicKey):
        return {"PublicKeyAlgorithm": 2, "PublicKey": None}
    if isinstance(key, ec.EllipticCurvePublicKey):
        point = key.public_numbers()
        return {"PublicKeyAlgorithm": 3, "PublicKey": {"Curve": {}, "X": point.x, "Y": point.y}}
    if isinstance(key, ed25519.Ed25519PublicKey):
        return {"PublicKeyAlgorithm": 4, "PublicKey": base64_text(key.public_bytes_raw())}
    return {"PublicKeyAlgorithm": 0, "PublicKey": None}


def _name(name: x509.Name) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(_ATTRIBUTES.values())
    found |= {"SerialNumber": "", "CommonName": "", "ExtraNames": None}
    names: list[dict[str, Any]] = []
    for each in name:
        oid, value = each.oid.dotted_string, each.value
        text = value if isinstance(value, str) else base64_text(value)
        names.append({"Type": arcs(each.oid), "Value": text})
        if oid in _ATTRIBUTES:
            found[_ATTRIBUTES[oid]] = [*(found[_ATTRIBUTES[oid]] or []), text]
        elif oid in _SINGLE:
            found[_SINGLE[oid]] = text
    found["Names"] = names or None
    return found


# -- raw parts ---------------------------------------------------------------------------------------------------------


def _raw_parts(body: bytes) -> dict[str, Any]:
    """The parts of a certificate that are shown as they stand in it."""
    parts = der.children(body, der.element(body, 0, len(body)))
    if parts[0].tag == der.VERSION:
        parts = parts[1:]
    extensions: list[dict[str, Any]] = []
    for part in parts[6:]:
        if part.tag == 0xA3:
            extensions = [_raw_extension(body, each) for each in der.children(body, der.children(body, part)[0])]
    return {
        "SerialNumber": int.from_bytes(parts[0].inside(body), signed=True),
        "RawIssuer": base64_text(parts[2].raw(body)),
        "RawSubject": base64_text(parts[4].raw(body)),
        "RawSubjectPublicKeyInfo": base64_text(parts[5].raw(body)),
        "Extensions": extensions or None,
    }


def _raw_extension(body: bytes, part: der.Element) -> dict[str, Any]:
    oid, *rest = der.children(body, part)
    return {
        "Id": _raw_arcs(oid.inside(body)),
        "Critical": len(rest) > 1 and rest[0].inside(body) != b"\x00",
        "Value": base64_text(rest[-1].inside(body)),
    }


def _raw_arcs(data: bytes) -> list[int]:
    found: list[int] = []
    value = 0
    for byte in data:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            found.append(value)
            value = 0
    first = min(found[0] // 40, 2) if found else 0
    return [first, found[0] - 40 * first, *found[1:]] if found else []


def _attributes(body: bytes, part: der.Element) -> list[dict[str, Any]] | None:
    """The attributes of a request, each a set of sequences of (type, value)."""
    found: list[dict[str, Any]] = []
    for attribute in der.children(body, part):
        oid, values = der.children(body, attribute)
        groups = []
        for sequence in der.children(body, values):
            if sequence.tag != 0x30:
                return None
            pairs = [der.children(body, pair) for pair in der.children(body, sequence)]
            groups.append(
                [
                    {"Type": _raw_arcs(pair[0].inside(body)), "Value": base64_text(pair[-1].inside(body))}
                    for pair in pairs
                ]
            )
        found.append({"Type": _raw_arcs(oid.inside(body)), "Value": groups})
    return found or None


def _extensions(request: x509.CertificateSigningRequest) -> list[dict[str, Any]]:
    return [
        {"Id": arcs(each.oid), "Critical": each.critical, "Value": base64_text(each.value.public_bytes())}
        for each in request.extensions
    ]


# -- extensions --------------------------------------------------------------------------------------------------------


def extension(certificate: Certificate, kind: type[Any]) -> Any:
    """The value of an extension; None where the certificate has none of this kind."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _describe_policies(certificate: x509.Certificate, found: dict[str, Any]) -> None:
    policies = extension(certificate, x509.CertificatePolicies)
    oids = [each.policy_identifier for each in policies or ()]
    found["PolicyIdentifiers"] = or_null(map(arcs, oids))
    found["Policies"] = or_null(oid.dotted_string for oid in oids)
    limits = extension(certificate, x509.PolicyConstraints)
    inhibit = extension(certificate, x509.InhibitAnyPolicy)
    values = {
        "RequireExplicitPolicy": limits.require_explicit_policy if limits is not None else None,
        "InhibitPolicyMapping": limits.inhibit_policy_mapping if limits is not None else None,
        "InhibitAnyPolicy": inhibit.skip_certs if inhibit is not None else None,
    }
    for name, value in values.items():
        found[name] = value or 0
        found[f"{name}Zero"] = value == 0


def _describe_authority(certificate: x509.Certificate, found: dict[str, Any]) -> None:
    subject = extension(certificate, x509.SubjectKeyIdentifier)
    found["SubjectKeyId"] = base64_text(subject.digest) if subject is not None else None
    issuer = extension(certificate, x509.AuthorityKeyIdentifier)
    known = issuer is not None and issuer.key_identifier is not None
    found["AuthorityKeyId"] = base64_text(issuer.key_identifier) if known else None
    access = list(extension(certificate, x509.AuthorityInformationAccess) or ())
    for name, method in (("OCSPServer", Access.OCSP), ("IssuingCertificateURL", Access.CA_ISSUERS)):
        found[name] = or_null(each.access_location.value for each in access if each.access_method == method)
    points = extension(certificate, x509.CRLDistributionPoints) or ()
    found["CRLDistributionPoints"] = or_null(
        name.value
        for point in points
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    )


def _describe_constraints(certificate: x509.Certificate, found: dict[str, Any]) -> None:
    basic = extension(certificate, x509.BasicConstraints)
    found["BasicConstraintsValid"] = basic is not None
    found["IsCA"] = basic is not None and basic.ca
    length = basic.path_length if basic is not None else None
    found["MaxPathLen"] = (0 if basic is None else -1) if length is None else length
    found["MaxPathLenZero"] = length == 0
    names = extension(certificate, x509.NameConstraints)
    if names is not None:
        critical = certificate.extensions.get_extension_for_class(x509.NameConstraints).critical
        found["PermittedDNSDomainsCritical"] = critical
    for start, trees in (("Permitted", "permitted_subtrees"), ("Excluded", "excluded_subtrees")):
        each = general_names((getattr(names, trees) or ()) if names is not None else ())
        found[f"{start}DNSDomains"] = or_null(each.dns)
        found[f"{start}EmailAddresses"] = or_null(each.emails)
        found[f"{start}URIDomains"] = or_null(each.urls)
        found[f"{start}IPRanges"] = or_null(
            {"IP": str(network.network_address), "Mask": base64_text(network.netmask.packed)}
            for network in each.addresses
            if isinstance(network, ipaddress.IPv4Network | ipaddress.IPv6Network)
        )


def _describe_usages(certificate: x509.Certificate, found: dict[str, Any]) -> None:
    found["KeyUsage"] = key_usage(certificate)
    oids = list(extension(certificate, x509.ExtendedKeyUsage) or ())
    found["ExtKeyUsage"] = or_null(
        EXTENDED_USAGES[oid.dotted_string] for oid in oids if oid.dotted_string in EXTENDED_USAGES
    )
    found["UnknownExtKeyUsage"] = or_null(arcs(oid) for oid in oids if oid.dotted_string not in EXTENDED_USAGES)
    found["UnhandledCriticalExtensions"] = or_null(map(arcs, unhandled(certificate)))


def key_usage(certificate: x509.Certificate) -> int:
    """The bits of the key usage extension, digital signature first; 0 without it."""
    usage = extension(certificate, x509.KeyUsage)
    if usage is None:
        return 0
    agree = usage.key_agreement
    bits = (
        usage.digital_signature, usage.content_commitment, usage.key_encipherment, usage.data_encipherment, agree,
        usage.key_cert_sign, usage.crl_sign, agree and usage.encipher_only, agree and usage.decipher_only,
    )  # fmt: skip
    return sum(1 << at for at, bit in enumerate(bits) if bit)


def unhandled(certificate: x509.Certificate) -> list[x509.ObjectIdentifier]:
    """The critical extensions that a verifier here does not know."""
    return [each.oid for each in certificate.extensions if each.critical and each.oid not in _HANDLED]
