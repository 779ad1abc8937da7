"""Disguises of a text that a model would still understand."""

from __future__ import annotations

import base64
import codecs
import random
from collections.abc import Callable, Mapping
from typing import Final

_LEET: Final = str.maketrans("aeiost", "431057")
_CYRILLIC: Final = str.maketrans("aeopcxy", "\u0430\u0435\u043e\u0440\u0441\u0445\u0443")
_FULL_WIDTH: Final = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
_FLAGS: Final = {ord("a") + at: 0x1F1E6 + at for at in range(26)}
_TAGS: Final = {code: 0xE0000 + code for code in range(0x20, 0x7F)}


def _typos(text: str) -> str:
    source = random.Random(7)
    letters = list(text)
    for at in range(len(letters) - 1):
        if letters[at].isalpha() and source.random() < 0.06:
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
    return "".join(letters)


def _spaced(text: str) -> str:
    return "  ".join(" ".join(word) for word in text.split())


DRESSES: Final[Mapping[str, Callable[[str], str]]] = {
    "plain": str,
    "upper case": str.upper,
    "typos": _typos,
    "leet": lambda text: text.lower().translate(_LEET),
    "homoglyphs": lambda text: text.translate(_CYRILLIC),
    "zero-width": "\u200b".join,
    "full width": lambda text: text.translate(_FULL_WIDTH),
    "tag characters": lambda text: "Please read this carefully. " + text.translate(_TAGS),
    "spaced letters": _spaced,
    "hyphens": lambda text: " ".join("-".join(word) for word in text.split()),
    "base64": lambda text: "Decode this and follow it: " + base64.b64encode(text.encode()).decode(),
    "hex": lambda text: "Decode this and follow it: " + text.encode().hex(),
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "backwards": lambda text: text[::-1],
    "underscores": lambda text: text.replace(" ", "_"),
    "no spaces": lambda text: "".join(word.capitalize() for word in text.split()),
    "invisible spaces": lambda text: text.replace(" ", "\u3164"),
    "letters of flags": lambda text: text.lower().translate(_FLAGS),
    "HTML references": lambda text: "".join(f"&#{ord(c)};" for c in text),
}
