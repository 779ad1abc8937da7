"""Hashed features of a text: words, pairs and triples of words, pairs with words between, and the same of concepts.

Each feature is an index below ``SIZE`` and stands at the word where it begins, so that its weight can be shown there.
The hashing trick: Weinberger et al. 2009, "Feature hashing for large scale multitask learning".
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.injection.lexicon import Lexicon
from detectors.injection.tokens import Words

BITS: Final = 18
SIZE: Final = 1 << BITS
NEAR: Final = 10
"""Words that may stand between two concepts of a pair."""

_SHIFT: Final = np.uint64(64 - BITS)
# Odd numbers with well mixed bits, one for each place in each kind of feature.
_MIX: Final = (
    np.random.default_rng(20_240_229).integers(1 << 62, 1 << 63, 24, dtype=np.uint64) << np.uint64(1)
) | np.uint64(1)
_FOLD: Final = np.uint64(29)


class Features(NamedTuple):
    """Indices of features, and the word (0-based) at which each stands. A feature that occurs twice is there twice."""

    indices: npt.NDArray[np.intp]
    at: npt.NDArray[np.intp]


def features_of(words: list[str], numbers: Words, lexicon: Lexicon) -> Features:
    """The features of a text of at least one word."""
    n = len(numbers)
    places: npt.NDArray[np.intp] = np.arange(n, dtype=np.intp)
    hashes: list[Words] = []
    at: list[npt.NDArray[np.intp]] = []

    def add(kind: int, *parts: Words) -> None:
        total = parts[0] * _MIX[kind]
        for offset, part in enumerate(parts[1:], 1):
            total = (total ^ (total >> _FOLD)) + part * _MIX[kind + offset]
        hashes.append(total)

    add(0, numbers)
    at.append(places)
    if n > 1:
        add(1, numbers[:-1], numbers[1:])
        at.append(places[:-1])
    if n > 2:
        add(3, numbers[:-2], numbers[1:-1], numbers[2:])
        add(6, numbers[:-2], numbers[2:])
        at += [places[:-2]] * 2
    if n > 3:
        add(8, numbers[:-3], numbers[3:])
        at.append(places[:-3])
    concepts, where = lexicon.concepts(words)
    m = len(concepts)
    if m:
        add(10, concepts)
        at.append(where)
    if m > 1:
        near = where[1:] - where[:-1] <= NEAR
        add(11, concepts[:-1][near], concepts[1:][near])
        at.append(where[:-1][near])
    if m > 2:
        near = where[2:] - where[:-2] <= 2 * NEAR
        first, last = concepts[:-2][near], concepts[2:][near]
        add(13, first, concepts[1:-1][near], last)
        add(16, first, last)
        at += [where[:-2][near]] * 2
    every = np.concatenate(hashes)
    every ^= every >> _FOLD
    return Features(((every * _MIX[20]) >> _SHIFT).astype(np.intp), np.concatenate(at))
