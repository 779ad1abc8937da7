"""Content encodings undone, with the size checked while it grows.

Sources: RFC 9110 section 8.4.1 (gzip, deflate, x-gzip), RFC 1952 (gzip members), RFC 1950 (zlib).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

from guard.errors import ContentRefused

_CHUNK: Final = 64 * 1024
_RATIO_FLOOR: Final = 64 * 1024
"""Bytes that any body may decompress to, whatever its ratio: short repetitive texts pack very well."""
_MAX_MEMBERS: Final = 256
_MAX_ENCODINGS: Final = 2
_WINDOW_BITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""Content coding -> zlib's ``wbits``. ``deflate`` is the zlib format, as RFC 9110 says; raw deflate is refused."""


def decode(body: bytes, encodings: Sequence[str], *, max_bytes: int, max_ratio: int) -> bytes:
    """The body without its content encodings, which are named in the order in which they were applied.

    Nothing decompresses past ``max_bytes``, nor past ``max_ratio`` times the length of ``body`` once it is over 64 KiB;
    the bounds hold for each layer. An empty body stays empty. Raises ``ContentRefused``:
    ``content_encoding_unsupported`` for other encodings or more than two, ``content_encoding_invalid`` for damaged or
    truncated data and for anything after its end, ``decompression_limit`` past the bounds.
    """
    names = [name for name in encodings if name != "identity"]
    if len(names) > _MAX_ENCODINGS:
        raise _refused("content_encoding_unsupported", "More than two content encodings are stacked")
    for name in names:
        if name not in _WINDOW_BITS:
            raise _refused("content_encoding_unsupported", "The content encoding is none of gzip and deflate")
    bound = min(max_bytes, max(max_ratio * len(body), _RATIO_FLOOR))
    for name in reversed(names):
        if body:
            body = _inflate(body, name, bound)
    return body


def _refused(code: str, what: str) -> ContentRefused:
    return ContentRefused(code, what, where="body", mend="Send the body with gzip, once, or without encoding.")


def _inflate(body: bytes, name: str, bound: int) -> bytes:
    """One layer undone; ``bound`` is the largest size in bytes that may come out."""
    output: list[bytes] = []
    size = 0
    position = 0
    members = 0
    while position < len(body):
        members += 1
        if members > (1 if name == "deflate" else _MAX_MEMBERS):
            raise _refused("content_encoding_invalid", "Data follows the end of the compressed body")
        stream = zlib.decompressobj(_WINDOW_BITS[name])
        while not stream.eof:
            chunk = body[position : position + _CHUNK]
            if not chunk:
                raise _refused("content_encoding_invalid", "The compressed body is cut off")
            try:
                data = stream.decompress(chunk, bound - size + 1)
            except zlib.error:
                raise _refused("content_encoding_invalid", f"The body does not decode as {name}") from None
            position += len(chunk) - len(stream.unconsumed_tail) - len(stream.unused_data)
            size += len(data)
            if size > bound:
                raise _refused("decompression_limit", "The body decompresses past the limit")
            output.append(data)
    return b"".join(output)
