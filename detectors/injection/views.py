"""What a text says to a reader who undoes a disguise that plain decoding does not: l33t, l e t t e r s, rot13, words or
lines that are written backwards, words that run together. Each is tried only where the text shows signs of it."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from detectors.injection.lexicon import Lexicon
from detectors.injection.tokens import words_of

# A letter alone, parted from the next by one sign, at least eight times.
_SPACED: Final = re.compile(r"(?<![\w])\w(?:[ ._*|/-]{1,2}\w(?!\w)){7,}")
_APART: Final = re.compile(r"[ ._*|/-]")
_WIDE: Final = re.compile(r" {2,}|\n")
_LEET_WORD: Final = re.compile(r"\b(?=\w*[a-z])(?=\w*[013457@$])[\w@$]{3,}\b")
_LEET: Final = str.maketrans("013457@$", "oieastas")
LEAST_GLUED: Final = 20
"""Letters from which a word may be several. What shows nothing is taken out of a text before, so it parts no words."""
_MOST_GLUED: Final = 16_384
"""Letters of a text that are taken apart, each at some 2 us."""
_SNAKES: Final = 1 / 3
"""A text with more words joined by underscores is no code."""
_LETTERS: Final = re.compile(r"[a-z\u00df-\u024f']+")
_LONGEST: Final = 16
_FEWEST_AFTER_STEM: Final = 3
_FEWEST: Final = 4
_LEAST_LEET: Final = 2
_COMMON_WORDS: Final = """
the of and to in is you that it for on are with as at be this have from or by not but what all were when we
your can said there use an each which she do how their if will up about out many then them these so some her
would der die das und ist nicht ein eine zu mit auf für le la les de des et un une est pas pour que qui dans
el los las una por con para il di che non per da o a e i
"""
_COMMON: Final = frozenset(_COMMON_WORDS.split())
_HIDDEN_SHARE: Final = 0.08
"""A text with so many common words in a hundred is no cipher."""


def views(low: str, words: list[str], lexicon: Lexicon) -> Iterator[tuple[str, list[str]]]:
    """Other readings of a text, as words, and what was undone. ``low`` is ``lowered``, ``words`` are its words."""
    spaced = _unspaced(low, lexicon)
    if spaced:
        yield "spaced letters", spaced
    leet = sum(1 for _ in zip(_LEET_WORD.finditer(low), range(_LEAST_LEET), strict=False)) if _has_leet(low) else 0
    if leet >= _LEAST_LEET:
        yield "leet", [word.translate(_LEET) if _LEET_WORD.fullmatch(word) else word for word in words]
    if together := _taken_apart(words, lexicon):
        yield "words run together", together
    if len(words) < _FEWEST or sum(word in _COMMON for word in words) > _HIDDEN_SHARE * len(words):
        return
    for name, other in (
        ("rot13", [codecs.encode(word, "rot13") for word in words]),
        ("backwards", [word[::-1] for word in reversed(words)]),
    ):
        if sum(word in _COMMON for word in other) > 2 * _HIDDEN_SHARE * len(other):
            yield name, other


def opened(low: str, offsets: Sequence[int], ends: Sequence[int] | None) -> Iterator[tuple[str, list[str]]]:
    """The words of a folded text where what showed nothing, and was taken out, parts them; nothing where there was
    none. ``offsets`` and ``ends`` are those of the characters of ``low``, as ``Folded`` has them."""
    begins = np.asarray(offsets, np.int64)
    gaps = np.flatnonzero(begins[1:] > (begins[:-1] + 1 if ends is None else np.asarray(ends, np.int64)[:-1])) + 1
    if len(gaps):
        places = [0, *gaps.tolist(), len(low)]
        yield "invisible spaces", words_of(" ".join([low[a:b] for a, b in pairwise(places)]))


def _has_leet(low: str) -> bool:
    return any(digit in low for digit in "013457@$")


def _unspaced(low: str, lexicon: Lexicon) -> list[str]:
    """The words of all runs of single letters; empty without one."""
    words: list[str] = []
    for run in _SPACED.finditer(low):
        parts = [_APART.sub("", part) for part in _WIDE.split(run[0])]
        words += parts if len(parts) > 1 else parted(parts[0], lexicon)
    return words


def _taken_apart(words: list[str], lexicon: Lexicon) -> list[str]:
    """All words, those that run together as several; empty where none does. Names in code are left as they are."""
    scored = sum("_" in word for word in words) > _SNAKES * len(words)
    apart: list[str] = []
    left = _MOST_GLUED
    for word in words:
        for part in filter(None, word.split("_")) if scored else (word,):
            if len(part) < LEAST_GLUED or len(part) > left or not _LETTERS.fullmatch(part):
                apart.append(part)
            else:
                left -= len(part)
                apart += parted(part, lexicon)
    return apart if scored or left < _MOST_GLUED else []


def parted(letters: str, lexicon: Lexicon) -> list[str]:
    """Letters without spaces as words: from the left, the longest that is known. What follows a known stem, and is no
    word, ends it."""
    words: list[str] = []
    start = 0
    rest = ""
    while start < len(letters):
        in_stem = bool(words) and not rest and lexicon.is_stem(words[-1])
        end = _end_of_word(letters, start, _FEWEST_AFTER_STEM if in_stem else 2, lexicon)
        if end:
            words += [rest, letters[start:end]] if rest else [letters[start:end]]
            start, rest = end, ""
        else:
            rest += letters[start]
            start += 1
            if in_stem:
                words[-1] += rest
                rest = ""
    return [*words, rest] if rest else words


def _end_of_word(letters: str, start: int, fewest: int, lexicon: Lexicon) -> int:
    for end in range(min(len(letters), start + _LONGEST), start + fewest - 1, -1):
        word = letters[start:end]
        if word in _COMMON or (end - start > 2 and lexicon.knows(word)):
            return end
    return 0
