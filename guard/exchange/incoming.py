"""The request's body, from the first ``receive`` to the last, bounded in bytes and time; and its replay to the app."""

from __future__ import annotations

import asyncio

from starlette.types import Message, Receive

from guard.content import Head
from guard.errors import ClientGone, ContentRefused


async def read_body(receive: Receive, head: Head, *, max_bytes: int, timeout_seconds: float) -> bytes:
    """The whole body as it was sent. Raises ``ContentRefused`` past a bound and ``ClientGone`` on a disconnect."""
    declared = head.content_length
    if declared is not None and declared > max_bytes:
        raise _too_large(max_bytes)
    try:
        async with asyncio.timeout(timeout_seconds):
            body = await _collect(receive, max_bytes)
    except TimeoutError:
        mend = "send it faster, or raise limits.body_timeout_seconds"
        raise ContentRefused("body_too_slow", f"no whole body within {timeout_seconds:g} s", mend=mend) from None
    if declared is not None and len(body) != declared:
        raise ContentRefused("body_length_mismatch", f"Content-Length is {declared}, the body has {len(body)} bytes")
    return body


async def _collect(receive: Receive, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone("the client disconnected before its body was whole")
        part = message.get("body", b"")
        size += len(part)
        if size > max_bytes:
            raise _too_large(max_bytes)
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(max_bytes: int) -> ContentRefused:
    mend = "send less, or raise limits.max_body_bytes"
    return ContentRefused("body_too_large", f"the body is larger than {max_bytes} bytes", mend=mend)


class Replay:
    """The ``receive`` that the app is given: the inspected body once, then whatever the server says (a disconnect)."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._message: Message | None = {"type": "http.request", "body": body, "more_body": False}
        self._receive = receive

    async def __call__(self) -> Message:
        """The next message."""
        if self._message is not None:
            message, self._message = self._message, None
            return message
        return await self._receive()
