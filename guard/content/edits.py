"""Changes to texts: one form for bodies and streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from guard.errors import ObligationFailed

Edit: TypeAlias = tuple[int, int, str]
"""``(start, end, new text)``: code points of the segment's original text. An insertion has ``start == end``."""

Edits: TypeAlias = Mapping[int, Sequence[Edit]]
"""Segment index -> its edits, sorted by start, none overlapping another."""


def check_edits(text: str, edits: Sequence[Edit]) -> None:
    """Raises ``ObligationFailed`` unless the edits are sorted, apart from each other, and inside the text."""
    position = 0
    for start, end, _ in edits:
        if not position <= start <= end <= len(text):
            raise ObligationFailed("Edits of a text overlap or lie outside it", where="rewriting the body")
        position = end


def apply_edits(text: str, edits: Sequence[Edit]) -> str:
    """The text after its edits. Raises ``ObligationFailed`` as ``check_edits`` does."""
    check_edits(text, edits)
    parts: list[str] = []
    position = 0
    for start, end, new in edits:
        parts += (text[position:start], new)
        position = end
    parts.append(text[position:])
    return "".join(parts)


def apply_to_pieces(pieces: Sequence[str], edits: Sequence[Edit]) -> list[str]:
    """The pieces of a text after edits of the whole; they still join to the whole, edited.

    New text goes to the piece in which the replaced text began (an insertion at the very end: to the last piece);
    other pieces keep what was not replaced. Linear in pieces and edits. Raises ``ObligationFailed`` for edits that
    overlap or lie outside.
    """
    if not edits:
        return list(pieces)
    check_edits("".join(pieces), edits)
    changed: list[str] = []
    queue = list(edits)
    current = 0
    begin = 0
    for number, piece in enumerate(pieces):
        end = begin + len(piece)
        last = number == len(pieces) - 1
        kept: list[str] = []
        position = begin
        while current < len(queue):
            start, stop, new = queue[current]
            starts_here = begin <= start < end or (last and start >= begin)
            if not starts_here and start >= begin:
                break
            if starts_here:
                kept += (piece[position - begin : start - begin], new)
            position = min(stop, end)
            if stop > end:
                break
            current += 1
        kept.append(piece[position - begin :])
        changed.append("".join(kept))
        begin = end
    return changed
