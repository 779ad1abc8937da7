"""The beginning of a body that is too large to be held whole: cut so that what is kept can be read by itself.

A part of a JSON text means nothing, and a part of a compressed body cannot be inflated within its bounds: both are
refused. Text is cut between two characters, records and fields after a whole one, a multipart body inside its last part
(or before it, if that part cannot be read half).
"""

from __future__ import annotations

import json
import re
from typing import Final

import msgspec

from guard.content import coverage
from guard.content.headers import Head
from guard.content.media_types import reading
from guard.content.multipart import delimiter_of
from guard.content.reader import read
from guard.content.shapes import ShapeName, choose
from guard.content.walk import ReadLimits
from guard.errors import ContentRefused
from guard.keyed import KeyedHash
from guard.types import Content, Skipped

_SNIFFED_BYTES: Final = 4096
# White space and byte order marks in every encoding of JSON.
_BEFORE_JSON: Final = b" \t\n\r\x00\xef\xbb\xbf\xfe\xff"
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_MEND: Final = "send less, raise limits.max_body_bytes, or send a media type that can be inspected in parts"


def read_beginning(
    body: bytes,
    head: Head,
    *,
    shape: ShapeName,
    path: str,
    keyed: KeyedHash,
    limits: ReadLimits,
    field_names: frozenset[str] = frozenset(),
) -> Content:
    """The texts of the first ``limits.inspect_limit_bytes`` bytes of ``body``; all behind them is ``body_limit``.

    ``size_bytes`` is the declared length, or that of ``body``, which is what is known of it. Raises ``ContentRefused``:
    ``body_too_large`` for JSON and compressed bodies, else as ``read`` does.
    """
    if head.content_encodings:
        raise ContentRefused("body_too_large", "a compressed body is held whole or not at all", mend=_MEND)
    if _is_json(body, head):
        raise ContentRefused("body_too_large", "a JSON body is read whole or not at all", mend=_MEND)
    kept = body[: limits.inspect_limit_bytes]
    refusal: ContentRefused | None = None
    for candidate in _cuts(kept, head):
        try:
            content = read(
                candidate, head, shape=shape, path=path, stage="request", keyed=keyed, limits=limits,
                field_names=field_names,
            )  # fmt: skip
        except ContentRefused as error:
            refusal = error
        else:
            return msgspec.structs.replace(
                content,
                skipped=(*content.skipped, Skipped("", coverage.BODY_LIMIT)),
                size_bytes=head.content_length or len(body),
                facts=msgspec.structs.replace(content.facts, operation=choose(shape, path).operation),
            )
    if refusal is None or reading(head.media_type) == "multipart":
        raise ContentRefused("body_too_large", "its beginning cannot be read by itself", mend=_MEND)
    raise refusal


def _is_json(body: bytes, head: Head) -> bool:
    """Whether an app may take the body for JSON: it is declared so, or begins so and nothing readable is declared."""
    how = reading(head.media_type)
    if how not in ("none", "opaque"):
        return how == "json"
    start = body.lstrip(_BEFORE_JSON)[:_SNIFFED_BYTES]
    text = start.decode(json.detect_encoding(start), "ignore").lstrip(" \t\n\r")
    return text.startswith(("{", "[")) and _CONTROL.search(text) is None


def _cuts(kept: bytes, head: Head) -> list[bytes]:
    """The beginnings that can stand by themselves, the longest first."""
    match reading(head.media_type):
        case "multipart":
            return _parts(kept, delimiter_of(head.boundary or ""))
        case "lines":
            return [kept[: kept.rfind(b"\n") + 1]]
        case "sequence":
            return [kept[: max(0, kept.rfind(b"\x1e"))]]
        case "form":
            return [kept[: max(0, kept.rfind(b"&"))]]
        case "opaque":
            return [kept]
    return [_characters(kept)]


def _parts(kept: bytes, delimiter: bytes) -> list[bytes]:
    """With the last part closed where it was cut, and without that part."""
    closing = b"\r\n" + delimiter + b"--\r\n"
    before = kept.rfind(b"\r\n" + delimiter)
    # A delimiter that was itself cut would be read as data of the part.
    cut = next((kept[:-size] for size in range(len(closing), 0, -1) if kept.endswith(closing[:size])), kept)
    return [_characters(cut) + closing, *([kept[:before] + closing] if before > 0 else [])]


def _characters(kept: bytes) -> bytes:
    """Without the bytes of a UTF-8 character that was cut. In other charsets up to three bytes less are read."""
    for size in range(1, 4):
        byte = kept[-size] if size <= len(kept) else 0
        if byte < 0x80:
            return kept
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return kept[:-size] if size < length else kept
    return kept
