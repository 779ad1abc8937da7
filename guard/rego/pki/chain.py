"""Verification of a chain of certificates (RFC 5280 section 6) as Go's ``x509.Certificate.Verify`` does it: the first
certificate is the root that is trusted, the last the leaf, those between may stand in the chain."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from . import describe
from .names import Names, allowed, general_names, host_matches

MAX_CERTIFICATES = 100
_MAX_SIGNATURES = 100
_CERT_SIGN = 1 << 5
_WEAK = frozenset({0, 1, 2, 3, 7, 8, 9})
_ANY, _SERVER = 0, 1


@dataclass(slots=True)
class Options:
    """What is asked of a chain. ``usages`` are Go's numbers, of which one must be there; none means server."""

    dns_name: str = ""
    time: dt.datetime | None = None
    usages: list[int] = field(default_factory=list)


class Unverified(Exception):
    """There is no chain."""


def verify(certificates: list[x509.Certificate], options: Options) -> list[x509.Certificate]:
    """The chain, leaf first. Raises Unverified, ValueError, UnsupportedAlgorithm."""
    if not 2 <= len(certificates) <= MAX_CERTIFICATES:
        raise Unverified("must supply at least two certificates to be able to verify")
    search = _Search(certificates[0], certificates[1:-1], options)
    leaf = certificates[-1]
    search.check(leaf, [])
    if options.dns_name and not host_matches(_subject_names(leaf), options.dns_name):
        raise Unverified("certificate is not valid for the name")
    if leaf == certificates[0]:
        return [leaf]
    chain = search.extend([leaf])
    if chain is None:
        raise Unverified("certificate signed by unknown authority")
    return chain


def _subject_names(certificate: x509.Certificate) -> Names:
    return general_names(describe.extension(certificate, x509.SubjectAlternativeName) or ())


class _Search:
    """The way from a leaf to the root, through intermediates that are each used once."""

    def __init__(self, root: x509.Certificate, intermediates: list[x509.Certificate], options: Options) -> None:
        self.root = root
        self.intermediates = intermediates
        self.now = options.time or dt.datetime.now(dt.UTC)
        self.usages = options.usages or [_SERVER]
        self.signatures = 0

    def extend(self, chain: list[x509.Certificate]) -> list[x509.Certificate] | None:
        """The chain up to the root; None where there is none."""
        for parent in (self.root, *self.intermediates):
            if parent in chain or parent.subject != chain[-1].issuer:
                continue
            try:
                self.check(parent, chain)
                self.signed(chain[-1], parent)
            except Unverified:
                continue
            longer = [*chain, parent]
            found = (longer if self.usage_allowed(longer) else None) if parent is self.root else self.extend(longer)
            if found is not None:
                return found
        return None

    def check(self, certificate: x509.Certificate, below: list[x509.Certificate]) -> None:
        """A certificate above those below it: time, constraints, what a signer must be."""
        if describe.unhandled(certificate):
            raise Unverified("unhandled critical extension")
        if not certificate.not_valid_before_utc <= self.now <= certificate.not_valid_after_utc:
            raise Unverified("certificate has expired or is not yet valid")
        if not below:
            return
        constraints = describe.extension(certificate, x509.NameConstraints)
        if constraints is not None and not all(allowed(_subject_names(each), constraints) for each in below):
            raise Unverified("a name is not permitted")
        basic = describe.extension(certificate, x509.BasicConstraints)
        if basic is None or not basic.ca:
            raise Unverified("certificate is not authorized to sign other certificates")
        usage = describe.key_usage(certificate)
        if usage and not usage & _CERT_SIGN:
            raise Unverified("certificate is not authorized to sign other certificates")
        if basic.path_length is not None and len(below) - 1 > basic.path_length:
            raise Unverified("too many intermediates for path length constraint")

    def signed(self, certificate: x509.Certificate, parent: x509.Certificate) -> None:
        """The signature, under an algorithm that is not broken."""
        self.signatures += 1
        if self.signatures > _MAX_SIGNATURES or describe.signature_algorithm(certificate) in _WEAK:
            raise Unverified("signature algorithm is not accepted")
        from guard.rego.builtins.keys import bounded

        try:
            bounded(parent.public_key())
            certificate.verify_directly_issued_by(parent)
        except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
            raise Unverified("signature does not match") from None

    def usage_allowed(self, chain: list[x509.Certificate]) -> bool:
        """Whether one of the wanted usages is allowed by every certificate that names usages."""
        wanted = set(self.usages)
        if _ANY in wanted:
            return True
        for certificate in chain:
            usages = describe.extension(certificate, x509.ExtendedKeyUsage)
            if usages is None:
                continue
            have = {describe.EXTENDED_USAGES.get(oid.dotted_string, -1) for oid in usages}
            if _ANY not in have:
                wanted &= have
        return bool(wanted)
