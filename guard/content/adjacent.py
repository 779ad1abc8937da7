"""Neighbouring text parts of one message: a model reads them on, so a value may begin in one and end in the next.

Each of the two gets a reading of the seam, in which the other's characters stand for nothing of its own: a value over
the seam is found in both, and each hides its part.
"""

from __future__ import annotations

import re
from array import array
from typing import Final

import msgspec

from guard.folding import Folded
from guard.readings import Reading, joined, see
from guard.types import Segment

_CHARACTERS: Final = 128
"""How much of each side the seam shows."""
_PART: Final = re.compile(r"(.*)/([0-9]+)/([^/]+)", re.DOTALL).fullmatch


def read_seams(segments: list[Segment], names: frozenset[str]) -> None:
    """Add the readings of the seams between segments whose pointers end in ``<n>/<name>`` and ``<n + 1>/<name>``."""
    previous = None
    for index, segment in enumerate(segments):
        name = segment.pointer.rpartition("/")[2]
        here = _PART(segment.pointer) if name in names else None
        if here is None or segment.provenance == "key":
            continue
        if previous is not None:
            before, at = previous
            if before[1] == here[1] and before[3] == here[3] and int(before[2]) + 1 == int(here[2]):
                segments[at], segments[index] = _seamed(segments[at], segment)
        previous = here, index


class _Side(msgspec.Struct, frozen=True):
    """``[low, high]`` of the seam is this side, which begins at ``onto`` of its segment; the rest is empty there, at
    ``beyond``."""

    low: int
    high: int
    onto: int
    beyond: int

    def placed(self, at: int) -> int:
        return at - self.low + self.onto if self.low <= at <= self.high else self.beyond

    def reading(self, seam: Folded) -> Reading:
        length = len(seam.text)
        starts = range(length) if seam.offsets is None else seam.offsets[:length]
        ends = [start + 1 for start in starts] if seam.ends is None else seam.ends
        return Reading(seam.text, array("I", map(self.placed, starts)), array("I", map(self.placed, ends)))


def _seamed(first: Segment, second: Segment) -> tuple[Segment, Segment]:
    tail, head = first.text[-_CHARACTERS:], second.text[:_CHARACTERS]
    if not tail.strip() or not head.strip():
        return first, second
    left: list[Reading] = []
    right: list[Reading] = []
    length = len(first.text)
    for between in ("", " "):
        seam = see(tail + between + head)
        start = len(tail) + len(between)
        left.append(_Side(0, len(tail), length - len(tail), length).reading(seam))
        right.append(_Side(start, start + len(head), 0, 0).reading(seam))
    return _with(first, left), _with(second, right)


def _with(segment: Segment, readings: list[Reading]) -> Segment:
    folded = joined(segment.folded, readings, len(segment.text))
    return msgspec.structs.replace(segment, folded=folded)
