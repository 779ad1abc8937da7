"""The request's body, from the first ``receive`` to the last, bounded in bytes and time; and its replay to the app."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from starlette.types import Message, Receive

from guard.content import Head
from guard.errors import ClientGone, ContentRefused
from guard.record.build import ContentHasher, PassedBody

# Hashed here, a piece of this size takes some 200 microseconds; servers rarely hand over larger ones.
_HASHED_HERE_BYTES: Final = 256 * 1024


class Arrived(msgspec.Struct, frozen=True):
    """What was read of a body. ``large``: it is past the bound, and ``body`` is its beginning. ``more``: there is a
    rest that was not received yet."""

    body: bytes
    large: bool = False
    more: bool = False


async def read_body(
    receive: Receive, head: Head, *, max_bytes: int, timeout_seconds: float, pass_large: bool = False
) -> Arrived:
    """The whole body as it was sent, or with ``pass_large`` the beginning of one that is larger than ``max_bytes``.

    Such a beginning is longer than ``max_bytes`` by less than one message of the server. Raises ``ContentRefused``
    past a bound and ``ClientGone`` on a disconnect.
    """
    declared = head.content_length
    # A compressed body says nothing by its beginning.
    pass_large = pass_large and not head.content_encodings
    if declared is not None and declared > max_bytes and not pass_large:
        raise _too_large(max_bytes)
    try:
        async with asyncio.timeout(timeout_seconds):
            arrived = await _collect(receive, max_bytes, pass_large=pass_large)
    except TimeoutError:
        mend = "send it faster, or raise limits.body_timeout_seconds"
        raise ContentRefused("body_too_slow", f"no whole body within {timeout_seconds:g} s", mend=mend) from None
    size = len(arrived.body)
    if declared is not None and (size > declared or (size < declared and not arrived.more)):
        raise ContentRefused("body_length_mismatch", f"Content-Length is {declared}, the body has {size} bytes")
    return arrived


async def _collect(receive: Receive, max_bytes: int, *, pass_large: bool) -> Arrived:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone("client_disconnected", "the client disconnected before its body was whole")
        part = message.get("body", b"")
        size += len(part)
        large = size > max_bytes
        if large and not pass_large:
            raise _too_large(max_bytes)
        parts.append(part)
        more = message.get("more_body", False)
        if large or not more:
            return Arrived(parts[0] if len(parts) == 1 else b"".join(parts), large=large, more=more)


def _too_large(max_bytes: int) -> ContentRefused:
    mend = "send less, or raise limits.max_body_bytes"
    return ContentRefused("body_too_large", f"the body is larger than {max_bytes} bytes", mend=mend)


class Replay:
    """The ``receive`` that the app is given: the inspected body once, then whatever the server says (a disconnect).

    Its memory of the body ends when the app has taken it.
    """

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive
        self.client_left = False

    async def __call__(self) -> Message:
        """The next message."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        return self._noticed(await self._receive())

    def _noticed(self, message: Message) -> Message:
        self.client_left = self.client_left or message["type"] == "http.disconnect"
        return message

    def passed(self) -> PassedBody | None:
        """What the app was given of a body that was too large to be held; ``None`` for any other."""
        return None


class LargeReplay(Replay):
    """The ``receive`` for a body that was too large: its beginning, then the rest as the app asks for it.

    Nothing is received ahead, so the app's pace is the client's. A rest that pauses longer than ``pause_seconds``, or
    has another length than was declared, ends for the app as if the client had left: the last piece of a body that is
    not whole does not look like the end of one that is.
    """

    def __init__(
        self, arrived: Arrived, receive: Receive, *, hasher: ContentHasher, declared: int | None, pause_seconds: float
    ) -> None:
        """``hasher`` has taken in the beginning already."""
        super().__init__(arrived.body, receive)
        self._size = len(arrived.body)
        self._more = arrived.more
        self._hasher = hasher
        self._declared = declared
        self._pause_seconds = pause_seconds
        self._broken = False

    async def __call__(self) -> Message:
        """The next message."""
        if self._broken:
            return {"type": "http.disconnect"}
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": self._more}
        if not self._more:
            return self._noticed(await self._receive())
        try:
            async with asyncio.timeout(self._pause_seconds):
                message = self._noticed(await self._receive())
        except TimeoutError:
            self._broken = True
            return {"type": "http.disconnect"}
        return await self._rest(message)

    async def _rest(self, message: Message) -> Message:
        part = message.get("body", b"")
        more = message.get("more_body", False)
        size = self._size + len(part)
        lies = self._declared is not None and (size > self._declared or (size < self._declared and not more))
        if lies or self.client_left:
            self._broken = True
            return {"type": "http.disconnect"}
        if len(part) > _HASHED_HERE_BYTES:
            await asyncio.to_thread(self._hasher.update, part)
        else:
            self._hasher.update(part)
        self._size, self._more = size, more
        return message

    def passed(self) -> PassedBody:
        """What the app has been given until now."""
        if self._body is not None:
            return PassedBody(None, whole=False)
        return PassedBody(self._hasher.finish(), whole=not self._more and not self._broken)
