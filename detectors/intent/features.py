"""Hashed features of a task: its words, pairs of words, concepts and pairs of concepts, and what it is built of.

The hashing trick: Weinberger et al. 2009, "Feature hashing for large scale multitask learning".
"""

from __future__ import annotations

import re
from typing import Final
from zlib import crc32

import numpy as np
import numpy.typing as npt

from detectors.injection.lexicon import Lexicon

BITS: Final = 16
SIZE: Final = 1 << BITS
Indices = npt.NDArray[np.intp]
Numbers = npt.NDArray[np.uint64]

_WORD: Final = re.compile(r"[^\W\d_]+(?:['+#.-][^\W\d_]+)*[+#]{0,2}|\d+|[^\w\s]")
_MOST_WORDS: Final = 240
_FIRST: Final = 4
"""Words at the beginning that count once more by their place: what is asked for mostly stands there."""
_LAST: Final = 12
"""Words at the end that count once more: where it does not stand first, it stands last."""
_LONGEST: Final = 24
# Odd numbers with well mixed bits, one for each place in each kind of feature.
_MIX: Final = (
    np.random.default_rng(20_261_123).integers(1 << 62, 1 << 63, 12, dtype=np.uint64) << np.uint64(1)
) | np.uint64(1)
# Name, signs without one of which it cannot be, expression.
_SHAPES: Final = (
    (b"code fence", "`{;:)", re.compile(r"```|^\s{4,}+\S[^\n]*[;{:)][ \t]*$", re.MULTILINE)),
    (
        b"code",
        "({;=<",
        re.compile(
            r"\b(?:def|class|function|return|import|SELECT|public|const|var|let)\b[^.?!\n({;=]*+[({;=]|=>|</\w|\w\(\)|!=|==|#include"
        ),
    ),
    (b"file name", ".", re.compile(r"\w\.(?:py|js|ts|java|rs|go|rb|php|c|cpp|h|sql|sh|html|css|ya?ml|json|toml)\b")),
    (
        b"formula",
        "+*/^=\\\u222b\u221a\u2211\u2264\u2265\u03c0\u00b2\u00b3",
        re.compile(
            r"[\dxyzn)]\s?[-+*/^=]\s?[\dxyzn(]|\\(?:frac|int|sum|sqrt)|[\u222b\u221a\u2211\u2264\u2265\u03c0\u00b2\u00b3]"
        ),
    ),
    (b"question", "?", re.compile(r"\?")),
    (b"quoted", '"\u201c\u00ab', re.compile(r"[\"\u201c\u00ab][^\"\u201d\u00bb]{20}")),
    (b"colon and more", ":", re.compile(r":\s*\n|:\s+[\"\u201cA-Z]")),
    (b"blank line", "\n", re.compile(r"\n\s*\n")),
    (b"records", "\n", re.compile(r"(?:^[^\n]{1,80}[:|,;\t][^\n]*\n){2}", re.MULTILINE)),
    (
        b"foreign",
        "",
        re.compile(r"[\u0370-\u03ff\u0400-\u04ff\u0590-\u06ff\u0900-\u097f\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]"),
    ),
)
_NUMBERS: Final = (1, 3, 6)
_LENGTHS: Final = (8, 20, 50, 120)


def words_of(text: str) -> list[str]:
    """The words, numbers and signs of a text in lower case, at most the first 160 and the last 80."""
    words = _WORD.findall(text.lower())
    return words if len(words) <= _MOST_WORDS else [*words[:160], *words[-80:]]


def features_of(text: str, lexicon: Lexicon) -> Indices:
    """Indices below ``SIZE``, each once, in order."""
    words = words_of(text)
    numbers = np.fromiter(
        [crc32(b"0" if word.isdigit() else word[:_LONGEST].encode("utf-8", "surrogatepass")) for word in words],
        np.uint64,
        len(words),
    )
    concepts, where = lexicon.concepts(words)
    digits = sum(map(str.isdigit, words))
    shapes = [crc32(name) for name, signs, shape in _SHAPES if _may(signs, text) and shape.search(text)]
    shapes.append(sum(len(words) > length for length in _LENGTHS))
    shapes.append(16 + sum(digits >= count for count in _NUMBERS))
    first = numbers[:_FIRST]
    every = np.concatenate(
        (
            numbers * _MIX[0],
            _pairs(numbers, 1),
            (first + np.arange(len(first), dtype=np.uint64)) * _MIX[3],
            numbers[-_LAST:] * _MIX[4],
            concepts * _MIX[5],
            _pairs(concepts, 6),
            concepts[where < 2 * _FIRST] * _MIX[8],
            concepts[where >= len(words) - _LAST] * _MIX[9],
            np.array(shapes, np.uint64) * _MIX[10],
        )
    )
    every ^= every >> np.uint64(29)
    return np.unique((every * _MIX[11]) >> np.uint64(64 - BITS)).astype(np.intp)


def _may(signs: str, text: str) -> bool:
    """Whether one of the signs stands in the text; without signs, whether anything but ASCII does."""
    return any(sign in text for sign in signs) if signs else not text.isascii()


def _pairs(numbers: Numbers, kind: int) -> Numbers:
    left = numbers[:-1] * _MIX[kind]
    mixed: Numbers = (left ^ (left >> np.uint64(29))) + numbers[1:] * _MIX[kind + 1]
    return mixed
