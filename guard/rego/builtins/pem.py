"""PEM blocks (RFC 7468), read as Go's ``encoding/pem`` reads them, and base64 that may stand in their place."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from .encoding import decode_base64

_BLOCK = re.compile(
    r"(?:^|(?<=\n))-----BEGIN ([^\n]*?)-----[ \t\r]*\n(.*?)-----END \1-----[ \t\r]*(?:\n|\Z)", re.DOTALL
)
_HEADER = re.compile(r"[^\n:]+:[^\n]*\n")
_EMPTY = re.compile(r"(?:^|(?<=\n))-----BEGIN ([^\n]*?)-----[ \t\r]*\n-----END \1-----[ \t\r]*(?:\n|\Z)")


_MAX_TRIES = 100


def first_block(text: str, start: int = 0) -> tuple[str, bytes, int] | None:
    """(label, content, offset behind it) of the next block that can be decoded; None where there is none."""
    for _ in range(_MAX_TRIES):
        begin = text.find("-----BEGIN ", start)
        if begin < 0:
            return None
        match = _EMPTY.match(text, begin) or _BLOCK.match(text, begin)
        if match is None:
            start = begin + 1
            continue
        content = match.group(2) if match.re is _BLOCK else ""
        while header := _HEADER.match(content):
            content = content[header.end() :]
        try:
            data = base64.b64decode("".join(content.split()), validate=True)
        except (binascii.Error, ValueError):
            start = begin + 1
            continue
        return match.group(1), data, match.end()
    return None


def blocks(text: str) -> Iterator[tuple[str, bytes]]:
    """Every block of a text."""
    found = first_block(text)
    while found is not None:
        yield found[0], found[1]
        found = first_block(text, found[2])


def standard_base64(text: str) -> bytes:
    """The bytes of standard base64 with padding. Raises BuiltinFailure."""
    return decode_base64(text, url=False)


def text_or_base64(text: str) -> str:
    """The text, or what its base64 holds (one character per byte) where it does not begin like PEM."""
    return text if text.startswith("-----BEGIN") else standard_base64(text).decode("latin-1")
