"""Context: the words beside a match that say what a number is.

Whole words only ("lic" is not in "public"), eight before the match and three after it, and the words of the object
key whose member the text is. A phrase counts when its words stand in order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from detectors.pii.projection import canonical
from guard.types import Segment

_BEFORE_CHARACTERS: Final = 120
_AFTER_CHARACTERS: Final = 40
_BEFORE_WORDS: Final = 8
_AFTER_WORDS: Final = 3
_WORDS: Final = re.compile(r"[^\W_]+")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_KEY_CHARACTERS: Final = 200
_KEY_LEVELS: Final = 3

AMBIGUOUS: Final = {
    "US_PASSPORT": frozenset({"us", "united", "states", "travel", "document"}),
    "US_BANK_NUMBER": frozenset({"check", "save"}),
    "PHONE_NUMBER": frozenset({"number"}),
}
"""Context words of presidio that stand beside too many ordinary numbers."""

MORE: Final = {"PHONE_NUMBER": ("tel", "fax", "sms", "whatsapp", "dial", "contact")}
"""Context words that presidio lacks."""

GAIN: Final = 0.35
LEAST: Final = 0.5
"""A match with context gains ``GAIN`` and scores at least ``LEAST``."""


def raised(score: float) -> float:
    """What context makes of a score."""
    return min(1.0, max(score + GAIN, LEAST))


class ContextWords:
    """The context words of one recognizer, as whole words and phrases."""

    def __init__(self, entity: str, words: Iterable[str]) -> None:
        phrases = {" ".join(_WORDS.findall(canonical(word).lower())) for word in (*words, *MORE.get(entity, ()))} - {""}
        phrases -= AMBIGUOUS.get(entity, frozenset())
        self._words = frozenset(phrase for phrase in phrases if " " not in phrase)
        self._phrases = tuple(sorted(phrase for phrase in phrases if " " in phrase))

    def find(self, words: Sequence[str]) -> str | None:
        """The first context word among ``words`` (lower case), or ``None``."""
        for word in words:
            if word in self._words:
                return word
        if self._phrases:
            joined = f" {' '.join(words)} "
            return next((phrase for phrase in self._phrases if f" {phrase} " in joined), None)
        return None


def words_beside(text: str, start: int, end: int) -> list[str]:
    """The words beside ``text[start:end]`` in lower case, the nearest before it first. Bounded work."""
    cut = max(0, start - _BEFORE_CHARACTERS)
    # A NUL parts the text from other readings of it: what stands beyond is not beside.
    cut = max(cut, text.rfind("\0", cut, start) + 1)
    before = _WORDS.findall(text[cut:start].lower())
    if cut and before and text[cut].isalnum() and text[cut - 1].isalnum():
        before = before[1:]
    after = _WORDS.findall(text[end : end + _AFTER_CHARACTERS].partition("\0")[0].lower())
    return before[-_BEFORE_WORDS:] + after[:_AFTER_WORDS]


class KeyWords:
    """Words of the object keys that a segment stands under, found by pointer when first asked for."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._segments = segments
        self._keys: dict[str, list[str]] | None = None

    def of(self, segment: Segment) -> list[str]:
        """The words of the segment's key and of the two keys above it, lower case."""
        found: list[str] = []
        if not self._read() or segment.provenance == "key":
            return found
        pointer = segment.pointer
        for _ in range(_KEY_LEVELS):
            found += self._read().get(pointer, ())
            pointer, slash, _ = pointer.rpartition("/")
            if not slash:
                break
        return found

    def own(self, segment: Segment) -> Sequence[str]:
        """The words of the key whose value the segment is, lower case; none for an element of an array or a key."""
        return () if segment.provenance == "key" else self._read().get(segment.pointer, ())

    def _read(self) -> dict[str, list[str]]:
        if self._keys is None:
            self._keys = {key.pointer: _key_words(key.folded.text) for key in self._segments if key.provenance == "key"}
        return self._keys


def _key_words(key: str) -> list[str]:
    return _WORDS.findall(_HUMP.sub(" ", canonical(key[:_KEY_CHARACTERS])).lower())
