"""The parts of a multipart body as segments: each is read by its own media type; names and file names are texts too."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from guard.content import coverage, multipart, strict
from guard.content.forms import read_pairs
from guard.content.headers import CHARSETS
from guard.content.media_types import reading
from guard.content.multipart import Field, Part
from guard.content.pieces import Pieces, StatedLength
from guard.content.places import METADATA
from guard.content.records import read_lines, read_sequence
from guard.content.text import decode_text, is_wide
from guard.content.values import read_json, read_text
from guard.content.walk import MEDIA_REASONS, At
from guard.errors import ContentRefused, ObligationFailed

_FORM: Final = "multipart/form-data"
_UNQUOTABLE: Final = re.compile(r'["\\\x00-\x1f\x7f]|=\?[^?\s]+\?[bBqQ]\?')
_NOT_IN_HEADERS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|=\?[^?\s]+\?[bBqQ]\?")
_NOT_IN_TEXT: Final = re.compile("[\x00-\x08\x0b\x0e-\x1f]")


def read_parts(pieces: Pieces, media_type: str, boundary: str) -> bytes:
    """Read the parts of the body. A field of a form stands at ``/<name>``, with ``/<n>`` if its name comes more than
    once; a part of another multipart type at ``/<n>``. A part's file name stands at ``<part>/filename``. Returns what
    begins each delimiter line.

    Raises ``ContentRefused`` as ``multipart.split`` and ``multipart.read_part``; ``media_type_unsupported`` for a part
    that is multipart itself; ``form_limit``; and for data as a body of its media type would be refused.
    """
    body = pieces.body
    delimiter = multipart.delimiter_of(boundary)
    pieces.count_fields(body.count(delimiter) - 1)
    parts = [multipart.read_part(body, *span) for span in multipart.split(body, boundary)]
    is_form = media_type == _FORM
    names = [_name(part).text if is_form else "" for part in parts]
    counts = Counter(names)
    seen: Counter[str] = Counter()
    for number, (part, name) in enumerate(zip(parts, names, strict=True)):
        pointer = f"/{pieces.walk.token(name)}" if is_form else f"/{number}"
        if is_form and counts[name] > 1:
            pointer += f"/{seen[name]}"
            seen[name] += 1
        _headers(pieces, part, pointer)
        if part.stated_length is not None:
            pieces.lengths.append(StatedLength(*part.stated_length, part.start, part.end))
        if part.start < part.end:
            _data(pieces, part, pointer)
    return delimiter


def _name(part: Part) -> Field:
    name = part.parameter("name")
    if part.disposition != "form-data" or name is None:
        raise multipart.invalid("A part of a form has no name")
    return name


def _headers(pieces: Pieces, part: Part, pointer: str) -> None:
    walk = pieces.walk
    for field in part.parameters:
        is_name = field.name == "name"
        if not field.text or (is_name and walk.is_recognised(field.text)):
            continue
        slot = pieces.add(field.text, field.start, field.end, _quoted)
        if is_name:
            walk.emit(field.text, slot, pointer, "key")
        else:
            token = field.name if field.name == "filename" else walk.token(field.name)
            walk.emit(field.text, slot, f"{pointer}/{token}", "metadata")
    for field in part.others:
        if field.text:
            slot = pieces.add(field.text, field.start, field.end, _header_value)
            walk.string(field.text, slot, At(f"{pointer}/{walk.token(field.name)}", METADATA, "metadata"))


def _data(pieces: Pieces, part: Part, pointer: str) -> None:
    start, end = part.start, part.end
    is_file = part.parameter("filename") is not None
    if not is_file:
        pieces.check_field(end - start)
    if part.parameter("name") and _is_charset_field(part):
        _check_charset(pieces.body[start:end])
    # RFC 7578 section 4.4: a part without Content-Type is text.
    how = reading(part.media_type or "text/plain")
    match how:
        case "multipart":
            raise ContentRefused("media_type_unsupported", "A part is multipart itself", where="body")
        case "json":
            read_json(pieces, start, end, pointer, what="A part", charset=part.charset)
        case "form":
            read_pairs(pieces, start, end, pointer)
        case "lines":
            read_lines(pieces, start, end, pointer)
        case "sequence":
            read_sequence(pieces, start, end, pointer)
        case "opaque":
            _opaque(pieces, part, pointer)
        case _:
            read_text(pieces, start, end, pointer, media_type=part.media_type, charset=part.charset)


def _is_charset_field(part: Part) -> bool:
    """Whether the part is the field of RFC 7578 section 4.6, which gives others their charset."""
    name = part.parameter("name")
    return name is not None and name.text == "_charset_"


def _check_charset(value: bytes) -> None:
    if CHARSETS.get(value.decode("latin-1").strip().lower()) not in ("utf-8", "ascii"):
        raise ContentRefused(
            "charset_unsupported", "The form names another charset", where="body", mend="Send the form as UTF-8."
        )


def _opaque(pieces: Pieces, part: Part, pointer: str) -> None:
    """A file of a type that is not read: JSON is, since apps parse it anyway, and so is a text of no declared type."""
    data = pieces.body[part.start : part.end]
    if is_wide(data) and strict.is_wide_json(data, max_values=pieces.limits.max_json_values):
        raise ContentRefused("charset_unsupported", "A part is JSON in UTF-16 or UTF-32", where="body")
    like_json = data.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\n\r")[:1] in (b"{", b"[")
    if like_json or part.media_type == "application/octet-stream":
        try:
            text, _ = decode_text(data, None)
        except ContentRefused:
            text = "\x00"
        if not _NOT_IN_TEXT.search(text):
            read_text(pieces, part.start, part.end, pointer, media_type="", charset=None)
            return
    pieces.walk.skip(pointer, MEDIA_REASONS.get(part.media_type.partition("/")[0], coverage.FILE))


def _refused(pattern: re.Pattern[str], text: str) -> None:
    if pattern.search(text):
        raise ObligationFailed("The new text cannot stand in a header of a part", where="rewriting the body")


def _quoted(text: str) -> bytes:
    _refused(_UNQUOTABLE, text)
    return f'"{text}"'.encode()


def _header_value(text: str) -> bytes:
    _refused(_NOT_IN_HEADERS, text)
    return text.encode()
