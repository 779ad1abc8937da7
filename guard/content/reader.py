"""Reading a body, and writing it again.

The way of a body: (1) its media type says how to read it, and a body that is JSON is read as JSON whatever it is
declared as, since an app may parse it so; (2) text is decoded strictly; (3) JSON is parsed strictly; (4) one walker
turns values into segments, by the places of a shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from guard.content import coverage, strict
from guard.content.calls import facts_of, max_tokens_of
from guard.content.documents import JsonTree
from guard.content.edits import Edits
from guard.content.forms import has_escapes, read_pairs
from guard.content.framing import LineReader, shape_of
from guard.content.headers import Head
from guard.content.media_types import Reading, is_markup, reading
from guard.content.parts import read_parts
from guard.content.pieces import Pieces
from guard.content.places import UNKNOWN, FactName, Place
from guard.content.records import read_lines, read_sequence
from guard.content.shapes import Shape, ShapeName, choose
from guard.content.shapes.lines import LINES
from guard.content.sse import Event, EventReader
from guard.content.streams import StreamWalk, read_events
from guard.content.text import decode_text, is_wide
from guard.content.walk import At, ReadLimits, Walk
from guard.errors import ContentRefused, ObligationFailed
from guard.keyed import KeyedHash
from guard.types import Content, Facts, Named, Segment, Skipped, Stage

_JSON_STARTS: Final = (b"{", b"[")
_FIRST_LINES: Final = 32
_LINE_VALUES: Final = 1000
_MEND_TYPE: Final = "Send JSON as application/json."
_MEND_JSON: Final = "Send strict JSON (RFC 8259) in UTF-8."


class BytesTree(msgspec.Struct, frozen=True, eq=False):
    """A body that was not read: it has no segments, and is written as it came."""

    body: bytes

    def write(self, segments: Sequence[Segment], edits: Edits) -> bytes:
        """The same bytes. Raises ``ObligationFailed`` for any edit."""
        del segments
        if edits:
            raise ObligationFailed("A body that was not read cannot be rewritten", where="rewriting the body")
        return self.body


class _Reader(msgspec.Struct, frozen=True):
    """One reading: what ``read`` was asked."""

    head: Head
    shape: Shape
    stage: Stage
    keyed: KeyedHash
    limits: ReadLimits
    field_names: frozenset[str]

    def read(self, body: bytes) -> Content:
        if not body:
            return self._content(body, tree=BytesTree(body))
        how = reading(self.head.media_type)
        if how == "json":
            return self._json(body)
        if how == "text":
            return self._text(body)
        if how == "events":
            return self._events(body)
        if how == "form":
            return self._form(body)
        if how in ("lines", "sequence", "multipart"):
            return self._pieces(body, how)
        return self._undeclared(body, sniff_text=how == "none")

    def _json(self, body: bytes) -> Content:
        if self.head.charset not in (None, "utf-8", "ascii"):
            raise ContentRefused("charset_unsupported", "JSON is UTF-8", where="body", mend=_MEND_JSON)
        text, _ = decode_text(body, self.head.charset)
        try:
            return self._parsed(body, text)
        except strict.NotJson as error:
            raise ContentRefused(
                "json_invalid", f"The body is not valid JSON at {error}", where="body", mend=_MEND_JSON
            ) from None

    def _parsed(self, body: bytes, text: str) -> Content:
        walk = Walk(self.keyed, self.limits, self.field_names, size_bytes=len(body))
        value = walk.parse(text)
        place: Place = self.shape.request if self.stage == "request" else self.shape.response
        walk.root(value, walk.open_document(value), At("", place, place.provenance or "unknown"))
        walk.read_seams()
        return self._content(
            body,
            segments=tuple(walk.segments),
            skipped=walk.all_skipped(),
            facts=self._facts(value, walk),
            tree=JsonTree(walk.documents, walk.slots, walk.fragments),
        )

    def _text(self, body: bytes) -> Content:
        text, tree = decode_text(body, self.head.charset)
        as_json = self._if_json(body, text)
        if as_json is not None:
            return as_json
        walk = Walk(self.keyed, self.limits, self.field_names, size_bytes=len(body))
        if text:
            slot = walk.open_document(text)
            if is_markup(self.head.media_type):
                walk.emit_markup(text, slot, "")
            else:
                walk.emit(text, slot, "", "unknown")
        return self._content(body, segments=tuple(walk.segments), skipped=walk.all_skipped(), tree=tree)

    def _form(self, body: bytes) -> Content:
        """A form; but a body that is JSON as a whole is read as JSON, as command lines send it by default."""
        if body.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\n\r").startswith(_JSON_STARTS):
            as_json = self._if_json(body, decode_text(body, None)[0])
            if as_json is not None and not has_escapes(body):
                return as_json
            if as_json is not None:
                raise ContentRefused(
                    "form_invalid", "The body is JSON, and another text as a form", where="body", mend=_MEND_TYPE
                )
        return self._pieces(body, "form")

    def _pieces(self, body: bytes, how: Reading) -> Content:
        """A body of fields, parts or records."""
        if self.head.charset not in (None, "utf-8", "ascii"):
            raise ContentRefused("charset_unsupported", "The body is not UTF-8", where="body", mend="Send UTF-8.")
        walk = Walk(self.keyed, self.limits, self.field_names, size_bytes=len(body))
        pieces = Pieces(body, walk, self.limits)
        if how == "lines" and self.stage == "response" and (spoken := self._spoken(body)):
            return self.assembled(spoken, len(body))
        delimiter = b""
        if how == "multipart":
            delimiter = read_parts(pieces, self.head.media_type, self.head.boundary or "")
        elif how == "form":
            read_pairs(pieces, 0, len(body), "")
        elif how == "lines":
            read_lines(pieces, 0, len(body), "")
        else:
            read_sequence(pieces, 0, len(body), "")
        return self._content(
            body, segments=tuple(walk.segments), skipped=walk.all_skipped(), tree=pieces.tree(delimiter)
        )

    def _if_json(self, body: bytes, text: str) -> Content | None:
        """The body read as a JSON object or array, or ``None`` if it is not JSON at all."""
        if not text.lstrip(" \t\n\r").startswith(("{", "[")):
            return None
        try:
            return self._parsed(body, text)
        except strict.NotJson:
            return None
        except ContentRefused:
            # A hook refused before the parser saw the end. Only what is JSON as a whole can deceive a JSON reader.
            if strict.is_json(text, max_values=self.limits.max_json_values):
                raise
            return None

    def _undeclared(self, body: bytes, *, sniff_text: bool) -> Content:
        """A body without a media type, or with one that we don't read: JSON is read, since apps parse it anyway."""
        if is_wide(body):
            if strict.is_wide_json(body, max_values=self.limits.max_json_values):
                raise ContentRefused(
                    "charset_unsupported", "The body is JSON in UTF-16 or UTF-32", where="body", mend=_MEND_JSON
                )
            return self._unread(body, coverage.OPAQUE_MEDIA_TYPE)
        if not sniff_text and not body.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\n\r").startswith(_JSON_STARTS):
            return self._unread(body, coverage.OPAQUE_MEDIA_TYPE)
        try:
            text, _ = decode_text(body, None)
        except ContentRefused:
            return self._unread(body, coverage.OPAQUE_MEDIA_TYPE)
        if sniff_text:
            return self._text(body)
        return self._if_json(body, text) or self._unread(body, coverage.OPAQUE_MEDIA_TYPE)

    def _events(self, body: bytes) -> Content:
        if self.head.charset not in (None, "utf-8", "ascii"):
            raise ContentRefused("charset_unsupported", "An event stream is UTF-8", where="body", mend="Send UTF-8.")
        reader = EventReader(max_event_bytes=len(body))
        return self.assembled(reader.feed(body) + reader.finish(), len(body))

    def _spoken(self, body: bytes) -> Sequence[Event]:
        """The lines of an answer that is said in pieces, as one of the first shows; none if it is no such answer."""
        reader = LineReader(len(body))
        try:
            lines = reader.feed(body) + reader.finish()
            return lines if any(self._goes_on(line) for line in lines[:_FIRST_LINES]) else ()
        except ContentRefused:
            return ()

    def _goes_on(self, line: Event) -> bool:
        try:
            value = strict.parse(line.data or "", max_depth=self.limits.max_json_depth, max_values=_LINE_VALUES)
        except strict.NotJson:
            return False
        return LINES.event(value) is not UNKNOWN

    def assembled(self, events: Sequence[Event], size_bytes: int) -> Content:
        """Whole events as content."""
        walk = StreamWalk(self.keyed, self.limits, self.field_names, size_bytes=size_bytes)
        tree = read_events(events, shape_of(events[0].framing, self.shape) if events else self.shape, walk)
        return Content(
            media_type=self.head.media_type,
            size_bytes=size_bytes,
            segments=tuple(walk.segments),
            skipped=walk.all_skipped(),
            facts=_facts(self.shape, None, walk),
            tree=tree,
        )

    def _facts(self, value: Any, walk: Walk) -> Facts:
        if self.shape.operation is None and self.stage == "request":
            return facts_of(value, walk.segments, self.keyed, self.field_names)
        return _facts(self.shape, value, walk)

    def _unread(self, body: bytes, reason: str) -> Content:
        return self._content(body, skipped=(Skipped("", reason),), tree=BytesTree(body))

    def _content(
        self,
        body: bytes,
        *,
        tree: Any,
        segments: tuple[Segment, ...] = (),
        skipped: tuple[Skipped, ...] = (),
        facts: Facts = Facts(),  # noqa: B008  (frozen)
    ) -> Content:
        return Content(
            media_type=self.head.media_type,
            size_bytes=len(body),
            segments=segments,
            skipped=skipped,
            facts=facts,
            tree=tree,
        )


