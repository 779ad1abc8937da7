"""Sequences of JSON values: NDJSON (JSON Lines), one value a line, and JSON text sequences (RFC 7464).

Sources: the NDJSON specification (ndjson/ndjson-spec), jsonlines.org, RFC 7464. A line that is no JSON is refused:
readers stop there, skip it or keep it.
"""

from __future__ import annotations

import re
from typing import Final

from guard.content.pieces import Pieces
from guard.content.values import read_json
from guard.errors import ContentRefused

_RECORD_SEPARATOR: Final = b"\x1e"
_BOM: Final = b"\xef\xbb\xbf"
_BLANK: Final = re.compile(rb"[ \t\r\n]*+")


def read_lines(pieces: Pieces, start: int, end: int, base: str) -> None:
    """Read the NDJSON in ``body[start:end]``; record ``n``, counted from 0, stands at ``<base>/<n>``. Blank lines are
    no records.

    Raises ``ContentRefused``: ``json_invalid`` and as ``strict.parse``, ``json_too_many_values``, ``text_invalid``.
    """
    _records(pieces, b"\n", start, end, base)


def read_sequence(pieces: Pieces, start: int, end: int, base: str) -> None:
    """The same for a JSON text sequence: each record begins with RS (0x1E) and ends with a line feed."""
    if pieces.body[start : start + 1] != _RECORD_SEPARATOR:
        raise ContentRefused("json_invalid", "The sequence does not begin with RS", where="body")
    if not pieces.body.endswith(b"\n", start, end):
        raise ContentRefused("json_invalid", "The last record of the sequence is cut off", where="body")
    _records(pieces, _RECORD_SEPARATOR, start + 1, end, base)


def _records(pieces: Pieces, separator: bytes, start: int, end: int, base: str) -> None:
    body = pieces.body
    if body.count(separator, start, end) >= pieces.limits.max_json_values:
        raise ContentRefused("json_too_many_values", "There are more records than the limit", where="body")
    number = 0
    while start < end:
        stop = body.find(separator, start, end)
        if stop < 0:
            stop = end
        blank = _BLANK.match(body, start, stop)
        if blank is None or blank.end() < stop:
            last = stop
            if separator == _RECORD_SEPARATOR:
                last -= 1
                if body[last:stop] != b"\n":
                    raise ContentRefused("json_invalid", f"Record {number} does not end with a line feed", where="body")
            elif body.endswith(b"\r", start, stop):
                last -= 1
            if number and body.startswith(_BOM, start):
                raise ContentRefused("json_invalid", f"Record {number} begins with a byte order mark", where="body")
            read_json(pieces, start, last, f"{base}/{number}", what=f"Record {number}")
            number += 1
        start = stop + 1
