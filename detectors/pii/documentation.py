"""Values that belong to nobody: reserved for documentation, or addresses of no host.

Sources: RFC 2606 and RFC 6761 (domain names), RFC 5737 and RFC 3849 (addresses), the North American Numbering Plan's
fictitious numbers 555-0100 to 555-0199.
"""

from __future__ import annotations

import ipaddress
from typing import Final

_DOMAINS: Final = ("example.com", "example.net", "example.org", "example", "test", "invalid", "localhost")
_NETWORKS: Final = tuple(
    ipaddress.ip_network(network) for network in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
)
_BROADCAST: Final = ipaddress.ip_address("255.255.255.255")


def is_documentation(entity: str, value: str) -> bool:
    """Whether ``value``, found as ``entity``, is reserved for documentation or names no host."""
    if entity == "EMAIL_ADDRESS":
        domain = value.rpartition("@")[2].lower().rstrip(".")
        return any(domain == name or domain.endswith("." + name) for name in _DOMAINS)
    if entity == "IP_ADDRESS":
        return _is_documentation_address(value)
    if entity == "PHONE_NUMBER":
        digits = "".join(character for character in value if character.isdigit())
        national = digits[1:] if len(digits) == 11 and digits[0] == "1" else digits
        return len(national) in (7, 10) and national[-7:-2] == "55501"
    return False


def _is_documentation_address(value: str) -> bool:
    try:
        address = ipaddress.ip_interface(value.partition("%")[0]).ip
    except ValueError:
        return False
    if address.is_unspecified or address.is_loopback or address == _BROADCAST:
        return True
    return any(address.version == network.version and address in network for network in _NETWORKS)
