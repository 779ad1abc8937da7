"""What a source says about a principal, checked: each value has the type and the bounds that policies rely on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from guard.errors import CredentialRefused

MAX_SUBJECT_CODE_POINTS: Final = 256
MAX_NAME_CODE_POINTS: Final = 128
MAX_NAMES: Final = 512

_TENANT: Final = re.compile(r"[A-Za-z0-9._:/-]{1,128}")


def claim(claims: Mapping[str, Any], path: str) -> Any:
    """The claim named ``path``, else the value at its dotted path (``realm_access.roles``), else ``None``."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return value


def subject(value: object, *, where: str) -> str:
    """1 to 256 printable code points, without space at either end. Raises ``CredentialRefused``."""
    if not isinstance(value, str) or not value:
        raise CredentialRefused("no subject is named", where=where)
    if len(value) > MAX_SUBJECT_CODE_POINTS or not value.isprintable() or value != value.strip():
        raise CredentialRefused(
            f"the subject is longer than {MAX_SUBJECT_CODE_POINTS} characters or holds characters that do not print",
            where=where,
        )
    return value


def tenant(value: object, *, where: str) -> str | None:
    """``[A-Za-z0-9._:/-]{1,128}`` or ``None`` when absent. Raises ``CredentialRefused``.

    A tenant is looked up in ``[tenants]`` and compared by rules, so one that cannot be written there is refused.
    """
    if value is None:
        return None
    if not isinstance(value, str) or not _TENANT.fullmatch(value):
        raise CredentialRefused("the tenant is not 1 to 128 of A-Z a-z 0-9 . _ : / -", where=where)
    return value


def names(value: object, what: str, *, where: str) -> tuple[str, ...]:
    """Roles or groups: a list of strings, or one string of names between spaces (as ``scope`` of RFC 8693).

    Absent is empty. Each name has 1 to 128 printable code points, and there are at most 512; order is kept, repetition
    dropped. Names outside ``[A-Za-z0-9._:/-]`` are kept here and enter policy documents as pseudonyms. Raises
    ``CredentialRefused``.
    """
    if value is None:
        return ()
    items: Sequence[object]
    if isinstance(value, str):
        items = value.split(" ") if value else ()
    elif isinstance(value, list | tuple):
        items = value
    else:
        raise CredentialRefused(f"{what} are neither a list of strings nor a string", where=where)
    found: dict[str, None] = {}
    for item in items:
        if not isinstance(item, str) or not 1 <= len(item) <= MAX_NAME_CODE_POINTS or not item.isprintable():
            raise CredentialRefused(
                f"{what} hold an entry that is not a string of 1 to {MAX_NAME_CODE_POINTS} printable characters",
                where=where,
            )
        found[item] = None
    if len(found) > MAX_NAMES:
        raise CredentialRefused(f"{what} are more than {MAX_NAMES}", where=where)
    return tuple(found)
