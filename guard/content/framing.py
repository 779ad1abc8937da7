"""Streams that are no server-sent events, read as such: JSON lines, an event each, and plain text, an event for each
piece of it as it came."""

from __future__ import annotations

import codecs
import json
from typing import Final, Protocol

from guard.content.headers import Head
from guard.content.media_types import reading
from guard.content.places import UNKNOWN
from guard.content.shapes import Shape
from guard.content.shapes.lines import LINES, MESSAGES, TEXT
from guard.content.sse import Event, EventReader, Framing
from guard.content.text import is_wide
from guard.errors import ContentRefused

_JSON_STARTS: Final = (b"{", b"[")
_BLANK: Final = b" \t\r\n\xef\xbb\xbf"
_LARGEST_BLANK: Final = 1024
_MARKS: Final = ('"response.', '"delta"', '"content_block', '"done"', '"model"', '"assistant"')


class FrameReader(Protocol):
    """Bytes in, events out; any chunking gives the same texts."""

    @property
    def pending_bytes(self) -> int:
        """How much of an unfinished event is kept."""
        ...

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that end in this chunk. Raises ``ContentRefused``."""
        ...

    def finish(self) -> list[Event]:
        """What the end of the stream completes or cuts off. Raises as ``feed`` does."""
        ...


class LineReader:
    """JSON lines. Holds at most one unfinished line."""

    def __init__(self, max_line_bytes: int) -> None:
        self._most = max_line_bytes
        self._buffer = bytearray()
        self._first = True

    @property
    def pending_bytes(self) -> int:
        """How much of an unfinished line is kept."""
        return len(self._buffer)

    def feed(self, chunk: bytes) -> list[Event]:
        """The lines that end in this chunk.

        Raises ``ContentRefused``: ``body_too_large`` if a line is longer than ``max_line_bytes``, ``text_invalid`` if
        it is not UTF-8.
        """
        ended, newline, rest = chunk.rpartition(b"\n")
        if not newline:
            self._buffer += chunk
            self._check(len(self._buffer))
            return []
        lines = bytes(self._buffer + ended + newline).split(b"\n")
        self._buffer[:] = rest
        self._check(len(rest))
        return [self._event(line + b"\n") for line in lines[:-1]]

    def finish(self) -> list[Event]:
        """A last line without its end."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return [self._event(rest)] if rest else []

    def _check(self, size: int) -> None:
        if size > self._most:
            raise ContentRefused("body_too_large", "One line of the stream is larger than the limit", where="stream")

    def _event(self, raw: bytes) -> Event:
        self._check(len(raw))
        text = _decoded(raw).rstrip("\r\n")
        if self._first:
            self._first = False
            text = text.removeprefix("\ufeff")
        if not text.strip(" \t"):
            return Event(raw, (), framing="line")
        return Event(raw, (("data", text),), data=text, complete=raw.endswith(b"\n"), framing="line")


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise ContentRefused("text_invalid", "The stream is not UTF-8", where="stream") from None


class TextReader:
    """Plain text in UTF-8: whole characters of each piece. Holds at most three bytes."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._pending = b""

    @property
    def pending_bytes(self) -> int:
        """How much of an unfinished character is kept."""
        return len(self._pending)

    def feed(self, chunk: bytes) -> list[Event]:
        """The text of this chunk. Raises ``ContentRefused`` (``text_invalid``) if it is not UTF-8."""
        return self._decode(chunk, last=False)

    def finish(self) -> list[Event]:
        """Raises ``ContentRefused`` if the stream ended inside a character."""
        return self._decode(b"", last=True)

    def _decode(self, chunk: bytes, *, last: bool) -> list[Event]:
        try:
            text = self._decoder.decode(chunk, last)
        except UnicodeDecodeError:
            raise ContentRefused("text_invalid", "The stream is not UTF-8", where="stream") from None
        raw = self._pending + chunk
        left = len(self._decoder.getstate()[0])
        self._pending = raw[len(raw) - left :]
        raw = raw[: len(raw) - left]
        return [Event(raw, (("text", text),), framing="text")] if raw else []


class MessageReader:
    """Text messages of a connection, each of them whole."""

    pending_bytes = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """The message."""
        if not chunk:
            return []
        text = _decoded(chunk)
        return [Event(chunk, (("data", text),), data=text, framing="message")]

    def finish(self) -> list[Event]:
        """Nothing is ever cut off."""
        return []


def goes_on(message: str) -> bool:
    """Whether a text message is a piece of an answer, in one of the recognised shapes, or the end of one."""
    if not message.startswith("{") or not any(mark in message for mark in _MARKS):
        return False
    try:
        return MESSAGES.event(json.loads(message)) is not UNKNOWN
    except (ValueError, RecursionError):
        return False


def framing_of(head: Head) -> Framing | None:
    """How an answer with this head can be inspected as it streams; ``None``: only whole."""
    how = reading(head.media_type)
    if how == "events":
        return "event"
    if head.content_length is not None or head.content_encodings or head.charset not in (None, "utf-8", "ascii"):
        return None
    if how == "lines":
        return "line"
    return "text" if head.media_type == "text/plain" else None


def begins(framing: Framing, body: bytes) -> bool | None:
    """Whether a body of which this is the beginning flows; a text that may be JSON, or in another charset, does not.
    ``None``: more has to be seen."""
    if framing != "text":
        return True
    if is_wide(body):
        return False
    start = body.lstrip(_BLANK)
    if not start and len(body) <= _LARGEST_BLANK:
        return None
    return not start.startswith(_JSON_STARTS)


def reader_of(framing: Framing, max_event_bytes: int) -> FrameReader:
    """What reads such a stream."""
    if framing == "line":
        return LineReader(max_event_bytes)
    if framing == "message":
        return MessageReader()
    return TextReader() if framing == "text" else EventReader(max_event_bytes)


def shape_of(framing: Framing, shape: Shape) -> Shape:
    """The shape of such a stream, where that of its route is ``shape``."""
    return {"line": LINES, "message": MESSAGES, "text": TEXT}.get(framing, shape)
