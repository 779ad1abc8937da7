"""The parts of a multipart body, read so that no two readers can part it differently.

Sources: RFC 2046 section 5.1 (boundary, delimiter lines), RFC 7578 (multipart/form-data), RFC 2183
(Content-Disposition), RFC 5322 section 2.2 (header fields). What these allow and readers treat differently is refused:
text before the first or after the last delimiter, bare line feeds, padding after a delimiter, the boundary anywhere
inside a part, folded or repeated header lines, ``filename*``, quoted pairs and encoded words.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from guard.content.headers import parse_content_type
from guard.errors import ContentRefused

_MAX_HEADER_BYTES: Final = 8 * 1024
_MAX_HEADERS: Final = 16
_MEND: Final = "Send multipart as browsers do (RFC 7578), and nothing around it."

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_HEADER: Final = re.compile(rb"(" + _TOKEN + rb"):[ \t]*+((?:[^\x00-\x20\x7f]|[ \t]++(?=[^\x00-\x20\x7f]))*+)[ \t]*+")
_KIND: Final = re.compile(rb"(" + _TOKEN + rb")[ \t]*")
_PARAMETER: Final = re.compile(rb";[ \t]*+(" + _TOKEN + rb")=(?:(" + _TOKEN + rb')|"([^"\\\x00-\x1f\x7f]*+)")[ \t]*+')
_ENCODED_WORD: Final = re.compile(rb"=\?[^?\s]+\?[bBqQ]\?")
_IDENTITY: Final = frozenset({b"7bit", b"8bit", b"binary"})


class Field(msgspec.Struct, frozen=True, gc=False):
    """A text of a part's headers: ``body[start:end]``, with its quotes if it has any."""

    name: str
    text: str
    start: int
    end: int


class Part(msgspec.Struct, frozen=True):
    """One part. ``parameters`` are those of Content-Disposition; ``others`` the header fields that say nothing about
    how to read it. ``media_type`` is ``""`` without Content-Type. The data is ``body[start:end]``."""

    start: int
    end: int
    disposition: str
    parameters: tuple[Field, ...]
    others: tuple[Field, ...]
    media_type: str
    charset: str | None
    stated_length: tuple[int, int] | None

    def parameter(self, name: str) -> Field | None:
        """The parameter of Content-Disposition with that name."""
        return next((field for field in self.parameters if field.name == name), None)


def invalid(what: str) -> ContentRefused:
    """The refusal of a body that is no strict multipart."""
    return ContentRefused("multipart_invalid", what, where="body", mend=_MEND)


def delimiter_of(boundary: str) -> bytes:
    """What begins each delimiter line."""
    return b"--" + boundary.encode()


def split(body: bytes, boundary: str) -> list[tuple[int, int]]:
    """Where each part begins (its headers) and ends. Raises ``ContentRefused`` (``multipart_invalid``)."""
    delimiter = delimiter_of(boundary)
    if not body.startswith(delimiter):
        raise invalid("The body does not begin with its boundary")
    size = len(delimiter)
    spans: list[tuple[int, int]] = []
    at = 0
    while True:
        after = at + size
        if body.startswith(b"--", after):
            if body[after + 2 : after + 5] not in (b"", b"\r\n"):
                raise invalid("Something follows the closing boundary")
            return spans
        if not body.startswith(b"\r\n", after):
            raise invalid("The boundary is followed by something else than a line end, or stands inside a part")
        begin = after + 2
        at = body.find(delimiter, begin)
        if at < 0:
            raise invalid("The closing boundary is missing")
        if at - 2 < begin or body[at - 2 : at] != b"\r\n":
            raise invalid("The boundary stands inside a part, or its line end is not CRLF")
        spans.append((begin, at - 2))


