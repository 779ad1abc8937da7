"""Identity that a proxy set in a header: believed from the peers that the configuration names, from nobody else."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from guard.config import TrustedHeader
from guard.errors import CredentialRefused
from guard.identity import claims
from guard.types import Principal

_PEERS_REMEMBERED: Final = 1024


class TrustedProxy:
    """Reads the headers of ``[identity.trusted_header]``."""

    def __init__(self, config: TrustedHeader) -> None:
        self._networks = tuple(ipaddress.ip_network(peer) for peer in config.peers)
        self._subject = config.subject.lower().encode()
        self._tenant = config.tenant.lower().encode() if config.tenant else None
        self._roles = config.roles.lower().encode() if config.roles else None
        self._groups = config.groups.lower().encode() if config.groups else None
        self.headers = frozenset(h for h in (self._subject, self._tenant, self._roles, self._groups) if h)
        self._is_trusted = lru_cache(_PEERS_REMEMBERED)(self._in_networks)

    def _in_networks(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)

    def principal(self, scope: Mapping[str, Any], headers: Mapping[bytes, Sequence[bytes]]) -> Principal | None:
        """The principal that a trusted peer names; ``None`` from any other peer, or when no subject is set.

        Raises ``CredentialRefused`` when a trusted peer repeats a header or sends a malformed one.
        """
        client = scope.get("client")
        if not client or not self._is_trusted(client[0]):
            return None
        values = {name: _single(name, headers[name]) for name in self.headers if name in headers}
        if not values.get(self._subject):
            return None
        return Principal(
            type="user",
            id=claims.subject(_without_comma(self._subject, values[self._subject]), where=self._subject.decode()),
            tenant=claims.tenant(values.get(self._tenant) or None, where=self._tenant.decode())
            if self._tenant
            else None,
            roles=_list(values, self._roles, "roles"),
            groups=_list(values, self._groups, "groups"),
            authenticated=True,
            method="trusted_header",
        )


def _single(name: bytes, values: Sequence[bytes]) -> str:
    # A proxy that adds its header without removing the client's leaves two: nobody can say which one it wrote.
    if len(values) > 1:
        raise CredentialRefused(
            "the identity header is repeated",
            where=name.decode(),
            mend="let the proxy replace the header that clients send, not add to it",
        )
    try:
        return values[0].decode("utf-8").strip()
    except UnicodeDecodeError:
        raise CredentialRefused("the identity header is not UTF-8", where=name.decode()) from None


def _without_comma(name: bytes, value: str) -> str:
    # RFC 9110, 5.3: a recipient may join repeated fields with commas, so a comma may hide the client's own header.
    if "," in value:
        raise CredentialRefused("the identity header holds a comma, as repeated headers do", where=name.decode())
    return value


def _list(values: Mapping[bytes, str], name: bytes | None, what: str) -> tuple[str, ...]:
    if name is None or not values.get(name):
        return ()
    return claims.names([item.strip() for item in values[name].split(",")], what, where=name.decode())
