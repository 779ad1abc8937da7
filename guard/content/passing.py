"""One event of a streamed answer as it passes: its texts with the places where they stand, what it ends, and its
bytes with other texts. Keeps nothing between events.

``guard.content.streams`` reads a whole stream in the same way; what is written here is what it writes.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from guard.content import coverage
from guard.content.documents import Slot, emptied, rewrite
from guard.content.edits import Edit, apply_edits
from guard.content.places import LOOSE
from guard.content.shapes import Shape
from guard.content.sse import Event, serialise
from guard.content.streams import StreamWalk, as_text
from guard.content.walk import At, ReadLimits
from guard.keyed import KeyedHash
from guard.types import Segment, Skipped


class Part(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One text of an event. With ``at`` it is a piece of the text of its channel, which is ``at.pointer``, and goes on
    where the last piece ended, or says ``again`` all that the pieces said; otherwise it stands alone, as ``segment``,
    at all of its ``slots``."""

    text: str
    slots: Sequence[Slot]
    at: At | None = None
    segment: Segment | None = None
    again: bool = False


class PassingEvent(msgspec.Struct, frozen=True, eq=False):
    """One event, read. ``ends`` are pointers: the channels at and below them are over; ``""`` is all.

    ``divisible``: it may be sent in two, each with a part of its one joined text.
    """

    event: Event
    parts: tuple[Part, ...]
    skipped: tuple[Skipped, ...]
    ends: tuple[str, ...]
    divisible: bool
    walk: StreamWalk

    @property
    def known_characters(self) -> int:
        """The length of its texts that are known, and therefore no parts."""
        return self.walk.known_characters

    def write(self, texts: Mapping[int, str]) -> bytes:
        """The event with other texts: index of a part to its text. What spells the texts again is emptied."""
        changes: list[tuple[Slot, Any]] = [
            (slot, text) for index, text in texts.items() for slot in self.parts[index].slots
        ]
        if not changes:
            return self.event.raw
        changes += emptied(self.walk.fragments)
        written = rewrite(self.walk.documents, changes)
        return serialise(self.event, [as_text(value) for value in written[0]])


def read_event(
    event: Event,
    shape: Shape,
    *,
    keyed: KeyedHash,
    limits: ReadLimits,
    field_names: frozenset[str] = frozenset(),
    known: Container[tuple[str, str]] = frozenset(),
) -> PassingEvent:
    """The texts of one event. ``known`` are ``(pointer, text)`` that stand alone and need not be inspected again: most
    events repeat an id and a model. Raises ``ContentRefused`` as ``read`` does."""
    walk = StreamWalk(keyed, limits, field_names, size_bytes=0, passing=True, known=known)
    holder = walk.documents[walk.event(event, shape)].holder
    value = next((held for held, (name, _) in zip(holder, event.fields, strict=True) if name == "data"), None)
    parts = [
        Part(text, (slot,), channel.at)
        for channel in walk.channels.values()
        for slot, text in zip(channel.slots, channel.texts, strict=True)
    ]
    joined = len(parts)
    parts += [Part(text, (slot,), at, again=True) for text, slot, at in walk.copies]
    for segment, target in zip(walk.segments, walk.targets, strict=True):
        slots = target if isinstance(target, list) else target.slots
        parts.append(Part(segment.text, slots, segment=segment))
    if not shape.joins:
        walk.skip("", coverage.UNJOINED_STREAM)
    plain = event.framing == "text" or _is_plain_delta(value)
    divisible = joined == 1 and not walk.fragments and plain
    ends = (*_ends(event, value), *(at.pointer for _, _, at in walk.copies), *_named(walk.channels))
    return PassingEvent(event, tuple(parts), walk.all_skipped(), ends, divisible, walk)


def is_document(at: At) -> bool:
    """Whether a channel gives a JSON document: the arguments of a tool call."""
    return at.place.kind == "json"


class Arguments(msgspec.Struct, frozen=True, eq=False):
    """A channel of JSON that has ended: its leaves as segments, or the text itself if it is no JSON."""

    text: str
    segments: tuple[Segment, ...]
    skipped: tuple[Skipped, ...]
    walk: StreamWalk | None

    def write(self, edits: Mapping[int, Sequence[Edit]]) -> str:
        """The text with its leaves edited: JSON again, without white space."""
        if self.walk is None:
            return apply_edits(self.text, edits.get(0, ()))
        changes: list[tuple[Slot, Any]] = []
        for index, done in edits.items():
            new = apply_edits(self.segments[index].text, done)
            target = self.walk.targets[index]
            changes += [(slot, new) for slot in (target if isinstance(target, list) else target.slots)]
        return as_text(rewrite(self.walk.documents, changes)[0][0])


def read_arguments(
    text: str, at: At, *, keyed: KeyedHash, limits: ReadLimits, field_names: frozenset[str] = frozenset()
) -> Arguments:
    """The leaves of a document that came in pieces. Raises ``ContentRefused`` as ``read`` does."""
    walk = StreamWalk(keyed, limits, field_names, size_bytes=0)
    if walk.embedded(text, (walk.open_document(text),), at):
        return Arguments(text, tuple(walk.segments), walk.all_skipped(), walk)
    return Arguments(text, (Segment.of(text, at.pointer, at.provenance),), walk.all_skipped(), None)


def value_at(at: At, path: Sequence[str | int], keyed: KeyedHash, field_names: frozenset[str]) -> At:
    """Where a value of a document stands that keys and indexes lead to."""
    tokens = [f"/{one if isinstance(one, int) or one in field_names else keyed.token(one)}" for one in path]
    return At(at.pointer + "".join(tokens), LOOSE, at.provenance, at.depth + len(path))


def _is_plain_delta(value: Any) -> bool:
    """Whether an event says nothing but that a text goes on, so that saying it twice changes nothing."""
    if not isinstance(value, dict):
        return False
    kind = value.get("type")
    if kind is not None:
        return bool(kind == "content_block_delta")
    choices = value.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        return False
    delta = choices[0].get("delta")
    return isinstance(delta, dict) and "tool_calls" not in delta and "function_call" not in delta


_LAST: Final = frozenset(
    {
        "message_delta",
        "message_stop",
        "error",
        "response.completed",
        "response.incomplete",
        "response.failed",
        "response.done",
    }
)


def _ends(event: Event, value: Any) -> tuple[str, ...]:
    """What an event ends: a choice with its ``finish_reason``, a content block with its stop, everything with the
    last word of the stream or an error."""
    if not isinstance(value, dict):
        return ("",) if event.data == "[DONE]" else ()
    kind = value.get("type")
    if kind in _LAST or value.get("error") or value.get("done") is True:
        return ("",)
    if kind == "content_block_stop":
        return (f"/content/{_number(value.get('index'))}",)
    if kind == "response.output_item.done":
        return (f"/output/{_number(value.get('output_index'))}",)
    choices = value.get("choices")
    if not isinstance(choices, list):
        return ()
    return tuple(
        f"/choices/{_number(choice.get('index'), position)}"
        for position, choice in enumerate(choices)
        if isinstance(choice, dict) and isinstance(choice.get("finish_reason"), str) and choice["finish_reason"]
    )


def _named(channels: Iterable[str]) -> Iterator[str]:
    """The names that are whole because the arguments of their calls begin."""
    for pointer in channels:
        call, _, member = pointer.rpartition("/")
        if member in ("arguments", "input"):
            yield f"{call}/name"


def _number(index: Any, position: int = 0) -> str:
    return bytes(index).decode() if isinstance(index, msgspec.Raw) else str(position)
