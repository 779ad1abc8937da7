"""Headers that a policy adds to the answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from guard.errors import ObligationFailed
from guard.types import Obligation

_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}")  # RFC 9110 section 5.1, lower case
_VALUE: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,1022}[\x21-\x7e])?")
# Names whose meaning belongs to the server, the guard or the app's session.
_RESERVED: Final = re.compile(
    r"content-.*|transfer-encoding|connection|upgrade|trailer|te|date|server|set-cookie|x-guard-decision-id"
)


def headers(obligations: Sequence[Obligation]) -> list[tuple[bytes, bytes]]:
    """The headers of the ``annotate`` obligations. Raises ``ObligationFailed`` on one that no header can carry."""
    wanted: list[tuple[bytes, bytes]] = []
    for obligation in obligations:
        if obligation.type != "annotate":
            continue
        where = f"rule {obligation.rule}"
        given = obligation.params.get("headers")
        if not isinstance(given, dict) or not given:
            raise ObligationFailed("annotate names no headers", where=where, mend='use "headers": {"x-name": "value"}')
        for name, value in sorted(given.items()):
            lowered = name.lower() if isinstance(name, str) else ""
            if not _NAME.fullmatch(lowered) or _RESERVED.fullmatch(lowered):
                raise ObligationFailed(
                    f"annotate may not set the header {name!r}", where=where, mend="choose an x- name"
                )
            if not isinstance(value, str) or not _VALUE.fullmatch(value):
                mend = "header values are 1 to 1024 printable ASCII characters"
                raise ObligationFailed(f"annotate has no usable value for {name!r}", where=where, mend=mend)
            wanted.append((lowered.encode(), value.encode()))
    return wanted
