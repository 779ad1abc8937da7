"""Canonical bytes of a record: RFC 8785 (JSON Canonicalization Scheme) for the subset of JSON that records use.

The subset: objects with ASCII keys, lists, strings without lone surrogates, integers within +-(2**53 - 1), booleans
and null. Inside it, JCS has no number formatting and sorts keys byte by byte, which is what msgspec's deterministic
encoder does (a property test holds the two against each other). Everything outside it is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Final, NoReturn

import msgspec
from msgspec import Meta

MAX_INTEGER: Final = 2**53 - 1
"""The largest integer that every JSON reader holds exactly (RFC 8785 section 3.2.2.3)."""

Integer = Annotated[int, Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
Natural = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]

encode: Final = msgspec.json.Encoder(order="deterministic").encode
"""The canonical bytes of a value that is known to lie inside the subset; of others, bytes that may not be canonical."""


class NotCanonical(ValueError):
    """A value outside the subset, or bytes that are not its canonical form."""


def _refuse_float(text: str) -> NoReturn:
    raise NotCanonical(f"{text} is not an integer")


_decode: Final = msgspec.json.Decoder(float_hook=_refuse_float).decode

# What may be an integer past 2**53 - 1 = 9007199254740991: seventeen digits, or sixteen from 9 on (no time stamp is).
_LONG_NUMBER: Final = re.compile(rb"[:\[,]-?(?:\d{17}|9\d{15})")


def canonical(value: Any) -> bytes:
    """The RFC 8785 bytes of ``value``. Raises ``NotCanonical`` for a value outside the subset."""
    try:
        _check_values((value,))
        line = encode(value)
        if not line.isascii():
            _check_keys(value)
    except UnicodeEncodeError:
        raise NotCanonical("a string holds a lone surrogate") from None
    except TypeError:
        raise NotCanonical("a key is not a string") from None
    except RecursionError:
        raise NotCanonical("the value nests too deep") from None
    return line


def parse(line: bytes) -> dict[str, Any]:
    """The object whose canonical bytes are ``line``. Raises ``NotCanonical`` if it is none, or in another form.

    One object has one form, so a repeated key, an added space or another spelling of a number is an error here.
    """
    try:
        value = _decode(line)
        if type(value) is not dict:
            raise NotCanonical("not a JSON object")
        if not line.isascii():
            _check_keys(value)
        if _LONG_NUMBER.search(line):
            _check_values((value,))
        if encode(value) != line:
            raise NotCanonical("not in canonical form (RFC 8785)")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotCanonical(f"not valid JSON: {error}") from None
    except RecursionError:
        raise NotCanonical("nests too deep") from None
    return value


def _check_values(values: Iterable[Any]) -> None:
    for value in values:
        kind = type(value)
        if kind is str or kind is bool or value is None:
            continue
        if kind is int:
            if not -MAX_INTEGER <= value <= MAX_INTEGER:
                raise NotCanonical(f"the integer {value} lies outside +-(2**53 - 1)")
        elif kind is dict:
            _check_values(value.values())
        elif kind is list:
            _check_values(value)
        else:
            raise NotCanonical(f"a {kind.__name__} has no place in a record")


def _check_keys(value: Any) -> None:
    if type(value) is dict:
        for key, item in value.items():
            if not key.isascii():
                raise NotCanonical(f"the key {key!r} is not ASCII")
            _check_keys(item)
    elif type(value) is list:
        for item in value:
            _check_keys(item)
