"""Short forms for tests that read bodies."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from guard.content import Head, ReadLimits, ShapeName, decode, parse_head, read
from guard.keyed import KeyedHash
from guard.types import Content, Stage

KEYED = KeyedHash("test", b"0" * 32)
LIMITS = ReadLimits(max_json_depth=64, max_json_values=100_000, inspect_limit_bytes=2**20)
CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"


def headers(*lines: str) -> list[tuple[bytes, bytes]]:
    """``name: value`` lines as ASGI has them."""
    return [(name.encode(), value.encode()) for name, _, value in (line.partition(": ") for line in lines)]


def read_bytes(
    body: bytes,
    *lines: str,
    path: str = "/other",
    shape: ShapeName = "auto",
    stage: Stage = "request",
    limits: ReadLimits = LIMITS,
    field_names: Iterable[str] = (),
) -> Content:
    """Headers, encodings and body, the whole way."""
    head: Head = parse_head(headers(*lines))
    plain = decode(body, head.content_encodings, max_bytes=2**20, max_ratio=200)
    return read(
        plain,
        head,
        shape=shape,
        path=path,
        stage=stage,
        keyed=KEYED,
        limits=limits,
        field_names=frozenset(field_names),
    )


def read_json(value: Any, *, path: str = "/other", stage: Stage = "request", **more: Any) -> Content:
    """A value as JSON."""
    return read_bytes(json.dumps(value).encode(), "content-type: application/json", path=path, stage=stage, **more)


def texts(content: Content) -> list[tuple[str, str, str]]:
    """Pointer, provenance and text of each segment."""
    return [(segment.pointer, segment.provenance, segment.text) for segment in content.segments]


def token(key: str) -> str:
    """The pointer token of an unrecognised key."""
    return KEYED.token(key)