def read_part(body: bytes, begin: int, end: int) -> Part:
    """The headers of the part in ``body[begin:end]``.

    Raises ``ContentRefused``: ``multipart_invalid``, ``text_invalid`` for headers that are not UTF-8, ``form_limit``
    for more than 16 header lines or 8 KiB of them, ``part_encoding_unsupported``, ``content_type_invalid`` and
    ``charset_unsupported``.
    """
    headers: dict[bytes, tuple[int, int]] = {}
    data = begin
    while not body.startswith(b"\r\n", data):
        stop = body.find(b"\r\n", data, min(end, begin + _MAX_HEADER_BYTES))
        if stop < 0 and end - begin > _MAX_HEADER_BYTES:
            raise ContentRefused("form_limit", "The headers of a part are larger than the limit", where="body")
        line = _HEADER.fullmatch(body, data, stop) if stop >= 0 else None
        if line is None:
            raise invalid("A header line of a part is malformed, folded or cut off")
        name = line[1].lower()
        if name in headers:
            raise invalid("A part has a header twice")
        if _ENCODED_WORD.search(line[2]):
            raise invalid("A header of a part holds an encoded word (RFC 2047)")
        headers[name] = line.span(2)
        if len(headers) > _MAX_HEADERS:
            raise ContentRefused("form_limit", "A part has more headers than the limit", where="body")
        data = stop + 2
    if data + 2 > end:
        raise invalid("A part has no blank line after its headers")
    return _part(body, headers, data + 2, end)


def _part(body: bytes, headers: dict[bytes, tuple[int, int]], start: int, end: int) -> Part:
    def taken(name: bytes) -> bytes | None:
        span = headers.pop(name, None)
        return None if span is None else body[slice(*span)]

    disposition = headers.pop(b"content-disposition", None)
    kind, parameters = ("", ()) if disposition is None else _disposition(body, *disposition)
    if (taken(b"content-transfer-encoding") or b"binary").lower() not in _IDENTITY or b"content-encoding" in headers:
        raise ContentRefused(
            "part_encoding_unsupported", "A part is encoded for transfer", where="body", mend="Send the part as it is."
        )
    stated = headers.pop(b"content-length", None)
    if stated is not None and body[slice(*stated)] != str(end - start).encode():
        raise invalid("The Content-Length of a part differs from its length")
    type_span = headers.get(b"content-type")
    media_type, charset, _ = ("", None, None) if type_span is None else parse_content_type(body[slice(*type_span)])
    if type_span is not None and _plain_type(body[slice(*type_span)]):
        del headers[b"content-type"]
    others = tuple(Field(name.decode(), _text(body, *span), *span) for name, span in headers.items())
    return Part(start, end, kind, parameters, others, media_type, charset, stated)


def _plain_type(value: bytes) -> bool:
    """Whether a Content-Type has no room for a text."""
    return re.fullmatch(rb"[a-zA-Z0-9.+/-]{1,80}(?:; *charset=[A-Za-z0-9-]{1,20})?", value) is not None


def _disposition(body: bytes, start: int, end: int) -> tuple[str, tuple[Field, ...]]:
    kind = _KIND.match(body, start, end)
    if kind is None:
        raise invalid("Content-Disposition is malformed")
    fields: list[Field] = []
    position = kind.end()
    while position < end:
        match = _PARAMETER.match(body, position, end)
        if match is None:
            raise invalid("A parameter of Content-Disposition is malformed, or holds a backslash")
        name = match[1].decode().lower()
        if "*" in name:
            raise invalid("A parameter of Content-Disposition is extended (filename*), which few readers read")
        if any(field.name == name for field in fields):
            raise invalid("A parameter of Content-Disposition comes twice")
        if match[2] is not None:
            fields.append(Field(name, match[2].decode(), *match.span(2)))
        else:
            fields.append(Field(name, _text(body, *match.span(3)), match.start(3) - 1, match.end(3) + 1))
        position = match.end()
    return kind[1].decode().lower(), tuple(fields)


def _text(body: bytes, start: int, end: int) -> str:
    try:
        return body[start:end].decode()
    except UnicodeDecodeError:
        raise ContentRefused(
            "text_invalid", "A header of a part is not UTF-8", where="body", mend="Send UTF-8."
        ) from None
