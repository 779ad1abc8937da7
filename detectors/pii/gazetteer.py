"""Words that are names, and words that are not: what the rules for names know.

A gazetteer is a text file of sections (``SECTIONS``) of words apart by white space; a line that begins with ``#`` is a
comment. Words are compared without case and accents.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from guard.errors import ConfigError

SHIPPED: Final = Path(__file__).with_name("data") / "names.txt"
SECTIONS: Final = ("first", "last", "ordinary", "never", "phrase")
"""The fields of ``Gazetteer``."""
_PLAIN: Final = str.maketrans({"ø": "o", "ł": "l", "\u0131": "i", "đ": "d", "æ": "ae", "œ": "oe", "\u2019": "'"})


def plain(word: str) -> str:
    """A word without case and accents: the form in which words are compared."""
    if word.isascii():
        return word.lower()
    word = word.lower()
    marked = unicodedata.normalize("NFD", word.translate(_PLAIN))
    return "".join(character for character in marked if not unicodedata.combining(character))


class Gazetteer(msgspec.Struct, frozen=True):
    """What words are; all of them ``plain``. A word may be a first name, a surname and an ordinary word at once.

    ``never``: no name, whatever the lists say. ``phrase``: two words, joined by ``_``, that together stand for a thing.
    """

    first: frozenset[str]
    last: frozenset[str]
    ordinary: frozenset[str]
    never: frozenset[str]
    phrase: frozenset[str]


def load(path: Path) -> Gazetteer:
    """The gazetteer in a file. Raises ``ConfigError`` if it cannot be read or is none."""
    sections: dict[str, set[str]] = {name: set() for name in SECTIONS}
    current: set[str] | None = None
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _refused(path, f"cannot be read: {error}") from error
    for number, line in enumerate(map(str.strip, lines), 1):
        if line.startswith("[") and line.endswith("]"):
            if line[1:-1] not in sections:
                raise _refused(path, f"line {number}: unknown section {line}")
            current = sections[line[1:-1]]
        elif line and not line.startswith("#"):
            if current is None:
                raise _refused(path, f"line {number}: a word before the first section")
            current.update(plain(word) for word in line.split())
    if not sections["first"] and not sections["last"]:
        raise _refused(path, "holds no names")
    sections["first"] -= sections["never"]
    sections["last"] -= sections["never"]
    sections["ordinary"] |= sections["never"]
    return Gazetteer(*(frozenset(sections[name]) for name in SECTIONS))


@lru_cache(maxsize=1)
def shipped() -> Gazetteer:
    """The gazetteer that comes with the package; read once."""
    return load(SHIPPED)


def _refused(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"the gazetteer {str(path)!r} {why}",
        where="detectors.options.pii.gazetteer",
        mend=f"a text file of sections {', '.join(f'[{name}]' for name in SECTIONS)}: see docs/detectors.md",
    )
