"""Words of a text and the numbers they are known by. Nothing of a text is remembered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from zlib import crc32

import numpy as np
import numpy.typing as npt

MOST_WORDS: Final = 20_000
"""Words of one text that are looked at together; a longer text is read in overlapping parts."""

# A word with its apostrophe, or a run of the signs by which prompts are laid out: <|, ###, ---, [[, """.
_WORD: Final = re.compile(r"\w+(?:'\w+)?|[<>\[\]{}|#=*\"`~-]{2,8}")
# Chinese, Japanese and Korean: their texts part words otherwise or not at all, so each character is a word.
_CJK: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_ANY_WORD: Final = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+(?:'[^\W{_CJK}]+)?|[<>\[\]{{}}|#=*\"`~-]{{2,8}}")
_HAS_CJK: Final = re.compile(f"[{_CJK}]")
_SIGNS: Final = str.maketrans(
    {"\u2019": "'", "\u2018": "'", "\u02bc": "'"} | {chr(0x1F1E6 + at): chr(ord("a") + at) for at in range(26)}
)
"""Other apostrophes, and the letters that flags are made of."""
_LONGEST: Final = 40

Words = npt.NDArray[np.uint64]


def lowered(text: str) -> str:
    """The text in lower case, character by character, so that offsets stay."""
    low = text.lower()
    if len(low) != len(text):
        low = "".join(c if len(c.lower()) != 1 else c.lower() for c in text)
    return low if low.isascii() else low.translate(_SIGNS)


def words_of(low: str) -> list[str]:
    """The words of a text that is ``lowered``, in order."""
    return _pattern(low).findall(low)


def spans_of(low: str) -> Iterator[tuple[int, int]]:
    """Where the words stand that ``words_of`` returns."""
    return (match.span() for match in _pattern(low).finditer(low))


def _pattern(low: str) -> re.Pattern[str]:
    return _WORD if low.isascii() or not _HAS_CJK.search(low) else _ANY_WORD


def hashed(words: list[str]) -> Words:
    """A 32-bit number (CRC-32 of its UTF-8, at most 40 characters of it) for each word."""
    return np.fromiter([crc32(word[:_LONGEST].encode()) for word in words], np.uint64, len(words))
