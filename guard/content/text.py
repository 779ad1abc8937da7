"""Bytes of a text body as text, in one way only.

Sources: WHATWG Encoding standard (where the labels of ISO-8859-1 and windows-1252 collide), RFC 8259 section 8.1 (JSON
is UTF-8; a parser may ignore a byte order mark), XML 1.0 section 4.3.3 (encoding declaration).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from guard.content.edits import Edits
from guard.content.headers import CHARSETS
from guard.content.markup import edited
from guard.errors import ContentRefused, ObligationFailed
from guard.types import Segment

_BOM: Final = "\ufeff"
_WIDE_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")
_C1: Final = re.compile("[\x80-\x9f]")
_XML_ENCODING: Final = re.compile(rb"""\s*<\?xml[^>]{0,200}?\bencoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_MEND: Final = "Send UTF-8."


class TextTree(msgspec.Struct, frozen=True, eq=False):
    """A text body: written again in its own charset, with its byte order mark if it had one."""

    text: str
    codec: str
    marked: bool

    def write(self, segments: Sequence[Segment], edits: Edits) -> bytes:
        """The body with the edits of its one segment. Raises ``ObligationFailed`` if the charset cannot hold them."""
        return self.encode(edited(segments[0], edits.get(0, ())) if segments else self.text)

    def encode(self, text: str) -> bytes:
        """The bytes of another text in the same charset. Raises ``ObligationFailed`` if the charset cannot hold it."""
        try:
            return ((_BOM if self.marked else "") + text).encode(self.codec)
        except UnicodeEncodeError:
            raise ObligationFailed(
                "The new text cannot be written in the body's charset",
                where="rewriting the body",
                mend="Send UTF-8, or choose an operator whose text is ASCII.",
            ) from None


def is_wide(body: bytes) -> bool:
    """Whether a JSON reader that guesses would take the body for UTF-16 or UTF-32 (a NUL in the first four bytes, or
    one of their byte order marks)."""
    return b"\x00" in body[:4] or body.startswith(_WIDE_BOMS)


def decode_text(body: bytes, codec: str | None) -> tuple[str, TextTree]:
    """The text of a body, without its byte order mark, and the tree that writes it.

    ``codec`` is a value of ``guard.content.headers.CHARSETS``; ``None`` is UTF-8. Raises ``ContentRefused``:
    ``charset_unsupported`` if the body looks like UTF-16 or UTF-32, or if an XML declaration names another charset;
    ``text_invalid`` if the bytes are not valid, or mean different characters to different readers (0x80 to 0x9f in
    ISO-8859-1).
    """
    if is_wide(body):
        raise ContentRefused("charset_unsupported", "The body is UTF-16 or UTF-32", where="body", mend=_MEND)
    name = codec or "utf-8"
    declared = _XML_ENCODING.match(body.removeprefix(_BOM.encode())[:512])
    if declared is not None and CHARSETS.get(declared[1].decode().lower()) != name:
        raise ContentRefused(
            "charset_unsupported", "The XML declaration names another charset", where="body", mend=_MEND
        )
    try:
        text = body.decode(name)
    except UnicodeDecodeError as error:
        raise _invalid(f"byte {error.start} is not valid in its charset") from None
    if name == "latin-1" and _C1.search(text):
        raise _invalid("a byte from 0x80 to 0x9f is read differently by different readers of ISO-8859-1")
    marked = text.startswith(_BOM)
    if marked:
        text = text[1:]
    return text, TextTree(text, name, marked)


def _invalid(what: str) -> ContentRefused:
    return ContentRefused("text_invalid", f"The body is not readable: {what}", where="body", mend=_MEND)
