"""One record line, proven canonical (RFC 8785) and inside the schema, at the least cost.

The proof that is cheap: the line, read as a narrow record and written again with sorted keys, is the line. The encoder
knows one spelling for each value and one order for each object, so a repeated key, a space, an escape or another
spelling of a number could not come out again; narrow records hold no float and no integer past 2**53 - 1; and a line in
ASCII has its keys in ASCII. A line for which the cheap proof fails goes through the checks one by one, which say what
is wrong, or that nothing is: a field that the schema defaults may be left out, and texts may speak every language.
"""

from __future__ import annotations

from typing import Any, Final, Union, get_args

import msgspec

from guard.record.canonical import NotCanonical, parse
from guard.record.narrow import NARROW
from guard.record.schema import AnyRecord, read_record

_KINDS: Final[Any] = Union[tuple(NARROW.get(kind, kind) for kind in get_args(AnyRecord))]  # noqa: UP007 - see NARROW
_decode: Final[Any] = msgspec.json.Decoder(_KINDS).decode
_encode: Final = msgspec.json.Encoder(order="sorted").encode


def read_line(line: bytes) -> AnyRecord:
    """The record of a line without its newline. Raises ``NotCanonical``, whose message holds no value of the record."""
    try:
        record: AnyRecord = _decode(line)
        if line.isascii() and _encode(record) == line:
            return record
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass  # the checks one by one say what is wrong, if something is
    parse(line)
    return read_record(line)


__all__ = ["NotCanonical", "read_line"]
