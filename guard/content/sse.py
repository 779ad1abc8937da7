"""Server-sent events, read incrementally and written again byte for byte.

Source: the WHATWG HTML standard, section "Server-sent events" (parsing and interpretation of an event stream). Unlike a
browser we keep what a browser drops (comments, events without data, an event that the stream's end cut off): it is
passed on, so it is read. Bytes that are not UTF-8 are refused instead of replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec

from guard.errors import ContentRefused

_BLANK_LINE: Final = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r(?=[\s\S]))")
_BLANK_LINE_AT_END: Final = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END: Final = re.compile(r"\r\n|\n|\r")
_BLANK_LINES: Final = re.compile(rb"[\r\n]*+")
_SLICE: Final = 32 * 1024
_MAX_LINES: Final = 20_000
Framing = Literal["event", "line", "message", "text"]
"""How a piece of a stream is marked off: as a server-sent event, as a line of JSON, as a message, or not at all."""
_KNOWN_FIELDS: Final = frozenset({"", "event", "id", "retry"})


class Event(msgspec.Struct, frozen=True, gc=False):
    """One block of an event stream.

    ``raw`` is its bytes with the blank line that ends it and any before it; the raw bytes of all events join to the
    stream. ``fields``
    are its lines as ``(name, value)``, with all ``data`` lines joined into the first; a comment's name is ``""``, and a
    line that no reader understands is ``("line", the whole line)``.
    ``data`` is ``None`` if the block has no data line (a comment, a heartbeat). ``complete`` is false if the stream
    ended inside the event. Streams of other ``framing`` have blocks with one field or none (``guard.content.framing``).
    """

    raw: bytes
    fields: tuple[tuple[str, str], ...]
    name: str = "message"
    data: str | None = None
    complete: bool = True
    framing: Framing = "event"


class EventReader:
    """Bytes in, events out; any chunking gives the same events. Holds at most one unfinished event."""

    def __init__(self, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._buffer = bytearray()
        # What is known of the unfinished event: the blank lines that it begins with, and where no end was found.
        self._blank = 0
        self._scanned = 0
        self._first = True

    @property
    def pending_bytes(self) -> int:
        """How much of an unfinished event is kept."""
        return len(self._buffer)

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that end in this chunk.

        Raises ``ContentRefused``: ``body_too_large`` if an event is longer than ``max_event_bytes`` or has more than
        20,000 lines, ``text_invalid`` if it is not UTF-8.
        """
        self._buffer += chunk
        return self._events(_BLANK_LINE)

    def finish(self) -> list[Event]:
        """What the end of the stream completes or cuts off. Raises as ``feed`` does."""
        self._scanned = max(0, self._scanned - 1)
        events = self._events(_BLANK_LINE_AT_END)
        if self._buffer:
            events.append(self._event(bytes(self._buffer), complete=False))
            self._buffer.clear()
        return events

    def _events(self, blank_line: re.Pattern[bytes]) -> list[Event]:
        events: list[Event] = []
        buffer = self._buffer
        begin = 0
        has_returns = buffer.find(b"\r", max(self._blank, self._scanned)) >= 0
        while True:
            self._blank = self._after_blank_lines(max(begin, self._blank))
            end = self._end(blank_line, max(self._blank, self._scanned), has_returns=has_returns)
            if end < 0:
                break
            self._check_size(end - begin)
            events.append(self._event(bytes(buffer[begin:end]), complete=True))
            begin = self._blank = self._scanned = end
        del buffer[:begin]
        self._blank -= begin
        # A blank line may begin in the last three bytes and end in the next chunk.
        self._scanned = max(0, len(buffer) - 3)
        self._check_size(len(buffer))
        return events

    def _end(self, blank_line: re.Pattern[bytes], start: int, *, has_returns: bool) -> int:
        """Behind the next blank line; -1 if there is none yet. Most streams have no carriage returns."""
        if has_returns:
            match = blank_line.search(self._buffer, start)
            return -1 if match is None else match.end()
        at = self._buffer.find(b"\n\n", start)
        return at if at < 0 else at + 2

    def _after_blank_lines(self, position: int) -> int:
        match = _BLANK_LINES.match(self._buffer, position)
        return position if match is None else match.end()

    def _check_size(self, size: int) -> None:
        if size > self._max_event_bytes:
            raise ContentRefused("body_too_large", "One event of the stream is larger than the limit", where="stream")

    @staticmethod
    def _check_lines(number: int) -> None:
        """Each line costs a hundred bytes, however short it is."""
        if number > _MAX_LINES:
            raise ContentRefused(
                "body_too_large", "One event of the stream has more lines than the limit", where="stream"
            )

    def _event(self, raw: bytes, *, complete: bool) -> Event:
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise ContentRefused("text_invalid", "The event stream is not UTF-8", where="stream") from None
        if self._first:
            self._first = False
            text = text.removeprefix("\ufeff")
        fields: list[tuple[str, str]] = []
        data: list[str] = []
        place = 0
        name = "message"
        # Most of a long event may be the blank lines before it, which say nothing.
        for line in _lines(text.strip("\r\n")):
            if not line:
                continue
            key, _, value = line.partition(":")
            if key:
                value = value.removeprefix(" ")
            if key == "data":
                if not data:
                    place = len(fields)
                    fields.append(("data", ""))
                data.append(value)
                self._check_lines(len(data))
                continue
            if key == "event":
                name = value or "message"
            fields.append((key, value) if key in _KNOWN_FIELDS else ("line", line))
            self._check_lines(len(fields))
        if not data:
            return Event(raw, tuple(fields), name, None, complete)
        joined = "\n".join(data)
        fields[place] = ("data", joined)
        return Event(raw, tuple(fields), name, joined, complete)


def _lines(text: str) -> Iterator[str]:
    """The lines, some 32 KiB of them at a time: one call into C holds the interpreter's lock."""
    start = 0
    while start < len(text):
        stop = _LINE_END.search(text, start + _SLICE) if len(text) - start > _SLICE else None
        part = text[start:] if stop is None else text[start : stop.start()]
        yield from _LINE_END.split(part) if "\r" in part else part.split("\n")
        start = len(text) if stop is None else stop.end()


def serialise(event: Event, values: Sequence[str]) -> bytes:
    """The event with other values for its fields, in its own line ends. Line ends inside a value that is not data
    become spaces, and so do those of a line."""
    if event.framing != "event":
        return _unframed(event, values)
    end = _LINE_END.search(event.raw.decode())
    newline = "\n" if end is None else end[0]
    lines: list[str] = []
    for (name, _), value in zip(event.fields, values, strict=True):
        if name == "data":
            lines += [f"data: {line}" for line in _LINE_END.split(value)]
        else:
            prefix = "" if name == "line" else f"{name}: " if name else ":"
            lines.append(prefix + _LINE_END.sub(" ", value))
    text = newline.join(lines) + newline
    return (text + newline if event.complete else text).encode()


def _unframed(event: Event, values: Sequence[str]) -> bytes:
    text = "".join(values)
    if event.framing != "line":
        return text.encode()
    raw = event.raw
    return _LINE_END.sub(" ", text).encode() + raw[len(raw.rstrip(b"\r\n")) :]
