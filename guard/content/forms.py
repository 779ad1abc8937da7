"""Forms and query strings: ``application/x-www-form-urlencoded``.

Source: WHATWG URL standard, section "application/x-www-form-urlencoded" (pairs part at ``&`` only, ``+`` is a space,
empty pairs are nothing). Stricter than it: a ``%`` that begins no escape, and escapes that spell no UTF-8, are refused,
since readers keep, drop or replace them.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final
from urllib.parse import quote, unquote_to_bytes

import msgspec

from guard.content.edits import Edits
from guard.content.pieces import Pieces
from guard.content.places import UNKNOWN
from guard.content.walk import At, ReadLimits, Walk
from guard.errors import ContentRefused
from guard.keyed import KeyedHash
from guard.types import Content

MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
_BROKEN_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ESCAPE: Final = re.compile(rb"%[0-9A-Fa-f]{2}")


class _Pair(msgspec.Struct, frozen=True, gc=False):
    """A field: its name and value, decoded, and where they stand in the body (``value_start`` is -1 without ``=``)."""

    name: str
    value: str
    start: int
    name_end: int
    value_start: int
    end: int


def read_pairs(pieces: Pieces, start: int, end: int, base: str, where: str = "body") -> None:
    """Read the form in ``body[start:end]``; its pointers are ``<base>/<name>``, and ``<base>/<name>/<n>`` for names
    that come more than once.

    Raises ``ContentRefused``: ``form_invalid`` for a broken escape, ``text_invalid`` for escapes or bytes that are not
    UTF-8, ``form_limit`` past the number or size of fields.
    """
    pieces.count_fields(pieces.body.count(b"&", start, end) + 1, where)
    pairs = list(_pairs(pieces, start, end, where))
    counts = Counter(pair.name for pair in pairs)
    seen: Counter[str] = Counter()
    walk = pieces.walk
    for pair in pairs:
        pointer = f"{base}/{walk.token(pair.name)}"
        if counts[pair.name] > 1:
            pointer += f"/{seen[pair.name]}"
            seen[pair.name] += 1
        if pair.name and not walk.is_recognised(pair.name):
            walk.emit(pair.name, pieces.add(pair.name, pair.start, pair.name_end, _encode), pointer, "key")
        if pair.value:
            slot = pieces.add(pair.value, pair.value_start, pair.end, _encode)
            walk.string(pair.value, slot, At(pointer, UNKNOWN, "unknown"))


def _pairs(pieces: Pieces, start: int, end: int, where: str) -> list[_Pair]:
    body = pieces.body
    pairs: list[_Pair] = []
    while start < end:
        stop = body.find(b"&", start, end)
        if stop < 0:
            stop = end
        pieces.check_field(stop - start, where)
        equals = body.find(b"=", start, stop)
        name_end = stop if equals < 0 else equals
        name = _decode(body[start:name_end], where)
        value = "" if equals < 0 else _decode(body[equals + 1 : stop], where)
        if stop > start:
            pairs.append(_Pair(name, value, start, name_end, equals + 1 if equals >= 0 else -1, stop))
        start = stop + 1
    return pairs


def _decode(raw: bytes, where: str) -> str:
    if b"%" in raw and _BROKEN_ESCAPE.search(raw):
        raise ContentRefused(
            "form_invalid", "A percent sign begins no escape", where=where, mend="Write a percent sign as %25."
        )
    try:
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise ContentRefused("text_invalid", "A field is not UTF-8", where=where, mend="Send UTF-8.") from None


def _encode(text: str) -> bytes:
    # Spaces as %20: those who read "+" as itself read them too.
    return quote(text, safe="*").encode()


def has_escapes(body: bytes) -> bool:
    """Whether a form reader takes something in the bytes for an escape."""
    return _ESCAPE.search(body) is not None


def read_query(
    query_string: bytes,
    *,
    keyed: KeyedHash,
    limits: ReadLimits,
    field_names: frozenset[str] = frozenset(),
) -> Content:
    """The texts of a query string (ASGI's ``query_string``, without ``?``); pointers begin with ``query/``.

    Raises ``ContentRefused`` as forms do: ``form_invalid``, ``text_invalid``, ``form_limit``.
    """
    walk = Walk(keyed, limits, field_names, size_bytes=len(query_string))
    pieces = Pieces(query_string, walk, limits)
    if query_string:
        read_pairs(pieces, 0, len(query_string), "query", "query")
    return Content(
        media_type=MEDIA_TYPE,
        size_bytes=len(query_string),
        segments=tuple(walk.segments),
        skipped=walk.all_skipped(),
        tree=pieces.tree(),
    )


def write_query(content: Content, edits: Edits) -> bytes:
    """The query string again, with texts edited; pairs without an edit are the same bytes. ``edits`` as in
    ``guard.content.write``."""
    return content.tree.write(content.segments, edits)  # type: ignore[no-any-return]
