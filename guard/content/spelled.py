"""Texts that stand spelled in a header or a path: percent-encoded (RFC 3986, RFC 8187), or with backslashes in a quoted
string (RFC 9110, section 5.6.4). Read as what they mean, written back where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from guard.content.edits import Edit, check_edits
from guard.spelling import Change, percent_decoded

_MARKS: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})+|[\\\"]")
_ENCODED: Final = re.compile(r"%[0-9A-Fa-f]{2}|\*=")
_WORD_BREAKS: Final = re.compile(r"[\s;,\"<>]")
_TO_ESCAPE: Final = re.compile(r"[\"\\]")


class Spelled(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A raw text and what it means. ``starts[i]`` and ``ends[i]`` bound the part of ``raw`` that spells ``text[i]``
    (``None``: each character spells itself). In a ``reference`` new text is always percent-encoded."""

    raw: str
    text: str
    starts: Sequence[int] | None = None
    ends: Sequence[int] | None = None
    reference: bool = False

    def edited(self, edits: Sequence[Edit]) -> str:
        """The raw text after edits of its meaning; what is not edited is spelled as it was. New text is spelled as its
        surroundings are. Raises ``ObligationFailed`` as ``check_edits`` does."""
        check_edits(self.text, edits)
        parts: list[str] = []
        position = 0
        for start, end, new in edits:
            begin, stop = self._span(start, end)
            parts += (self.raw[position:begin], self._respelled(new, begin, stop))
            position = stop
        parts.append(self.raw[position:])
        return "".join(parts)

    def _span(self, start: int, end: int) -> tuple[int, int]:
        if self.starts is None or self.ends is None:
            return start, end
        begin = self.starts[start] if start < len(self.text) else len(self.raw)
        return begin, self.ends[end - 1] if end > start else begin

    def _respelled(self, new: str, begin: int, end: int) -> str:
        raw = self.raw
        if not self.reference:
            first = max((match.end() for match in _WORD_BREAKS.finditer(raw, 0, begin)), default=0)
            after = _WORD_BREAKS.search(raw, end)
            if not _ENCODED.search(raw, first, after.start() if after else len(raw)):
                return _TO_ESCAPE.sub(r"\\\g<0>", new) if _in_quotes(raw, begin) else new
        return quote(new, safe="")


def spelled(raw: str, *, reference: bool = False, quoted: bool = True) -> Spelled:
    """What a text means: escapes undone once, as every reader does. Escapes that are not UTF-8 are read as ISO-8859-1.
    Without ``quoted`` quotation marks mean themselves."""
    if "%" not in raw and not (quoted and "\\" in raw and '"' in raw):
        return Spelled(raw, raw, reference=reference)
    return meaning(raw, _pieces(raw, quoted=quoted), reference=reference)


def meaning(raw: str, pieces: Iterable[Change], *, reference: bool = False) -> Spelled:
    """A raw text in which some parts mean something else. A part of several characters is spelled as a whole."""
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    position = 0
    for start, end, new in pieces:
        parts += (raw[position:start], new)
        starts += (*range(position, start), *([start] * len(new)))
        ends += (*range(position + 1, start + 1), *([end] * len(new)))
        position = end
    parts.append(raw[position:])
    starts += range(position, len(raw))
    ends += range(position + 1, len(raw) + 1)
    return Spelled(raw, "".join(parts), starts, ends, reference)


def _pieces(raw: str, *, quoted: bool) -> Iterable[Change]:
    within, after = False, 0
    for match in _MARKS.finditer(raw):
        mark, start = match[0], match.start()
        if mark[0] == "%":
            yield from percent_decoded(mark, start)
        elif start < after or not quoted:
            continue
        elif mark == '"':
            within = not within
        elif within and start + 1 < len(raw):
            after = start + 2
            if raw[start + 1] != "%":
                yield start, after, raw[start + 1]


def _in_quotes(raw: str, position: int) -> bool:
    within = False
    skip = -1
    for match in _TO_ESCAPE.finditer(raw, 0, position):
        if match.start() == skip:
            continue
        if match[0] == '"':
            within = not within
        elif within:
            skip = match.start() + 1
    return within