def _facts(shape: Shape, value: Any, walk: Walk) -> Facts:
    """What the recognised members say about the call. ``tokens_estimate`` is a quarter of the texts' characters."""
    if shape.operation is None:
        return Facts()
    root: dict[str, Any] = value if isinstance(value, dict) else {}
    named: dict[FactName, dict[Named, None]] = {"model": {}, "tool": {}, "tool_call": {}}
    for fact, name in walk.named:
        named[fact][name] = None
    messages = root.get("messages")
    return Facts(
        operation=shape.operation,
        model=next(iter(named["model"]), None),
        messages=len(messages) if isinstance(messages, list) else 0,
        tools=tuple(named["tool"]),
        tool_calls=tuple(named["tool_call"]),
        stream=root.get("stream") is True,
        max_tokens=max_tokens_of(root),
        tokens_estimate=sum([len(segment.text) for segment in walk.segments]) // 4,
    )


def read(
    body: bytes,
    head: Head,
    *,
    shape: ShapeName,
    path: str,
    stage: Stage,
    keyed: KeyedHash,
    limits: ReadLimits,
    field_names: frozenset[str] = frozenset(),
) -> Content:
    """The texts of a decoded body (``guard.content.encodings.decode`` comes first), by position.

    ``path`` chooses the shape if that is ``auto``. ``field_names`` are keys that keep their name in pointers wherever
    they stand. Linear in the size of the body. Raises ``ContentRefused`` for a body that different readers would read
    differently, or that passes a limit (``docs/malformed-bodies.md``); what is not text, or past
    ``limits.inspect_limit_bytes``, is in ``skipped`` (``docs/coverage.md``).
    """
    try:
        return _Reader(head, choose(shape, path), stage, keyed, limits, field_names).read(body)
    except RecursionError:
        # The limit on depth lies below the interpreter's, unless the app's own stack is very deep.
        raise ContentRefused("json_too_deep", "The JSON nests deeper than can be read here", where="body") from None


