"""What hostile bodies are made of: named generators, so that no big file is stored."""

from __future__ import annotations

import base64
import gzip
import json
import struct
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from tests.hostile.case import CARD, MAIL, Material

_ZEROS = b"\0" * (1 << 20)
_MASK = b"\x37\xfa\x21\x3d"


def make(material: Material) -> bytes:
    """The bytes of a material. Raises ``KeyError`` for a generator that does not exist."""
    return _made(json.dumps(material))


@lru_cache(maxsize=8)
def _made(key: str) -> bytes:
    return _value(json.loads(key))


def _value(material: Material) -> bytes:
    if isinstance(material, str):
        return material.encode()
    name, *arguments = material
    return GENERATORS[name](*[_value(a) if isinstance(a, (list, str)) else a for a in arguments])


def _chat(text: bytes, *more: bytes) -> bytes:
    content = json.dumps(text.decode(), ensure_ascii=False).encode()
    return b'{"model":"small-1","messages":[{"role":"user","content":%s}]%s}' % (
        content,
        b"".join(b"," + m for m in more),
    )


def _dense(size: int) -> bytes:
    unit = f"Jane Roe <{MAIL}>, +1 212 555 4567, GB82 WEST 1234 5698 7654 32, 203.0.114.7, jane.roe{{}}@corp-mail.com. "
    made: list[str] = []
    length = 0
    while length < size:
        made.append(unit.format(len(made)))
        length += len(made[-1])
    return "".join(made).encode()[:size]


def _fill(unit: bytes, size: int) -> bytes:
    """``unit`` over and over, ``size`` bytes of it, cut between characters."""
    return (unit * (size // len(unit) + 1))[:size].decode(errors="ignore").encode()


def _messages(count: int, size: int) -> bytes:
    texts = _dense(size).decode()
    each = size // count
    messages = [{"role": "user", "content": texts[i * each : (i + 1) * each]} for i in range(count)]
    return json.dumps({"model": "small-1", "messages": messages}).encode()


def _nested(opening: bytes, depth: int, core: bytes, closing: bytes) -> bytes:
    return opening * depth + core + closing * depth


def _bomb(compressor: Any, megabytes: int) -> bytes:
    parts = [compressor.compress(_ZEROS) for _ in range(megabytes)]
    return b"".join([*parts, compressor.flush()])


def _br(data: bytes) -> bytes:
    import brotli  # type: ignore[import-untyped]

    return bytes(brotli.compress(data, quality=4))


def _br_bomb(megabytes: int) -> bytes:
    import brotli

    compressor = brotli.Compressor(quality=3)
    return b"".join([*[compressor.process(_ZEROS) for _ in range(megabytes)], compressor.finish()])


def _zstd(data: bytes) -> bytes:
    from backports import zstd

    return zstd.compress(data)


def _zstd_bomb(megabytes: int) -> bytes:
    from backports import zstd

    return _bomb(zstd.ZstdCompressor(), megabytes)


def _raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return compressor.compress(data) + compressor.flush()


def _numbered(template: bytes, count: int, joint: bytes) -> bytes:
    pattern = template.decode()
    return joint.join([pattern.replace("#", str(i)).encode() for i in range(count)])


def _colliding(count: int) -> bytes:
    """Keys that are equal under the string hash of Java and of many C tables: ``Aa`` and ``BB`` in each place."""
    keys = ["".join("Aa" if i >> bit & 1 else "BB" for bit in range(17)) for i in range(count)]
    return ",".join(f'"{key}":0' for key in keys).encode()


def _chunks(size: int, data: bytes) -> bytes:
    made = [b"%x\r\n%s\r\n" % (len(data[i : i + size]), data[i : i + size]) for i in range(0, len(data), size)]
    return b"".join([*made, b"0\r\n\r\n"])


def _request(path: bytes, fields: bytes, body: bytes) -> bytes:
    return b"POST %s HTTP/1.1\r\nhost: localhost\r\n%s\r\n%s" % (path, fields, body)


def _completion(text: bytes) -> bytes:
    message = {"role": "assistant", "content": text.decode()}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps({"id": "c-1", "object": "chat.completion", "model": "small-1", "choices": [choice]}).encode()


def _event(text: bytes) -> bytes:
    choice = {"index": 0, "delta": {"content": text.decode()}, "finish_reason": None}
    return (
        b"data: " + json.dumps({"id": "c-1", "object": "chat.completion.chunk", "choices": [choice]}).encode() + b"\n\n"
    )


def _frame(first: int, data: bytes) -> bytes:
    """RFC 6455 section 5.2: a masked frame of a client; ``first`` is its first byte (FIN, RSV1 to RSV3, opcode)."""
    if len(data) < 126:
        length = struct.pack("!B", 0x80 | len(data))
    elif len(data) < 1 << 16:
        length = struct.pack("!BH", 0x80 | 126, len(data))
    else:
        length = struct.pack("!BQ", 0x80 | 127, len(data))
    mask = int.from_bytes((_MASK * (len(data) // 4 + 1))[: len(data)], "big")
    masked = (int.from_bytes(data, "big") ^ mask).to_bytes(len(data), "big")
    return bytes([first]) + length + _MASK + masked


def _fragments(count: int, data: bytes) -> bytes:
    return _frame(0x01, data) + _frame(0x00, data) * count + _frame(0x80, b"")


def _deflated(data: bytes) -> bytes:
    """RFC 7692 section 7.2.1: a whole message, deflated, without its final empty block."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return _frame(0xC1, packed[:-4])


def _inflating(megabytes: int) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(compressor.compress(b"a" * (1 << 20)) for _ in range(megabytes))
    return _frame(0xC1, (packed + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4])


GENERATORS: dict[str, Callable[..., bytes]] = {
    "join": lambda *parts: b"".join(parts),
    "repeat": lambda unit, times: unit * times,
    "fill": _fill,
    "numbered": _numbered,
    "hex": lambda text: bytes.fromhex(text.decode()),
    "encoded": lambda codec, data: data.decode().encode(codec.decode()),
    "base64": base64.b64encode,
    "quoted": lambda data: json.dumps(data.decode(), ensure_ascii=False).encode(),
    "mail": MAIL.encode,
    "card": CARD.encode,
    "dense": _dense,
    "chat": _chat,
    "messages": _messages,
    "nested": _nested,
    "colliding": _colliding,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "deflate": zlib.compress,
    "raw_deflate": _raw_deflate,
    "br": _br,
    "zstd": _zstd,
    "gzip_bomb": lambda megabytes: _bomb(zlib.compressobj(9, zlib.DEFLATED, 31), megabytes),
    "deflate_bomb": lambda megabytes: _bomb(zlib.compressobj(9), megabytes),
    "br_bomb": _br_bomb,
    "zstd_bomb": _zstd_bomb,
    "chunks": _chunks,
    "request": _request,
    "completion": _completion,
    "event": _event,
    "frame": _frame,
    "text_frame": lambda data: _frame(0x81, data),
    "fragments": _fragments,
    "deflated_frame": _deflated,
    "inflating_frame": _inflating,
}
"""Name -> generator; arguments that are materials arrive as bytes."""
