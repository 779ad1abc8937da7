"""JSON that every reader reads alike (RFC 8259 with the advice of RFC 7493, I-JSON), around the parser of the
standard library: its C scanner calls our hooks, so that strictness costs a fraction of a microsecond.

A parsed number is a ``msgspec.Raw`` of its source text, and is written again exactly as it came.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn

import msgspec

from guard.errors import ContentRefused

_MAX_NUMBER_CHARACTERS: Final = 4300
"""Longer numbers are refused: it is where Python's own ``int`` stops."""
_SAFE_NUMBER_CHARACTERS: Final = 300
"""An integer up to this length is finite in IEEE 754 double precision."""
_MEND: Final = "Send strict JSON (RFC 8259, I-JSON)."

_SURROGATE_ESCAPE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_BRACKET: Final = re.compile(r"[\[\]{}]")
_WHITESPACE: Final = str.maketrans(dict.fromkeys(" \t\n\r"))
_SLICE: Final = 32 * 1024
"""Characters that one call into C looks at: it holds the interpreter's lock, and with it every other request."""


class NotJson(ValueError):
    """The text is not JSON at all. The message names a line and column, never the text."""


def parse(text: str, *, max_depth: int, max_values: int) -> Any:
    """The JSON value of ``text``.

    Objects are dicts, arrays lists, numbers ``msgspec.Raw``. ``max_depth`` counts nested arrays and objects. Raises
    ``NotJson`` for a syntax error, and ``ContentRefused`` for ``json_duplicate_key``, ``json_number_invalid`` (NaN,
    infinities, magnitudes past a double, more than 4300 characters), ``json_text_invalid`` (lone surrogates),
    ``json_too_deep`` and ``json_too_many_values``. Linear in the length of the text; the number of values is checked
    before any is built.
    """
    if _count_values(text, max_values) > max_values:
        raise ContentRefused("json_too_many_values", "The JSON holds more values than the limit", where="body")
    may_be_deep = text.count("[") + text.count("{") > max_depth
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        if may_be_deep and _opens_deeper(text, max_depth):
            raise _too_deep() from None
        raise NotJson(f"line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise _too_deep() from None
    if may_be_deep and _deeper(value, max_depth):
        raise _too_deep()
    if _SURROGATE_ESCAPE.search(text):
        try:
            msgspec.json.encode(value)
        except UnicodeEncodeError:
            raise ContentRefused(
                "json_text_invalid", "A string holds half of a surrogate pair", where="body", mend=_MEND
            ) from None
    return value


def is_json(text: str, *, max_values: int) -> bool:
    """Whether a lenient reader takes the whole text for JSON, or may: past ``max_values`` values, or nesting past what
    the interpreter parses, only its last character is looked at."""
    if not text.rstrip(" \t\n\r").endswith(("}", "]", '"')):
        return False
    if _count_values(text, max_values) > max_values:
        return True
    try:
        json.loads(text, parse_int=_ignore, parse_float=_ignore)
    except json.JSONDecodeError:
        return False
    except RecursionError:
        return True
    return True


def is_wide_json(body: bytes, *, max_values: int) -> bool:
    """Whether a reader that guesses the charset takes the body for JSON in UTF-16 or UTF-32."""
    try:
        return is_json(body.decode(json.detect_encoding(body)), max_values=max_values)
    except UnicodeDecodeError:
        return False


def _ignore(_text: str) -> None:
    """Numbers are of no interest where only the syntax is."""


def encode(value: Any) -> bytes:
    """The UTF-8 JSON of a parsed value; numbers exactly as they came."""
    return msgspec.json.encode(value)


def _too_deep() -> ContentRefused:
    return ContentRefused("json_too_deep", "The JSON nests deeper than the limit", where="body")


def _outside_strings(text: str) -> Iterator[str]:
    """The text without its strings, each of which leaves a ``0``, slice by slice. An unterminated string goes to the
    end. Linear."""
    inside = False
    start = 0
    while start < len(text):
        part = text[start : start + _SLICE]
        # No slice ends inside an escape: an odd number of backslashes takes its next character along.
        if (len(part) - len(part.rstrip("\\"))) & 1:
            part = text[start : start + len(part) + 1]
        start += len(part)
        if "\\" in part:
            part = part.replace("\\\\", "").replace('\\"', "")
        pieces = part.split('"')
        outside = pieces[inside::2]
        inside ^= not len(pieces) & 1
        yield "0".join([*outside, ""] if inside and outside else outside)


def _count_values(text: str, enough: int) -> int:
    """How many values a JSON text holds, or some number past ``enough``: it stops counting there. Where brackets and
    commas, those in strings included, stay below ``enough``, at least as many."""
    bound = 1 + text.count(",") + text.count("[") + text.count("{")
    if bound <= enough:
        return bound
    count = 1
    opened = ""
    for part in _outside_strings(text):
        bare = opened + part.translate(_WHITESPACE)
        # A bracket at the end may be closed at once by the next slice: it is counted there.
        opened = bare[-1:] if bare.endswith(("[", "{")) else ""
        bare = bare[: len(bare) - len(opened)]
        count += bare.count(",") + bare.count("[") + bare.count("{") - bare.count("[]") - bare.count("{}")
        if count > enough:
            break
    return count + len(opened)


def _deeper(value: Any, max_depth: int) -> bool:
    """Whether arrays and objects nest deeper; level by level, without recursion."""
    level = [value] if isinstance(value, (dict, list)) else []
    depth = 0
    while level:
        depth += 1
        if depth > max_depth:
            return True
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, (dict, list))
        ]
    return False


def _opens_deeper(text: str, max_depth: int) -> bool:
    """The same for a text that is not JSON as a whole, by its brackets outside strings."""
    depth = 0
    for part in _outside_strings(text):
        for bracket in _BRACKET.findall(part):
            depth += 1 if bracket in "[{" else -1
            if depth > max_depth:
                return True
    return False


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ContentRefused("json_duplicate_key", "An object holds a key twice", where="body", mend=_MEND)
    return members


def _number(text: str) -> msgspec.Raw:
    if len(text) > _MAX_NUMBER_CHARACTERS or not math.isfinite(float(text)):
        _constant(text)
    return msgspec.Raw(text)


def _integer(text: str) -> msgspec.Raw:
    return msgspec.Raw(text) if len(text) <= _SAFE_NUMBER_CHARACTERS else _number(text)


def _constant(_text: str) -> NoReturn:
    raise ContentRefused(
        "json_number_invalid", "A number is NaN, infinite, past double precision or too long", where="body", mend=_MEND
    )


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_number, parse_int=_integer, parse_constant=_constant
)