def assemble(
    events: Sequence[Event],
    *,
    shape: ShapeName,
    path: str,
    keyed: KeyedHash,
    limits: ReadLimits,
    field_names: frozenset[str] = frozenset(),
) -> Content:
    """The texts of a streamed answer whose events were read by ``EventReader``: pieces joined, as ``read`` gives them
    for the same bytes. Raises ``ContentRefused`` as ``read`` does."""
    head = Head("text/event-stream")
    reader = _Reader(head, choose(shape, path), "response", keyed, limits, field_names)
    return reader.assembled(events, sum(len(event.raw) for event in events))


def write(content: Content, edits: Edits) -> bytes:
    """The body again, with texts edited: ``edits`` maps a segment's index to its edits ``(start, end, new text)``,
    sorted, apart, in code points of the segment's text.

    JSON is serialised from what was parsed, as UTF-8 without whitespace, numbers exactly as they came; an edited
    number becomes a string; JSON held in a string is written into it again. Text keeps its charset. Of an event stream
    the unchanged events are the same bytes, and the pieces of a joined text join to the edited text: new text stands
    in the event in which the replaced text began. Any edit of an answer empties its ``logprobs``, which would spell the
    old text. Raises ``ObligationFailed`` for edits that overlap, for keys that become equal, and for text that the
    charset cannot hold.
    """
    return content.tree.write(content.segments, edits)  # type: ignore[no-any-return]
