"""Content encodings undone, with the size checked while it grows.

Source: RFC 9110 section 8.4.1. Which codings there are stands in ``guard.content.inflate``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from guard.content.inflate import CODINGS, Damaged, Inflate
from guard.errors import ContentRefused

_RATIO_FLOOR: Final = 64 * 1024
"""Bytes that any body may decompress to, whatever its ratio: short repetitive texts pack very well."""
_MAX_ENCODINGS: Final = 2


def decode(body: bytes, encodings: Sequence[str], *, max_bytes: int, max_ratio: int) -> bytes:
    """The body without its content encodings, which are named in the order in which they were applied.

    gzip and deflate always, ``br`` and ``zstd`` where their libraries are installed. Nothing decompresses past
    ``max_bytes``, nor past ``max_ratio`` times the length of ``body`` once it is over 64 KiB; the bounds hold for each
    layer, and memory stays within them but for one piece (256 KiB). An empty body stays empty. Raises
    ``ContentRefused``: ``content_encoding_unsupported`` for other encodings or more than two,
    ``content_encoding_invalid`` for damaged or truncated data and for anything after its end, ``decompression_limit``
    past the bounds.
    """
    names = [name for name in encodings if name != "identity"]
    if len(names) > _MAX_ENCODINGS:
        raise _refused("content_encoding_unsupported", "More than two content encodings are stacked")
    for name in names:
        if name not in CODINGS:
            known = ", ".join(name for name in CODINGS if not name.startswith("x-"))
            raise _refused("content_encoding_unsupported", f"The content encoding is none of {known}")
    bound = min(max_bytes, max(max_ratio * len(body), _RATIO_FLOOR))
    for name in reversed(names):
        if body:
            body = _bounded(CODINGS[name], body, bound)
    return body


def _refused(code: str, what: str) -> ContentRefused:
    return ContentRefused(code, what, where="body", mend="Send the body with gzip, once, or without encoding.")


def _bounded(inflate: Inflate, body: bytes, bound: int) -> bytes:
    """One layer undone; ``bound`` is the largest size in bytes that may come out."""
    output: list[bytes] = []
    size = 0
    try:
        for data in inflate(body):
            size += len(data)
            if size > bound:
                raise _refused("decompression_limit", "The body decompresses past the limit")
            output.append(data)
    except Damaged as damage:
        raise _refused("content_encoding_invalid", str(damage)) from None
    return b"".join(output)
