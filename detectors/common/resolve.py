"""Overlaps: what stays when several findings claim the same characters.

The higher score wins, then the longer span, then the fixed priority of its type. A loser keeps what the winner does
not cover, so that no character that somebody recognised is left in clear; pieces without a letter or digit vanish.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Final

import msgspec


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """A recognised span ``[start, end)`` of one text, before overlaps are resolved."""

    type: str
    start: int
    end: int
    score: float
    evidence: str


def resolve(candidates: Iterable[Candidate], priority: Mapping[str, int], text: str) -> list[Candidate]:
    """The candidates without overlap, by position. O(n log n) comparisons. Smaller ``priority`` wins."""
    kept: list[Candidate] = []
    for group in _groups(sorted(candidates, key=_START)):
        kept += group if len(group) == 1 else _resolve(group, priority, text)
    return kept


_START: Final = attrgetter("start")


def _groups(candidates: Iterable[Candidate]) -> Iterator[list[Candidate]]:
    """Candidates, given by start, in groups that have no character in common: nothing in one decides in another."""
    group: list[Candidate] = []
    end = 0
    for candidate in candidates:
        if group and candidate.start >= end:
            yield group
            group = []
        group.append(candidate)
        end = candidate.end if len(group) == 1 else max(end, candidate.end)
    if group:
        yield group


def _resolve(candidates: list[Candidate], priority: Mapping[str, int], text: str) -> list[Candidate]:
    ranked = sorted(
        candidates,
        key=lambda c: (-c.score, c.start - c.end, priority.get(c.type, len(priority)), c.start, c.type, c.evidence),
    )
    starts: list[int] = []
    kept: list[Candidate] = []
    for candidate in ranked:
        for start, end in _uncovered(candidate.start, candidate.end, starts, kept):
            whole = start == candidate.start and end == candidate.end
            if not whole and not any(map(str.isalnum, text[start:end])):
                continue
            piece = candidate if whole else msgspec.structs.replace(candidate, start=start, end=end)
            at = bisect_left(starts, start)
            starts.insert(at, start)
            kept.insert(at, piece)
    return kept


def _uncovered(start: int, end: int, starts: list[int], kept: list[Candidate]) -> list[tuple[int, int]]:
    """The parts of ``[start, end)`` that no kept candidate covers."""
    at = bisect_left(starts, start)
    if at and kept[at - 1].end > start:
        start = kept[at - 1].end
    parts = []
    while start < end and at < len(kept) and starts[at] < end:
        if starts[at] > start:
            parts.append((start, starts[at]))
        start = kept[at].end
        at += 1
    if start < end:
        parts.append((start, end))
    return parts
