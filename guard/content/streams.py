"""Streamed answers as content: the pieces of one text joined, everything else read event by event, and the events
written again so that their pieces join to the rewritten text.

Pointers are those of the same answer sent whole (``/choices/0/message/content``). Lines of the stream that are not
JSON stand under ``/event`` (``/event/data``, ``/event/comment``, ``/event/id``, …).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any, Final

import msgspec

from guard.content import coverage, strict
from guard.content.documents import Document, Slot, emptied, rewrite
from guard.content.edits import Edits, apply_edits, apply_to_pieces
from guard.content.places import METADATA, UNKNOWN, Place
from guard.content.shapes import Shape
from guard.content.shapes.lines import LINES
from guard.content.sse import Event, serialise
from guard.content.walk import At, ReadLimits, Walk
from guard.keyed import KeyedHash
from guard.readings import see
from guard.types import Named, Provenance, Segment, Skipped


class Delta(msgspec.Struct, frozen=True, gc=False):
    """A text of one event. ``channel`` is its pointer. ``joined``: it goes on where the last text of that channel
    ended; otherwise it stands alone."""

    channel: str
    provenance: Provenance
    text: str
    joined: bool


class Deltas(msgspec.Struct, frozen=True):
    """The texts of one event and what of it was not inspected."""

    texts: tuple[Delta, ...]
    skipped: tuple[Skipped, ...]


class Pieces(msgspec.Struct, frozen=True, eq=False):
    """Where a joined text stands: ``slots[i]`` holds ``texts[i]``, and each of ``copies`` holds all of it."""

    slots: Sequence[Slot]
    texts: Sequence[str]
    copies: Sequence[Slot] = ()


class _Channel:
    """The pieces of one joined text while they are gathered."""

    __slots__ = ("at", "slots", "texts")

    def __init__(self, at: At) -> None:
        self.at = at
        self.slots: list[Slot] = []
        self.texts: list[str] = []


class StreamWalk(Walk):
    """A walk over many events. A text that stands at one pointer in many events (an id, a model) is one segment."""

    def __init__(
        self,
        keyed: KeyedHash,
        limits: ReadLimits,
        field_names: frozenset[str],
        *,
        size_bytes: int,
        passing: bool = False,
        known: Container[tuple[str, str]] = frozenset(),
    ) -> None:
        """``passing``: each event leaves before the next is read; what repeats a joined text is kept in ``copies``, and
        of texts that are ``known`` at their pointers only the ``known_characters`` are counted."""
        super().__init__(keyed, limits, field_names, size_bytes=size_bytes)
        self.known_characters = 0
        self.targets: list[list[Slot] | Pieces] = []
        self.channels: dict[str, _Channel] = {}
        self.copies: list[tuple[str, Slot, At]] = []
        self._passing = passing
        self._known = known
        self._seen: dict[tuple[str, str, Provenance], list[Slot]] = {}
        self._index: dict[tuple[str, str, Provenance], int] = {}

    def emit(self, text: str, slot: Slot, pointer: str, provenance: Provenance) -> None:
        """A text; one that was met before at that pointer gains a slot."""
        met = self._seen.get((pointer, text, provenance))
        if met is not None:
            met.append(slot)
            return
        slots = [slot]
        if (pointer, text) in self._known:
            self._seen[pointer, text, provenance] = slots
            self.known_characters += len(text)
            return
        if self._add(text, pointer, provenance, slots):
            self._seen[pointer, text, provenance] = slots
            self._index[pointer, text, provenance] = len(self.targets) - 1

    def _add(self, text: str, pointer: str, provenance: Provenance, target: list[Slot] | Pieces) -> bool:
        """A new segment; ``False`` if it is past the inspection limit."""
        if not self._fits(text, pointer):
            return False
        self.segments.append(Segment(text, pointer, provenance, see(text)))
        self.targets.append(target)
        return True

    def join(self, text: str, slot: Slot, at: At) -> None:
        """A piece goes to its channel."""
        channel = self.channels.get(at.pointer)
        if channel is None:
            channel = self.channels[at.pointer] = _Channel(at)
        channel.slots.append(slot)
        channel.texts.append(text)

    def repeat(self, text: str, slot: Slot, at: At) -> None:
        """What pieces said before is compared with them as it passes; of a whole stream it is read like any text."""
        if self._passing:
            self.copies.append((text, slot, at))
        else:
            self.alone(text, slot, at)

    def event(self, event: Event, shape: Shape) -> int:
        """Read one event, with a budget of JSON values of its own; returns the index of its document, whose holder
        has a value for each of its fields."""
        self._values_seen = 0
        holder: list[Any] = [value for _, value in event.fields]
        document = len(self.documents)
        self.documents.append(Document(holder))
        for position, (name, value) in enumerate(event.fields):
            slot = Slot(document, holder, position)
            if name == "data":
                self._data(value, slot, shape)
            elif name == "text":
                self.join(value, slot, _TEXT)
            elif name == "retry" and value.isdecimal() and len(value) < 8:
                continue
            elif not (name == "event" and value in shape.stream_words):
                self.string(value, slot, At(_POINTERS[name], METADATA, "metadata"))
        return document

    def _data(self, text: str, slot: Slot, shape: Shape) -> None:
        if text in shape.stream_words:
            return
        if not text.lstrip(" \t\n\r").startswith(("{", "[")):
            self._unjoined(shape)
            self.string(text, slot, At("/event/data", UNKNOWN, "unknown"))
            return
        try:
            value = self.parse(text)
        except strict.NotJson:
            self._unjoined(shape)
            self.string(text, slot, At("/event/data", UNKNOWN, "unknown"))
            return
        slot.container[slot.key] = value
        place = shape.event(value)
        if place is UNKNOWN:
            self._unjoined(shape)
        self.root(value, slot, At("", place, place.provenance or "unknown"))

    def _unjoined(self, shape: Shape) -> None:
        """A line by itself: that others go on where it ends is not known."""
        if shape is LINES:
            self.skip("", coverage.UNJOINED_STREAM)

    def join_channels(self) -> None:
        """The joined texts become segments: a JSON document its leaves, any other text itself."""
        for pointer, channel in self.channels.items():
            self._values_seen = 0
            whole = "".join(channel.texts)
            slots = tuple(channel.slots)
            place = channel.at.place
            if place.fact is not None:
                self.named.append((place.fact, Named(whole, pointer)))
            if not (place.kind == "json" and self.embedded(whole, slots, channel.at)):
                copies = self._seen.get((pointer, whole, channel.at.provenance))
                pieces = Pieces(slots, channel.texts, copies or ())
                if copies is None:
                    self._add(whole, pointer, channel.at.provenance, pieces)
                else:
                    self.targets[self._index[pointer, whole, channel.at.provenance]] = pieces


_POINTERS: Final = {
    "": "/event/comment",
    "id": "/event/id",
    "event": "/event/name",
    "retry": "/event/retry",
    "line": "/event/line",
}


_TEXT: Final = At("", Place(joined=True), "unknown")


class StreamTree(msgspec.Struct, frozen=True, eq=False):
    """The events of a stream. ``roots[i]`` is the document of ``events[i]``; ``targets[i]`` is where segment ``i``
    stands."""

    events: Sequence[Event]
    roots: Sequence[int]
    documents: Sequence[Document]
    targets: Sequence[list[Slot] | Pieces]
    fragments: Sequence[Slot]

    def write(self, segments: Sequence[Segment], edits: Edits) -> bytes:
        """The stream with the edits done; events that did not change are the same bytes."""
        changes: list[tuple[Slot, Any]] = []
        for index, done in edits.items():
            if not done:
                continue
            target = self.targets[index]
            if isinstance(target, Pieces):
                texts = apply_to_pieces(target.texts, done)
                changes += [
                    (slot, new) for slot, old, new in zip(target.slots, target.texts, texts, strict=True) if new != old
                ]
                changes += [(slot, "".join(texts)) for slot in target.copies]
            else:
                text = apply_edits(segments[index].text, done)
                changes += [(slot, text) for slot in target]
        if changes:
            changes += emptied(self.fragments)
        written = rewrite(self.documents, changes)
        return b"".join(
            serialise(event, [as_text(value) for value in written[root]]) if root in written else event.raw
            for event, root in zip(self.events, self.roots, strict=True)
        )


def as_text(value: Any) -> str:
    """A field's value as it is written: a string, or the JSON of what was parsed."""
    return value if isinstance(value, str) else strict.encode(value).decode()


