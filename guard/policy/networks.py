"""Which of the configured networks a client belongs to: what a rule may know of an address instead of the address."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Final

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_CACHED: Final = 4096


class Networks:
    """Named CIDR blocks (``[networks]`` of guard.toml), parsed once."""

    __slots__ = ("_cache", "_networks")

    def __init__(self, networks: Mapping[str, Sequence[str]]) -> None:
        """Raises ``ValueError`` for what is no CIDR block."""
        self._networks: list[tuple[str, _Network]] = [
            (name, ipaddress.ip_network(block, strict=False)) for name in sorted(networks) for block in networks[name]
        ]
        self._cache: dict[str, tuple[str, ...]] = {}

    def containing(self, client_ip: str | None) -> list[str]:
        """The names of the networks that contain the address, sorted. None for what is no address.

        An IPv4 address inside IPv6 (``::ffff:a.b.c.d``, RFC 4291 section 2.5.5.2) belongs to the networks of the IPv4
        address, too.
        """
        if not self._networks or client_ip is None:
            return []
        known = self._cache.get(client_ip)
        if known is None:
            if len(self._cache) >= _CACHED:
                self._cache.clear()
            known = self._cache[client_ip] = self._found(client_ip)
        return list(known)

    def _found(self, client_ip: str) -> tuple[str, ...]:
        try:
            address = ipaddress.ip_address(client_ip)
        except ValueError:
            return ()
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return tuple(
            dict.fromkeys(
                name
                for name, network in self._networks
                if address in network or (mapped is not None and mapped in network)
            )
        )
