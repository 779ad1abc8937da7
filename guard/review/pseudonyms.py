"""From a raw value to what may stand for it in records: how an analyst who holds the key finds somebody.

As Vault's ``/sys/audit-hash``: the log is never turned back into values, a value is turned into what the log holds.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from guard.keyed import KeyedHash
from guard.record.bodies import digest_of
from guard.record.parts import name

PURPOSES: Final[Mapping[str, str]] = {
    "subject": "subject",
    "ip": "client",
    "tenant": "tenant",
    "role": "role",
    "group": "group",
    "attribute": "attribute",
    "request": "request",
    "trace": "trace",
    "model": "model",
    "tool": "tool",
    "reader": "reader",
    "asked": "asked",
}
"""The kinds of value that stand in records as pseudonyms, and the purpose under which each is hashed."""
OTHERS: Final = ("member", "content")
"""A member's name in a JSON pointer (``~<hex>``), and a whole body (``content.digest``)."""
USUAL: Final = ("subject", "ip", "tenant", "role", "request", "model", "tool", "member")
"""What a value is looked up as where nothing is said."""
_TAINTABLE: Final = frozenset({"model", "tool"})
_NEVER_PLAIN: Final = frozenset({"subject", "ip", "reader", "asked"})
# Nothing is ever written under it: it only answers whether a key is needed.
_NOBODY: Final = KeyedHash("none", bytes(32))
KINDS: Final = (*PURPOSES, *OTHERS)


class Alias(msgspec.Struct, frozen=True):
    """What may stand in records for a value. ``plain``: values of this kind that look like names stand there as they
    are, unless something was found in them."""

    kind: str
    stands: str
    key_id: str
    plain: bool = False


class Pseudonyms:
    """Looks values up under every key that is held: each writes other pseudonyms. Without a key only what stands in
    records as it is can be told."""

    def __init__(self, keys: Sequence[KeyedHash]) -> None:
        self._keys = tuple(keys)

    def of(self, kind: str, value: str) -> list[Alias]:
        """What may stand for ``value``, which is of one of the ``KINDS``. An address is looked up in its usual
        spelling, too."""
        found: dict[str, Alias] = {}
        if not self._keys and stands_plainly(kind, value):
            return [Alias(kind, value, "", plain=True)]
        for keyed in self._keys:
            for spelling in _spellings(kind, value):
                for stands in _stands(kind, spelling, keyed):
                    found.setdefault(stands, Alias(kind, stands, keyed.key_id, plain=stands == spelling))
        return list(found.values())

    def usual(self, value: str) -> list[Alias]:
        """What may stand for ``value`` under every usual kind that it can be of."""
        return [alias for kind in USUAL if kind != "ip" or _is_address(value) for alias in self.of(kind, value)]


def stands_plainly(kind: str, value: str) -> bool:
    """Whether a value of this kind may stand in records as it is: it looks like a name, or like an id."""
    if kind == "request":
        return _NOBODY.identifier(kind, value) == value
    return kind in PURPOSES and kind not in _NEVER_PLAIN and name(_NOBODY, kind, value) == value


def _stands(kind: str, value: str, keyed: KeyedHash) -> list[str]:
    if kind == "member":
        return [keyed.token(value)]
    if kind == "content":
        return [digest_of(value.encode("utf-8", "surrogatepass"), keyed).digest]
    purpose = PURPOSES[kind]
    hashed = keyed.pseudonym(purpose, value)
    if kind in _NEVER_PLAIN:
        return [hashed]
    if kind == "request":
        return [keyed.identifier(purpose, value)]
    plain = name(keyed, purpose, value) or hashed
    # A model's or a tool's name in which something was found stands as its pseudonym all the same.
    return [value, hashed] if kind in _TAINTABLE and plain == value else [plain]


def _spellings(kind: str, value: str) -> list[str]:
    if kind != "ip" or not _is_address(value):
        return [value]
    return list(dict.fromkeys([value, str(ipaddress.ip_address(value))]))


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True
