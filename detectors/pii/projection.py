"""Two readings of a folded text, both of its length, so that offsets hold.

``canonical``: decimal digits of every script are ASCII digits; presidio's own expressions and validators run on it.
``projected``: ASCII bytes on which RE2 gives the answers that ``regex`` gives on ``canonical``. A word character
becomes ``_`` (or the ASCII letter that it equals without regard to case), white space a form feed, the rest NUL.
"""

from __future__ import annotations

import unicodedata
from string import ascii_lowercase
from typing import Final

import msgspec
import regex  # type: ignore[import-untyped]

WORD: Final = "_"
SPACE: Final = "\f"
OTHER: Final = "\0"

_IS_WORD: Final = regex.compile(r"\w")
_IS_SPACE: Final = regex.compile(r"\s")
_LETTERS: Final = [(letter, regex.compile(letter, regex.IGNORECASE)) for letter in ascii_lowercase]


class _Digits(dict[int, str]):
    """Code point -> ASCII digit or itself, filled as code points are met."""

    def __missing__(self, code_point: int) -> str:
        character = chr(code_point)
        digit = unicodedata.decimal(character, None)
        self[code_point] = found = character if digit is None else str(digit)
        return found


def project_character(character: str) -> str:
    """The ASCII character that stands for ``character`` in the projected text."""
    if character.isascii():
        return character
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    if _IS_WORD.match(character):
        return next((letter for letter, same in _LETTERS if same.fullmatch(character)), WORD)
    return SPACE if _IS_SPACE.match(character) else OTHER


class _Projection(dict[int, str]):
    """Code point -> projected character, filled as code points are met (at most one entry for each)."""

    def __missing__(self, code_point: int) -> str:
        self[code_point] = found = project_character(chr(code_point))
        return found


_DIGITS: Final = _Digits()
_PROJECTION: Final = _Projection()


_SLICE: Final = 32 * 1024


def _translated(text: str, table: dict[int, str]) -> str:
    """Slice by slice: one call into C holds the interpreter's lock for as long as it takes."""
    return "".join([text[start : start + _SLICE].translate(table) for start in range(0, len(text), _SLICE)])


def project(text: str) -> bytes:
    """The projected form of a text: ASCII, one byte for each character."""
    if text.isascii():
        return text.encode("ascii")
    return _translated(text, _PROJECTION).encode("ascii")


class View(msgspec.Struct, frozen=True, gc=False):
    """A text as the matchers read it."""

    canonical: str
    projected: bytes

    @classmethod
    def of(cls, text: str) -> View:
        """Both readings of a folded text. Linear."""
        return cls(text if text.isascii() else _translated(text, _DIGITS), project(text))
