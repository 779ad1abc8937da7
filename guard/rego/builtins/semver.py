"""semver.* (https://semver.org/spec/v2.0.0.html)."""

from __future__ import annotations

import re
from typing import Any

from guard.rego.runtime import BuiltinFailure

from .registry import builtin

_MAX_LENGTH = 10_000
_INT64 = 1 << 63
_NUMBER = r"(?:0|[1-9][0-9]*)"
_PART = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(
    rf"v?({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_PART}(?:\.{_PART})*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?\Z"
)


def _parse(text: str) -> tuple[Any, ...] | None:
    match = _VERSION.match(text) if len(text) <= _MAX_LENGTH else None
    if match is None:
        return None
    parts = match.group(4).split(".") if match.group(4) else []
    before = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)
    numbers = [int(match.group(at)) for at in (1, 2, 3)]
    return (*numbers, not before, before) if max(numbers) < _INT64 else None


@builtin("semver.is_valid", "any -> boolean")
def _is_valid(text: Any) -> bool:
    return type(text) is str and _parse(text) is not None


@builtin("semver.compare", "string, string -> number")
def _compare(left: str, right: str) -> int:
    found = []
    for position, text in ((1, left), (2, right)):
        version = _parse(text)
        if version is None:
            raise BuiltinFailure(f'operand {position}: string "{text}" is not a valid SemVer')
        found.append(version)
    return (found[0] > found[1]) - (found[0] < found[1])
