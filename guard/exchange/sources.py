"""The texts of a stream that are to be inspected, and what becomes of each; and what a channel said, for when the
provider says it again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from guard import content as reading
from guard.content import Edit, apply_edits
from guard.obligations.redact import Operator
from guard.obligations.standing import Standing
from guard.stream import Window
from guard.types import Segment

_MOST_EDITS: Final = 4096


class Source(msgspec.Struct, eq=False):
    """One text that is to be inspected: ``segment.text[fresh:ready]`` may leave, and does by ``settle(ready, edits)``.

    ``window``: it goes on. ``standing``: whether what is at ``fresh`` lies in a string of JSON. ``keys``: those that it
    stands under.
    """

    segment: Segment
    fresh: int
    ready: int
    settle: Callable[[int, Sequence[Edit]], None]
    window: Window | None = None
    standing: Standing | None = None
    keys: Sequence[Segment] = ()


def alone(segment: Segment, settle: Callable[[str | None], None]) -> Source:
    """A text that stands by itself. ``settle`` is given its new text, ``None`` if it did not change."""

    def done(_ready: int, edits: Sequence[Edit]) -> None:
        settle(apply_edits(segment.text, edits) if edits else None)

    return Source(segment, 0, len(segment.text), done)


def document(
    arguments: reading.Arguments, settle: Callable[[str | None], None], keys: Sequence[Segment] = ()
) -> Iterator[Source]:
    """The texts of a whole JSON document; ``settle`` is given its new text once all of them were inspected."""
    changes: dict[int, Sequence[Edit]] = {}
    waiting = len(arguments.segments)
    if not waiting:
        settle(None)

    def done(index: int) -> Callable[[int, Sequence[Edit]], None]:
        def leaf(_ready: int, edits: Sequence[Edit]) -> None:
            nonlocal waiting
            waiting -= 1
            if edits:
                changes[index] = edits
            if not waiting:
                settle(arguments.write(changes) if changes else None)

        return leaf

    for index, segment in enumerate(arguments.segments):
        yield Source(segment, 0, len(segment.text), done(index), keys=keys)


class Said:
    """What a channel said so far, by its digest, and what was changed in it: enough to say it again as it left."""

    __slots__ = ("_digest", "_edits", "_length", "armed")

    def __init__(self, armed: Mapping[str, Operator]) -> None:
        """``armed``: what was to be hidden when it began."""
        self.armed = armed
        self._digest = hashlib.blake2b(digest_size=32)
        self._length = 0
        self._edits: list[Edit] | None = []

    def add(self, text: str, edits: Sequence[Edit]) -> None:
        """So much of it left, with these edits, which count from its beginning."""
        self._digest.update(text.encode(errors="surrogatepass"))
        if self._edits is not None:
            self._edits += [(self._length + start, self._length + end, new) for start, end, new in edits]
            if len(self._edits) > _MOST_EDITS:
                self._edits = None
        self._length += len(text)

    def again(self, text: str) -> str | None:
        """The same text as it left; ``None`` if it is another, or not known any more."""
        if self._edits is None or len(text) != self._length:
            return None
        if hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=32).digest() != self._digest.digest():
            return None
        return apply_edits(text, self._edits)
