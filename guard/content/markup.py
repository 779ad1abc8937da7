"""XML and HTML: the folded form reads character references and CDATA as their readers do, with exact spans, so that
``leak&#64;corp.com`` is found where it stands and replaced whole.

Sources: XML 1.0 sections 2.7 (CDATA) and 4.1 (references), HTML standard section "Named character references" (by
``html.entities``). Entities that a document declares itself are not expanded: that is said in coverage.
"""

from __future__ import annotations

import html
import re
from array import array
from collections.abc import Sequence
from functools import lru_cache
from html.entities import html5
from typing import ClassVar, Final

from guard.content.edits import Edit, apply_edits
from guard.errors import ObligationFailed
from guard.folding import Folded
from guard.readings import see
from guard.types import Segment

_OPEN: Final = "<![CDATA["
_CLOSE: Final = "]]>"
_MARKS: Final = re.compile(
    r"&(?:#0*+[0-9]{1,7};?|#[xX]0*+[0-9a-fA-F]{1,6};?|[A-Za-z][A-Za-z0-9]{1,30};?)|<!\[CDATA\[|\]\]>"
)
_STEP: Final = 32 * 1024
_DECLARED_ENTITY: Final = re.compile(r"<!ENTITY\s", re.IGNORECASE)


class MarkupFolded(Folded, frozen=True, gc=False):
    """The folded form of markup: its edits are escaped."""

    escaped: ClassVar[bool] = True


def declares_entities(text: str) -> bool:
    """Whether the text declares entities of its own, whose references some readers expand."""
    return "<!" in text and _DECLARED_ENTITY.search(text) is not None


def fold_markup(text: str) -> MarkupFolded:
    """Fold as ``guard.readings.see`` does what a reader of the markup sees. References are read once; CDATA markers are
    dropped, so that text that continues over them is one; all other markup stays. Linear."""
    read, starts, ends = _read(text) if "&" in text or _CLOSE in text else (text, None, None)
    folded = see(read)
    if starts is None or ends is None:
        return MarkupFolded(folded.text, folded.offsets, folded.ends)
    starts.append(len(text))
    if folded.offsets is None:
        return MarkupFolded(read, starts, ends)
    origins = folded.offsets[:-1]
    stops = (origin + 1 for origin in origins) if folded.ends is None else folded.ends
    offsets = array("I", (starts[origin] for origin in origins))
    offsets.append(len(text))
    return MarkupFolded(folded.text, offsets, array("I", (ends[stop - 1] if stop else 0 for stop in stops)))


def _read(text: str) -> tuple[str, array[int], array[int]]:
    """The text with references read and CDATA markers dropped; where each character of it begins and ends."""
    parts: list[str] = []
    starts, ends = array("I"), array("I")
    position = 0
    for match in _MARKS.finditer(text):
        new, length = _meaning(match[0])
        if length == 0:
            continue
        begin = match.start()
        end = begin + length
        parts += (text[position:begin], new)
        _stand(starts, ends, position, begin)
        starts.extend([begin] * len(new))
        ends.extend([end] * len(new))
        position = end
    parts.append(text[position:])
    _stand(starts, ends, position, len(text))
    return "".join(parts), starts, ends


def _stand(starts: array[int], ends: array[int], begin: int, end: int) -> None:
    """Characters that stand for themselves. In steps: one call into C holds the interpreter's lock."""
    for step in range(begin, end, _STEP):
        stop = min(step + _STEP, end)
        starts.extend(range(step, stop))
        ends.extend(range(step + 1, stop + 1))


@lru_cache(maxsize=4096)
def _meaning(mark: str) -> tuple[str, int]:
    """What a mark stands for, and how many of its characters do; 0 if it stands for itself."""
    if mark[0] != "&":
        return "", len(mark)
    if mark[1] == "#":
        return html.unescape(mark), len(mark)
    for length in range(len(mark), 2, -1):
        meaning = html5.get(mark[1:length])
        if meaning is not None:
            return meaning, length
    return mark, 0


def edited(segment: Segment, edits: Sequence[Edit]) -> str:
    """The segment's text after its edits. In markup the new texts are escaped: they are text, not tags.

    Raises ``ObligationFailed`` as ``apply_edits`` does, and for an edit that takes one end of a CDATA section away.
    """
    text = segment.text
    if not isinstance(segment.folded, MarkupFolded):
        return apply_edits(text, edits)
    for start, end, _ in edits:
        if text.count(_OPEN, start, end) != text.count(_CLOSE, start, end):
            raise ObligationFailed("A text crosses the end of a CDATA section", where="rewriting the body")
    return apply_edits(text, [(start, end, html.escape(new)) for start, end, new in edits])
