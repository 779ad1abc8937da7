"""What the headers of a message say about its body, read so that no two readers can disagree.

Sources: RFC 9110 section 8.3 (Content-Type), 8.4 (Content-Encoding), 8.6 (Content-Length); RFC 9112 section 6.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from guard.errors import ContentRefused

_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE: Final = re.compile(rf"({_NAME}/{_NAME})[ \t]*")
_PARAMETER: Final = re.compile(
    rf';[ \t]*(?:({_NAME})=(?:({_NAME})|"((?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t\x20-\x7e])*)"))?[ \t]*'
)
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
_CODING: Final = re.compile(_NAME)
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_READ_PARAMETERS: Final = frozenset({"charset", "boundary"})

CHARSETS: Final = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "ascii",
    "ascii": "ascii",
    "iso-8859-1": "latin-1",
    "latin1": "latin-1",
    "windows-1252": "cp1252",
}
"""Charset label of IANA, in lower case -> Python codec. Every other label is refused."""


class Head(msgspec.Struct, frozen=True):
    """The headers that say how to read a body.

    ``media_type`` is lower case and ``""`` if none was sent; ``charset`` is the Python codec of the ``charset``
    parameter, ``boundary`` that of a multipart body; ``content_encodings`` come in the order in which they were
    applied, without ``identity``; ``content_length`` counts bytes as they are sent.
    """

    media_type: str = ""
    charset: str | None = None
    content_encodings: tuple[str, ...] = ()
    content_length: int | None = None
    boundary: str | None = None


def parse_head(headers: Iterable[tuple[bytes, bytes]]) -> Head:
    """Read the headers of a request or an answer.

    Raises ``ContentRefused``: ``content_type_invalid`` if Content-Type is repeated or malformed,
    ``charset_unsupported`` for a charset that we don't read, ``content_length_invalid`` if Content-Length is repeated,
    malformed or sent together with Transfer-Encoding, ``content_encoding_unsupported`` for a malformed
    Content-Encoding.
    """
    content_type: bytes | None = None
    content_length: bytes | None = None
    chunked = False
    codings: tuple[str, ...] = ()
    for raw_name, value in headers:
        name = raw_name.lower()
        if name == b"content-type":
            if content_type is not None:
                raise _refused("content_type_invalid", "Content-Type is sent twice", "Send it once.")
            content_type = value
        elif name == b"content-length":
            if content_length is not None:
                raise _refused("content_length_invalid", "Content-Length is sent twice", "Send it once.")
            content_length = value
        elif name == b"transfer-encoding":
            chunked = True
        elif name == b"content-encoding":
            codings += _codings(value)
    if chunked and content_length is not None:
        raise _refused(
            "content_length_invalid", "Content-Length and Transfer-Encoding are sent together", "Send one of them."
        )
    media_type, charset, boundary = ("", None, None) if content_type is None else parse_content_type(content_type)
    length = None if content_length is None else _length(content_length)
    return Head(media_type, charset, codings, length, boundary)


def _refused(code: str, what: str, mend: str) -> ContentRefused:
    return ContentRefused(code, what, where="headers", mend=mend)


def _length(value: bytes) -> int:
    if not _LENGTH.fullmatch(value):
        raise _refused("content_length_invalid", "Content-Length is not a number", "Send the body's length in bytes.")
    return int(value)


def _codings(value: bytes) -> tuple[str, ...]:
    names = [name.strip(" \t").lower() for name in value.decode("latin-1").split(",")]
    for name in names:
        if name and not _CODING.fullmatch(name):
            raise _refused("content_encoding_unsupported", "Content-Encoding is malformed", "Name the encoding.")
    return tuple(name for name in names if name not in ("", "identity"))


def parse_content_type(value: bytes) -> tuple[str, str | None, str | None]:
    """Media type in lower case, Python codec of the charset, and boundary of a multipart type (RFC 2046 section 5.1.1).

    Raises ``ContentRefused``: ``content_type_invalid``, ``charset_unsupported``.
    """
    if value == b"application/json":
        return "application/json", None, None
    text = value.decode("latin-1").strip(" \t")
    match = _MEDIA_TYPE.match(text)
    if match is None:
        raise _refused("content_type_invalid", "Content-Type is malformed", "Send type/subtype.")
    media_type = match[1].lower()
    found: dict[str, str] = {}
    position = match.end()
    while position < len(text):
        parameter = _PARAMETER.match(text, position)
        if parameter is None:
            raise _refused("content_type_invalid", "A parameter of Content-Type is malformed", "Send name=value.")
        position = parameter.end()
        name = (parameter[1] or "").lower()
        if name.partition("*")[0] in _READ_PARAMETERS:
            if name in found or "*" in name:
                raise _refused("content_type_invalid", "Content-Type names its charset or boundary twice", "Name one.")
            found[name] = parameter[2] if parameter[2] is not None else parameter[3]
    return media_type, _codec(found.get("charset")), _boundary(media_type, found.get("boundary"))


def _codec(label: str | None) -> str | None:
    if label is None:
        return None
    codec = CHARSETS.get(re.sub(r"\\(.)", r"\1", label).lower())
    if codec is None:
        raise _refused("charset_unsupported", "The charset is not one of those that are read", "Send UTF-8.")
    return codec


def _boundary(media_type: str, value: str | None) -> str | None:
    """The boundary of a multipart body; a quoted pair in it is read differently by different readers."""
    if not media_type.startswith("multipart/"):
        return None
    if value is None or not _BOUNDARY.fullmatch(value):
        raise _refused(
            "content_type_invalid", "The boundary is missing or malformed", "Send a boundary as RFC 2046 defines it."
        )
    return value
