"""Two readings of a folded text, both of its length, so that offsets hold.

``canonical``: decimal digits of every script are ASCII digits, and the dotless and the dotted i of Turkish, which
``regex`` takes for an i in some places and not in others, are i and I; presidio's own expressions and validators run
on it.
``projected``: ASCII bytes on which RE2 gives the answers that ``regex`` gives on ``canonical``. A word character
becomes ``_`` (or the ASCII letter that it equals without regard to case), white space a form feed, the rest NUL.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import cache
from string import ascii_lowercase
from typing import Any, Final

import msgspec

WORD: Final = "_"
SPACE: Final = "\f"
OTHER: Final = "\0"


@cache
def _classes() -> tuple[Any, Any, list[tuple[str, Any]]]:
    """What ``regex`` takes for a word, for white space, and for each ASCII letter without regard to case."""
    import regex  # type: ignore[import-untyped]

    letters = [(letter, regex.compile(letter, regex.IGNORECASE)) for letter in ascii_lowercase]
    return regex.compile(r"\w"), regex.compile(r"\s"), letters


_TURKISH: Final = {"ı": "i", "İ": "I"}  # noqa: RUF001 - that is the point


class _Canonical(dict[int, str]):
    """Code point -> ASCII digit, i or itself, filled as code points are met."""

    def __missing__(self, code_point: int) -> str:
        character = chr(code_point)
        digit = unicodedata.decimal(character, None)
        self[code_point] = found = _TURKISH.get(character, character) if digit is None else str(digit)
        return found


def canonical(text: str, check: Check | None = None) -> str:
    """The canonical reading of a text, a pattern or a word. ``check`` as for ``project``."""
    return text if text.isascii() else _translated(text, _CANONICAL, check)


def project_character(character: str) -> str:
    """The ASCII character that stands for ``character`` in the projected text."""
    character = _CANONICAL[ord(character)]
    if character.isascii():
        return character
    word, space, letters = _classes()
    if word.match(character):
        return next((letter for letter, same in letters if same.fullmatch(character)), WORD)
    return SPACE if space.match(character) else OTHER


class _Projection(dict[int, str]):
    """Code point -> projected character, filled as code points are met (at most one entry for each)."""

    def __missing__(self, code_point: int) -> str:
        self[code_point] = found = project_character(chr(code_point))
        return found


_CANONICAL: Final = _Canonical()
_PROJECTION: Final = _Projection()


_SLICE: Final = 32 * 1024
Check = Callable[[], object]


def _translated(text: str, table: dict[int, str], check: Check | None) -> str:
    """Slice by slice: one call into C holds the interpreter's lock for as long as it takes."""
    parts = []
    for start in range(0, len(text), _SLICE):
        if check is not None:
            check()
        parts.append(text[start : start + _SLICE].translate(table))
    return "".join(parts)


def project(text: str, check: Check | None = None) -> bytes:
    """The projected form of a text: ASCII, one byte for each character.

    ``check`` is called every 32 Ki characters that are not ASCII, and may raise.
    """
    if text.isascii():
        return text.encode("ascii")
    return _translated(text, _PROJECTION, check).encode("ascii")


class View(msgspec.Struct, frozen=True, gc=False):
    """A text as the matchers read it."""

    canonical: str
    projected: bytes

    @classmethod
    def of(cls, text: str, check: Check | None = None) -> View:
        """Both readings of a folded text. Linear; ``check`` as for ``project``."""
        return cls(canonical(text, check), project(text, check))
