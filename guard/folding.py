"""The folded form of a text: what a reader sees, not how it is spelled.

Detectors match on the folded form, so that full-width digits, zero-width characters inside a word and compatibility
forms hide nothing, and map what they find back to the original text.

Source: Unicode Standard Annex 15 (NFKC) and the property Default_Ignorable_Code_Point.
"""

from __future__ import annotations

import unicodedata
from array import array
from collections.abc import Sequence
from typing import ClassVar, Final

import msgspec

# Default ignorable code points that Python's unicodedata files under other categories than Cf.
_IGNORABLE: Final = frozenset({0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0}) | frozenset(
    [*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0000, 0xE1000)]
)

# Controls that no reader sees; tab, line feed and carriage return part words and stay.
_CONTROLS: Final = bytes({*range(32), 127} - {9, 10, 13})


class Folded(msgspec.Struct, frozen=True, gc=False):
    """A folded text and the way back to the original.

    ``offsets[i]`` is the offset, in code points of the original, of the character that became ``text[i]``; it has one
    entry more than ``text`` has characters, the length of the original. ``None`` means that nothing was folded.
    ``ends[i]`` is the offset after it, where that is not the next one: what several characters spell together.
    """

    text: str
    offsets: Sequence[int] | None = None
    ends: Sequence[int] | None = None
    escaped: ClassVar[bool] = False
    """Whether new text is escaped for markup where it is written into the original."""

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original text that the folded span ``[start, end)`` came from."""
        if self.offsets is None:
            return start, end
        if end <= start:
            return self.offsets[start], self.offsets[start]
        if self.ends is None:
            return self.offsets[start], self.offsets[end - 1] + 1
        begin, stop = self.offsets[start], self.ends[end - 1]
        if begin < stop:
            return begin, stop
        # A pattern that reached over the end of a reading: all that it touched.
        return min(self.offsets[start:end]), max(self.ends[start:end])


_REMEMBERED: Final = 16_384
_LONGEST: Final = 4
_SLICE: Final = 32 * 1024
# Format characters, and marks that are drawn onto their neighbour: a stray accent does not change what is read.
_INVISIBLE: Final = frozenset({"Cf", "Mn", "Me"})


class _FoldTable(dict[int, str]):
    """Code point -> its folded form, for the code points that were met first."""

    def __missing__(self, code_point: int) -> str:
        folded = _folded(code_point)
        if len(self) < _REMEMBERED:
            self[code_point] = folded
        return folded


def _folded(code_point: int) -> str:
    character = chr(code_point)
    if character.isascii():
        return "" if code_point in _CONTROLS else character
    category = unicodedata.category(character)
    if category in _INVISIBLE or code_point in _IGNORABLE:
        return ""
    if category == "Pd":
        return "-"
    folded = unicodedata.normalize("NFKC", character)
    # A few ligatures unfold into a whole phrase: they hide nothing, and would let a text grow eighteenfold.
    return folded if len(folded) <= _LONGEST else character


_TABLE: Final = _FoldTable()


def fold(text: str) -> Folded:
    """Fold compatibility forms (NFKC, per character), map dashes to ``-``, drop marks and what shows nothing.

    Linear in the length of the text. ASCII text without control characters is returned as it is.
    """
    # Deleting from bytes is an order of magnitude faster than searching with a regular expression.
    if text.isascii() and len(text.encode().translate(None, _CONTROLS)) == len(text):
        return Folded(text)
    # One call into C holds the interpreter's lock: a long text is translated in slices, so that others get their turn.
    folded = "".join([text[start : start + _SLICE].translate(_TABLE) for start in range(0, len(text), _SLICE)])
    if folded == text:
        return Folded(text)
    offsets = array("I", (offset for offset, character in enumerate(text) for _ in _TABLE[ord(character)]))
    offsets.append(len(text))
    return Folded(folded, offsets)
