"""General names (RFC 5280 section 4.2.1.6), and the constraints on them (section 4.2.1.10) as Go applies them."""

from __future__ import annotations

import ipaddress
import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509

Address = ipaddress.IPv4Address | ipaddress.IPv6Address | ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(slots=True)
class Names:
    """General names by kind, in their order."""

    dns: list[str] = field(default_factory=list)
    emails: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    addresses: list[Address] = field(default_factory=list)
    others: int = 0


def general_names(names: Iterable[x509.GeneralName]) -> Names:
    """The names by kind; kinds that Go does not read are only counted."""
    found = Names()
    for each in names:
        if isinstance(each, x509.DNSName):
            found.dns.append(each.value)
        elif isinstance(each, x509.RFC822Name):
            found.emails.append(each.value)
        elif isinstance(each, x509.UniformResourceIdentifier):
            found.urls.append(each.value)
        elif isinstance(each, x509.IPAddress):
            found.addresses.append(each.value)
        else:
            found.others += 1
    return found


def describe_url(text: str) -> dict[str, Any]:
    """A URL with the fields of Go's ``url.URL``."""
    parts = urllib.parse.urlsplit(text)
    user, at, host = parts.netloc.rpartition("@")
    opaque = parts.path if parts.scheme and not parts.netloc and not parts.path.startswith("/") else ""
    path = "" if opaque else urllib.parse.unquote(parts.path)
    default = urllib.parse.quote(path, safe="$&+,/:;=@")
    return {
        "Scheme": parts.scheme,
        "Opaque": opaque,
        "User": {} if at or user else None,
        "Host": host,
        "Path": path,
        "RawPath": "" if opaque or default == parts.path else parts.path,
        "OmitHost": False,
        "ForceQuery": text.endswith("?"),
        "RawQuery": parts.query,
        "Fragment": urllib.parse.unquote(parts.fragment),
        "RawFragment": "",
    }


def allowed(names: Names, constraints: x509.NameConstraints) -> bool:
    """Whether every name is inside the permitted subtrees of its kind, if there are any, and outside the excluded.
    Constraints on kinds of names that are not understood allow nothing."""
    permitted = general_names(constraints.permitted_subtrees or ())
    excluded = general_names(constraints.excluded_subtrees or ())
    if permitted.others or excluded.others:
        return False
    checks = (
        (names.dns, permitted.dns, excluded.dns, _dns_matches),
        (names.emails, permitted.emails, excluded.emails, _email_matches),
        (names.urls, permitted.urls, excluded.urls, _url_matches),
        (names.addresses, permitted.addresses, excluded.addresses, _address_matches),
    )
    for values, inside, outside, matches in checks:
        for value in values:
            if any(matches(value, each) for each in outside):
                return False
            if inside and not any(matches(value, each) for each in inside):
                return False
    return True


def _dns_matches(name: Any, constraint: Any) -> bool:
    name, constraint = name.lower().rstrip("."), constraint.lower()
    if not constraint:
        return True
    if constraint.startswith("."):
        return bool(name.endswith(constraint) and name != constraint)
    return bool(name == constraint or name.endswith("." + constraint))


def _email_matches(address: Any, constraint: Any) -> bool:
    local, _, host = address.rpartition("@")
    if "@" in constraint:
        wanted, _, domain = constraint.rpartition("@")
        return bool(local == wanted and host.lower() == domain.lower())
    if constraint.startswith("."):
        return _dns_matches(host, constraint)
    return bool(host.lower() == constraint.lower())


def _url_matches(url: Any, constraint: Any) -> bool:
    host = urllib.parse.urlsplit(url).hostname or ""
    if constraint.startswith("."):
        return _dns_matches(host, constraint)
    return bool(host.lower() == constraint.lower())


def _address_matches(address: Any, network: Any) -> bool:
    return address.version == network.version and address in network


def host_matches(names: Names, wanted: str) -> bool:
    """Whether a certificate is for a host: its names, wildcards included, or its addresses (RFC 6125)."""
    bare = wanted[1:-1] if wanted.startswith("[") and wanted.endswith("]") else wanted
    try:
        return ipaddress.ip_address(bare) in names.addresses
    except ValueError:
        pass
    labels = wanted.lower().rstrip(".").split(".")
    for each in names.dns:
        pattern = each.lower().rstrip(".").split(".")
        first = pattern[0] == labels[0] or (pattern[0] == "*" and len(pattern) > 1 and labels[0])
        if len(pattern) == len(labels) and first and pattern[1:] == labels[1:]:
            return True
    return False
