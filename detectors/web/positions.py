"""Where a text stands in a request, told by its pointer and provenance, and the values that are looked at there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from detectors.web.rule import Position
from guard.types import Segment

FORMS: Final = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
_BESIDE: Final[dict[str, Position]] = {"path": "path", "query": "query", "headers": "headers"}
_NEVER: Final = frozenset({"user", "system", "assistant", "tool", "definition"})
"""Words for or of a model: people ask about attacks, and programs hold what looks like them."""
_OF_A_FORM: Final = frozenset({"unknown", "key", "metadata"})
_FILE: Final = "/filename"
SEPARATOR: Final = "\n\0\n"
"""Between a text and its readings in a folded form (``guard.readings``)."""


class Value(NamedTuple):
    """A text to look at: ``text`` begins at ``offset`` of the folded form of segment number ``segment``."""

    segment: int
    offset: int
    text: str
    position: Position
    ends: tuple[tuple[int, int], ...] = ()
    """For a whole path: where each of its segments ends in ``text``, and which one it is."""


def position_of(segment: Segment, media_type: str) -> Position | None:
    """Where the segment stands; ``None`` for words of a conversation, which are never looked at."""
    if segment.provenance in _NEVER:
        return None
    pointer = segment.pointer
    if pointer and not pointer.startswith("/"):
        return _BESIDE.get(pointer.partition("/")[0])
    if media_type in FORMS:
        return "form" if segment.provenance in _OF_A_FORM else None
    # Keys and metadata of other bodies are names that programs chose.
    return "body" if segment.provenance == "unknown" else None


def values_of(segments: Sequence[Segment], media_type: str, wanted: frozenset[Position]) -> Iterator[Value]:
    """The texts at the wanted positions and their readings, each by itself. Files in a form are none of its values."""
    files = _files(segments) if media_type in FORMS else ()
    if "path" in wanted:
        yield from _whole_path(segments)
    for index, segment in enumerate(segments):
        position = position_of(segment, media_type)
        if position is None or position not in wanted:
            continue
        if files and position == "form" and segment.provenance == "unknown" and segment.pointer.startswith(files):
            continue
        text = segment.folded.text
        if "\0" not in text:
            yield Value(index, 0, text, position)
            continue
        offset = 0
        for part in text.split(SEPARATOR):
            yield Value(index, offset, part, position)
            offset += len(part) + len(SEPARATOR)


def _whole_path(segments: Sequence[Segment]) -> Iterator[Value]:
    """The segments of the path as one text: some attacks stand in none of them alone."""
    parts = [(at, segment) for at, segment in enumerate(segments) if segment.pointer.startswith("path/")]
    if len(parts) < 2:
        return
    text, ends = "", []
    for at, segment in parts:
        text += "/" + segment.folded.text.partition(SEPARATOR)[0]
        ends.append((len(text), at))
    yield Value(parts[0][0], 0, text, "path", tuple(ends))


def _files(segments: Sequence[Segment]) -> tuple[str, ...]:
    """The pointers of the files of a form."""
    return tuple(
        segment.pointer.removesuffix(_FILE)
        for segment in segments
        if segment.provenance == "metadata" and segment.pointer.endswith(_FILE) and segment.pointer.startswith("/")
    )
