"""Words that mean the same to an attack, in several languages: ``ignore``, ``disregard`` and ``vergiss`` are one
concept. A file that a security team can read and extend: ``lexicon.txt`` beside this module."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Final
from zlib import crc32

import numpy as np
import numpy.typing as npt

from detectors.injection.tokens import Words
from guard.errors import ConfigError

_STEM: Final = 3
"""Characters of a stem that are looked up before the stem itself."""


class Lexicon:
    """Concepts by word and by stem (``ignor*``). Immutable."""

    def __init__(self, text: str, *, where: str = "lexicon.txt") -> None:
        """``text``: lines ``concept: word word stem* ...``; ``#`` begins a comment. Raises ``ConfigError``."""
        self.digest = hashlib.sha256(text.encode()).hexdigest()
        self._words: dict[str, int] = {}
        self._stems: dict[str, list[tuple[str, int]]] = {}
        self.names: dict[int, str] = {}
        for number, line in enumerate(text.splitlines(), 1):
            entry = line.partition("#")[0].strip()
            if not entry:
                continue
            name, colon, words = entry.partition(":")
            if not colon or not words.split():
                raise ConfigError(
                    "a line of the lexicon is no concept", where=f"{where}:{number}", mend="write: name: word stem* ..."
                )
            concept = crc32(name.strip().encode())
            self.names[concept] = name.strip()
            for word in words.split():
                self._add(word, concept, f"{where}:{number}")
        for stems in self._stems.values():
            stems.sort(key=lambda stem: -len(stem[0]))
        self._whole = frozenset(stem for stems in self._stems.values() for stem, _ in stems)

    @classmethod
    def shipped(cls) -> Lexicon:
        """The one that the shipped model was trained with."""
        return cls(files("detectors.injection").joinpath("lexicon.txt").read_text("utf-8"))

    @classmethod
    def read(cls, path: Path) -> Lexicon:
        """One of your own. Raises ``ConfigError``."""
        try:
            return cls(path.read_text("utf-8"), where=str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"the lexicon cannot be read: {error}", where=str(path), mend="name a text file in UTF-8"
            ) from error

    def knows(self, word: str) -> bool:
        """Whether the word stands in the lexicon, as a word or as a stem."""
        return word in self._words or word in self._whole

    def is_stem(self, word: str) -> bool:
        """Whether a stem begins the word."""
        return any(word.startswith(stem) for stem, _ in self._stems.get(word[:_STEM], ()))

    def concepts(self, words: list[str]) -> tuple[Words, npt.NDArray[np.intp]]:
        """The concepts among the words, as numbers, and the places of their words."""
        known, stems = self._words, self._stems
        found: list[int] = []
        at: list[int] = []
        for place, word in enumerate(words):
            concept = known.get(word)
            if concept is None:
                for stem, meant in stems.get(word[:_STEM], ()):
                    if word.startswith(stem):
                        concept = meant
                        break
                else:
                    continue
            found.append(concept)
            at.append(place)
        return np.array(found, np.uint64), np.array(at, np.intp)

    def _add(self, word: str, concept: int, where: str) -> None:
        stem = word.removesuffix("*")
        if word.endswith("*"):
            if len(stem) < _STEM:
                raise ConfigError(f"the stem {word!r} is too short", where=where, mend="give it three letters at least")
            self._stems.setdefault(stem[:_STEM], []).append((stem, concept))
        elif self._words.setdefault(word, concept) != concept:
            raise ConfigError(f"{word!r} stands in two concepts", where=where, mend="keep it in one")
