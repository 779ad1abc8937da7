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
_APOSTROPHES: Final = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'"})
_LONGEST: Final = 40

Words = npt.NDArray[np.uint64]


def lowered(text: str) -> str:
    """The text in lower case, character by character, so that offsets stay."""
    low = text.lower()
    if len(low) != len(text):
        low = "".join(c if len(c.lower()) != 1 else c.lower() for c in text)
    return low if low.isascii() else low.translate(_APOSTROPHES)


def words_of(low: str) -> list[str]:
    """The words of a text that is ``lowered``, in order."""
    return _WORD.findall(low)


def spans_of(low: str) -> Iterator[tuple[int, int]]:
    """Where the words stand that ``words_of`` returns."""
    return (match.span() for match in _WORD.finditer(low))


def hashed(words: list[str]) -> Words:
    """A 32-bit number (CRC-32 of its UTF-8, at most 40 characters of it) for each word."""
    return np.fromiter([crc32(word[:_LONGEST].encode()) for word in words], np.uint64, len(words))
