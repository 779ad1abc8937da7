"""What was read of a body: texts and their positions, and what could not be read."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from guard.folding import Folded
from guard.readings import see
from guard.types.words import Provenance


class Segment(msgspec.Struct, frozen=True, gc=False):
    """One text of a body, at one position.

    ``pointer`` is a JSON pointer (RFC 6901) that is free of personal data from birth: tokens outside the recognised
    shapes are keyed hashes (``~1f0c…``), and a pointer goes on into JSON that is held in a string. The pointer of an
    object key is the pointer of its member. ``""`` is the whole body.
    """

    text: str
    pointer: str
    provenance: Provenance
    folded: Folded

    @classmethod
    def of(cls, text: str, pointer: str = "", provenance: Provenance = "unknown") -> Segment:
        """A segment with its folded form computed."""
        return cls(text, pointer, provenance, see(text))


class Skipped(msgspec.Struct, frozen=True, gc=False):
    """A position that was not inspected, and why. ``reason`` is one of the words in ``docs/coverage.md``."""

    pointer: str
    reason: str


class Incomplete(msgspec.Struct, frozen=True):
    """A detector that did not finish. ``reason``: ``deadline``, ``limit`` or ``error``."""

    detector: str
    reason: str


class Coverage(msgspec.Struct, frozen=True):
    """What was inspected and what was not. "Not inspected" is never "clean"."""

    inspected: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    incomplete: tuple[Incomplete, ...] = ()


class Named(msgspec.Struct, frozen=True):
    """A string that the client chose (a model, a tool) and the pointer at which it stands."""

    value: str
    pointer: str


Operation = Literal["chat", "messages", "completion", "inference"]
"""``chat`` and ``messages`` are OpenAI's and Anthropic's APIs; the others are told by the members of a body."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a recognised shape says about the call, beside its texts. All zero for other bodies."""

    operation: Operation | None = None
    model: Named | None = None
    messages: int = 0
    tools: tuple[Named, ...] = ()
    tool_calls: tuple[Named, ...] = ()
    stream: bool = False
    max_tokens: int | None = None
    tokens_estimate: int = 0


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """A body that was read: its texts by position, what it says about the call, and what could not be read.

    ``tree`` belongs to ``guard.content``, which alone can write the body again with some segments replaced.
    """

    media_type: str
    size_bytes: int
    segments: tuple[Segment, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    facts: Facts = Facts()
    tree: Any = None
