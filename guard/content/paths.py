"""The texts of a request's path: each segment, percent-decoded, at ``path/<index>`` (the first after the slash is 0).

A path stands twice in a request: decoded, and as it was sent. Where both spell the same segments they are read once,
else (an encoded slash, escapes that are no UTF-8) each on its own. Source: RFC 3986, sections 2.1 and 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from guard.content import coverage
from guard.content.edits import Edits, apply_edits
from guard.content.spelled import Spelled, spelled
from guard.content.walk import ReadLimits, Walk
from guard.errors import ObligationFailed
from guard.keyed import KeyedHash
from guard.types import Content, Segment

POINTER: Final = "path"

WORDS: Final = frozenset(
    """api openai anthropic v1 v1beta v2 v3 chat completions messages count_tokens responses embeddings models
    moderations files uploads batches images audio generations transcriptions translations speech realtime threads runs
    assistants conversations deployments invoke""".split()  # noqa: SIM905
)
"""Segments that are the words of providers' APIs, and no texts."""


class PathTree(msgspec.Struct, frozen=True, eq=False):
    """A path in both spellings. ``decoded[i]`` and ``sent[i]`` say which part of each holds segment ``i``; ``-1``:
    none."""

    parts: Sequence[str]
    raw_parts: Sequence[Spelled] | None
    decoded: Sequence[int]
    sent: Sequence[int]

    def write(self, segments: Sequence[Segment], edits: Edits) -> tuple[str, bytes | None]:
        """Both spellings with the edits done. Raises ``ObligationFailed`` for a segment that would not stay one."""
        parts = list(self.parts)
        raw = None if self.raw_parts is None else [part.raw for part in self.raw_parts]
        for index, done in edits.items():
            if not done:
                continue
            place = self.decoded[index]
            if place >= 0:
                parts[place] = _segment(apply_edits(segments[index].text, done))
            place = self.sent[index]
            if raw is not None and self.raw_parts is not None and place >= 0:
                raw[place] = _segment(self.raw_parts[place].edited(done))
        return "/".join(parts), None if raw is None else "/".join(raw).encode("latin-1")


def _segment(text: str) -> str:
    if text in ("", ".", "..") or "/" in text:
        raise ObligationFailed("The new text cannot be a segment of a path", where="rewriting the path")
    return text


def read_path(
    path: str,
    raw_path: bytes | None,
    *,
    keyed: KeyedHash,
    limits: ReadLimits,
    literal: frozenset[int] = frozenset(),
) -> Content:
    """The texts of a path. ``path`` is decoded, ``raw_path`` as it was sent (``None``: not known); ``literal`` are the
    segments that the configuration spells itself. Past ``max_fields`` segments nothing is read, and that is said.
    """
    parts = path.split("/")
    raw_parts = None
    if raw_path is not None:
        raw_parts = [spelled(part, reference=True, quoted=False) for part in raw_path.decode("latin-1").split("/")]
    same = raw_parts is not None and [part.text for part in raw_parts] == parts
    walk = Walk(keyed, limits, frozenset(), size_bytes=4 * len(path) + len(raw_path or b""))
    decoded: list[int] = []
    sent: list[int] = []
    if len(parts) > limits.max_fields or (raw_parts is not None and len(raw_parts) > limits.max_fields):
        walk.skip(POINTER, coverage.INSPECT_LIMIT)
    else:
        for place, text in enumerate(parts):
            if _is_text(text) and place - 1 not in literal and _read(walk, place, text):
                decoded.append(place)
                sent.append(place if same else -1)
        for place, part in enumerate(raw_parts or ()):
            if not same and _is_text(part.text) and _read(walk, place, part.text):
                decoded.append(-1)
                sent.append(place)
    return Content(
        media_type="",
        size_bytes=len(path),
        segments=tuple(walk.segments),
        skipped=walk.all_skipped(),
        tree=PathTree(parts, raw_parts, decoded, sent),
    )


def is_wordless(path: str, raw_path: bytes | None, literal: frozenset[int], limits: ReadLimits) -> bool:
    """Whether ``read_path`` finds nothing to say: both spellings are one, of words of APIs and of the configuration."""
    if "%" in path or not path.isascii() or (raw_path is not None and raw_path != path.encode()):
        return False
    parts = path.split("/")
    return len(parts) <= limits.max_fields and all(
        not _is_text(text) or place in literal for place, text in enumerate(parts, -1)
    )


def _is_text(text: str) -> bool:
    return text != "" and text not in WORDS


def _read(walk: Walk, place: int, text: str) -> bool:
    """Whether the text is now a segment of the walk."""
    before = len(walk.segments)
    pointer = f"{POINTER}/{place - 1}" if place else POINTER
    if "\\" in text and text.startswith(("{", "[", '"')):
        walk.skip(pointer, coverage.EMBEDDED_JSON)
    walk.emit(text, walk.open_document(text), pointer, "metadata")
    return len(walk.segments) > before


def write_path(content: Content, edits: Edits) -> tuple[str, bytes | None]:
    """The path again in both spellings, decoded and as it is sent, with texts edited; segments without an edit stay as
    they came. Raises ``ObligationFailed``."""
    return content.tree.write(content.segments, edits)  # type: ignore[no-any-return]