def read_events(events: Iterable[Event], shape: Shape, walk: StreamWalk) -> StreamTree:
    """Read whole events into ``walk``; its segments belong to the tree."""
    kept = list(events)
    roots = [walk.event(event, shape) for event in kept]
    walk.join_channels()
    if not shape.joins and kept:
        walk.skip("", coverage.UNJOINED_STREAM)
    return StreamTree(kept, roots, walk.documents, walk.targets, walk.fragments)


def deltas(
    event: Event, shape: Shape, *, keyed: KeyedHash, limits: ReadLimits, field_names: frozenset[str] = frozenset()
) -> Deltas:
    """The texts of one event, for an exchange that inspects while it passes. Keeps nothing between events.

    Joined texts come as they stand in the event: a channel of JSON (tool-call arguments) gives pieces of JSON text.
    Raises ``ContentRefused`` as ``read`` does.
    """
    walk = StreamWalk(keyed, limits, field_names, size_bytes=0)
    walk.event(event, shape)
    texts = [
        Delta(pointer, channel.at.provenance, "".join(channel.texts), joined=True)
        for pointer, channel in walk.channels.items()
    ]
    texts += [Delta(segment.pointer, segment.provenance, segment.text, joined=False) for segment in walk.segments]
    if not shape.joins:
        walk.skip("", coverage.UNJOINED_STREAM)
    return Deltas(tuple(texts), walk.all_skipped())
