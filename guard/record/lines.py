"""One record line, proven canonical (RFC 8785) and inside the schema, at the least cost.

The proof that is cheap: the line, read by the schema and written again with sorted keys, is the line. The encoder knows
one spelling for each value and one order for each object, so a repeated key, a space, an escape or another spelling of
a number could not come out again. What it does not show is asked beside it: keys in ASCII, no float, no integer past
2**53 - 1. A line for which the cheap proof fails goes through the checks one by one, which say what is wrong, or that
nothing is: a field that the schema defaults may be left out.
"""

from __future__ import annotations

from typing import Final, NoReturn

import msgspec

from guard.record.canonical import NotCanonical, parse
from guard.record.schema import AnyRecord, read_record

_RUN: Final = b"0" * 16
"""2**53 - 1 = 9007199254740991 has sixteen digits."""
_DIGITS: Final = bytes(ord("0") if chr(code).isdigit() and code < 128 else ord(" ") for code in range(256))


def _refuse_float(text: str) -> NoReturn:
    raise ValueError(f"{text} is not an integer")


_decode: Final = msgspec.json.Decoder(AnyRecord, float_hook=_refuse_float).decode
_encode: Final = msgspec.json.Encoder(order="sorted").encode


def read_line(line: bytes) -> AnyRecord:
    """The record of a line without its newline. Raises ``NotCanonical``, whose message holds no value of the record."""
    try:
        record: AnyRecord | None = _decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        record = None
    if record is not None and line.isascii() and _encode(record) == line and not may_hold_large_integer(line):
        return record
    parse(line)
    return read_record(line)


def may_hold_large_integer(line: bytes) -> bool:
    """Whether some run of digits reads as more than 2**53 - 1. Digits inside strings count, too: no means no."""
    runs = line.translate(_DIGITS)
    at = runs.find(_RUN)
    while at >= 0:
        end = at + len(_RUN)
        if runs.startswith(b"0", end) or line.startswith(b"9", at):
            return True
        at = runs.find(_RUN, end)
    return False


__all__ = ["NotCanonical", "may_hold_large_integer", "read_line"]
