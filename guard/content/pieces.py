"""Bodies made of pieces (fields of a form, parts, records): each piece is a document of its own, and is written again
into its own bytes; all other bytes stay as they came."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from guard.content.documents import Document, Slot, changes_of, rewrite
from guard.content.edits import Edits
from guard.content.walk import ReadLimits, Walk
from guard.errors import ContentRefused, ObligationFailed
from guard.types import Segment

Encode: TypeAlias = Callable[[Any], bytes]
"""The bytes of a changed piece. Raises ``ObligationFailed`` for a value that the piece cannot hold."""


class Piece(msgspec.Struct, frozen=True, eq=False, gc=False):
    """``body[start:end]`` holds one document."""

    start: int
    end: int
    encode: Encode


class StatedLength(msgspec.Struct, frozen=True, gc=False):
    """``body[start:end]`` is the length in bytes, in decimal digits, of ``body[data_start:data_end]``."""

    start: int
    end: int
    data_start: int
    data_end: int


class PiecesTree(msgspec.Struct, frozen=True, eq=False):
    """A body of pieces. ``slots[i]`` is where segment ``i`` stands; ``pieces`` go by document index. ``delimiter`` is
    what no new text may spell: it would part the body in other places."""

    body: bytes
    documents: Sequence[Document]
    slots: Sequence[Slot]
    pieces: Mapping[int, Piece]
    lengths: Sequence[StatedLength] = ()
    delimiter: bytes = b""

    def write(self, segments: Sequence[Segment], edits: Edits) -> bytes:
        """The body with the changed pieces encoded again. Raises ``ObligationFailed`` if a piece cannot hold its
        edits."""
        changes = changes_of(self.slots, segments, edits)
        if not changes:
            return self.body
        new: list[tuple[int, int, bytes]] = []
        for index, holder in rewrite(self.documents, changes).items():
            piece = self.pieces[index]
            new.append((piece.start, piece.end, piece.encode(holder[0])))
        new += self._stated(new)
        body = _spliced(self.body, sorted(new))
        if self.delimiter and body.count(self.delimiter) != self.body.count(self.delimiter):
            raise ObligationFailed("The new text holds the delimiter of the parts", where="rewriting the body")
        return body

    def _stated(self, new: Sequence[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
        """The stated lengths that these changes make wrong."""
        wrong: list[tuple[int, int, bytes]] = []
        for stated in self.lengths:
            grown = sum(
                len(data) - (end - start)
                for start, end, data in new
                if stated.data_start <= start and end <= stated.data_end
            )
            if grown:
                length = stated.data_end - stated.data_start + grown
                wrong.append((stated.start, stated.end, str(length).encode()))
        return wrong


def _spliced(body: bytes, new: Sequence[tuple[int, int, bytes]]) -> bytes:
    parts: list[bytes] = []
    position = 0
    for start, end, data in new:
        parts += (body[position:start], data)
        position = end
    parts.append(body[position:])
    return b"".join(parts)


class Pieces:
    """The pieces of one body while it is read."""

    def __init__(self, body: bytes, walk: Walk, limits: ReadLimits) -> None:
        self.body = body
        self.walk = walk
        self.limits = limits
        self.lengths: list[StatedLength] = []
        self._pieces: dict[int, Piece] = {}
        self._fields = 0

    def add(self, value: Any, start: int, end: int, encode: Encode) -> Slot:
        """A piece, and the slot of its root."""
        slot = self.walk.open_document(value)
        self._pieces[slot.document] = Piece(start, end, encode)
        return slot

    def count_fields(self, number: int, where: str = "body") -> None:
        """So many fields more. Raises ``ContentRefused`` (``form_limit``) past ``max_fields``."""
        self._fields += number
        if self._fields > self.limits.max_fields:
            raise ContentRefused("form_limit", "There are more fields or parts than the limit", where=where)

    def check_field(self, size_bytes: int, where: str = "body") -> None:
        """Raises ``ContentRefused`` (``form_limit``) for a field larger than ``max_field_bytes``."""
        if size_bytes > self.limits.max_field_bytes:
            raise ContentRefused("form_limit", "A field is larger than the limit", where=where)

    def tree(self, delimiter: bytes = b"") -> PiecesTree:
        """What writes the body again."""
        return PiecesTree(self.body, self.walk.documents, self.walk.slots, self._pieces, self.lengths, delimiter)
