"""One layer of a content encoding undone, in pieces of bounded size: whoever takes them may stop at any of them.

Sources: RFC 1952 (gzip, several members too), RFC 1950 (zlib, which RFC 9110 calls deflate), RFC 7932 (Brotli), RFC
8878 (Zstandard) with the window bound of RFC 9659. Brotli needs the package ``brotli`` (1.2 or later: earlier ones
cannot bound what comes out), Zstandard Python 3.14 or the package ``backports.zstd``.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, Final, TypeAlias

_CHUNK: Final = 64 * 1024
_MAX_MEMBERS: Final = 256
_GZIP_BITS: Final = 31
_ZLIB_BITS: Final = 15
_ZSTD_WINDOW_LOG: Final = 23
"""8 MiB, the largest window that RFC 9659 allows for the content encoding ``zstd``."""

Inflate: TypeAlias = Callable[[bytes], Iterator[bytes]]
"""The decoded body in pieces of at most some 256 KiB. Raises ``Damaged``."""


class Damaged(ValueError):
    """The data is damaged or cut off, or something follows it. The message says which, and quotes nothing."""


_CUT_OFF: Final = "The compressed body is cut off"
_GOES_ON: Final = "Data follows the end of the compressed body"


def _zlib(body: bytes, window_bits: int, max_members: int) -> Iterator[bytes]:
    position = 0
    members = 0
    while position < len(body):
        members += 1
        if members > max_members:
            raise Damaged(_GOES_ON)
        stream = zlib.decompressobj(window_bits)
        while True:
            chunk = body[position : position + _CHUNK]
            try:
                data = stream.decompress(chunk, _CHUNK)
            except zlib.error:
                raise Damaged("The body does not decode") from None
            if not (chunk or data or stream.eof):
                raise Damaged(_CUT_OFF)
            yield data
            # At the end of a member both attributes may hold the rest.
            if stream.eof:
                position += len(chunk) - len(stream.unused_data)
                break
            position += len(chunk) - len(stream.unconsumed_tail)


def gzip(body: bytes) -> Iterator[bytes]:
    """At most 256 gzip members."""
    return _zlib(body, _GZIP_BITS, _MAX_MEMBERS)


def deflate(body: bytes) -> Iterator[bytes]:
    """The zlib format; raw deflate is damaged data."""
    return _zlib(body, _ZLIB_BITS, 1)


def _brotli(library: Any, body: bytes) -> Iterator[bytes]:
    stream = library.Decompressor()
    # The decoder does not say where its data ends inside a chunk: the last byte goes in alone, and must end it.
    last = len(body) - 1
    position = 0
    try:
        while position < len(body):
            if stream.is_finished():
                raise Damaged(_GOES_ON)
            end = min(position + _CHUNK, last) if position < last else len(body)
            yield stream.process(body[position:end], output_buffer_limit=_CHUNK)
            while not (stream.is_finished() or stream.can_accept_more_data()):
                yield stream.process(b"", output_buffer_limit=_CHUNK)
            position = end
        while not stream.is_finished():
            data = stream.process(b"", output_buffer_limit=_CHUNK)
            if not data:
                raise Damaged(_CUT_OFF)
            yield data
    except library.error:
        raise Damaged("The body does not decode") from None


def _zstd(library: Any, body: bytes) -> Iterator[bytes]:
    rest = body
    frames = 0
    while rest:
        frames += 1
        if frames > _MAX_MEMBERS:
            raise Damaged(_GOES_ON)
        stream = library.ZstdDecompressor(options={library.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG})
        try:
            yield stream.decompress(rest, _CHUNK)
            while not (stream.eof or stream.needs_input):
                yield stream.decompress(b"", _CHUNK)
        except library.ZstdError:
            raise Damaged("The body does not decode") from None
        if not stream.eof:
            raise Damaged(_CUT_OFF)
        rest = stream.unused_data


def _imported(*names: str) -> ModuleType | None:
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


def _optional() -> Iterator[tuple[str, Inflate]]:
    brotli = _imported("brotli")
    if brotli is not None and hasattr(brotli.Decompressor, "can_accept_more_data"):
        yield "br", lambda body: _brotli(brotli, body)
    zstd = _imported("compression.zstd", "backports.zstd")
    if zstd is not None:
        yield "zstd", lambda body: _zstd(zstd, body)


CODINGS: Final[dict[str, Inflate]] = {"gzip": gzip, "x-gzip": gzip, "deflate": deflate, **dict(_optional())}
"""Content coding -> how it is undone here."""
