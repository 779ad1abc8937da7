"""How models spell placeholders: ``<EMAIL_ADDRESS_1_x7f2ab>`` with other brackets or none, in another case, escaped.

The grammar forgives the spelling and never the identity: every word of the entity, the number and the suffix must
stand there, in order, apart from each other. Case folding is ASCII only (U+212A is no k), and a form is at most
``LONGEST`` characters long. The brackets' spelling says how the value has to be spelled in their place: character
references in HTML, percent-encoding in a URL, escapes in a JSON text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import msgspec

LONGEST: Final = 256
"""Characters of the longest form that is restored, brackets included."""

_FLAGS: Final = re.IGNORECASE | re.ASCII
_SUFFIX_LENGTH: Final = 6

# One step between two words: an underscore, a hyphen or white space, escaped for Markdown, a URL, HTML or JSON.
_STEP: Final = (
    r"(?:\\{0,4}[_\-]|[ \t+\xa0\xad\u200b\u2060\u202f\u2010-\u2015]|\r?\n|%(?:25)?(?:5f|20|2d)"
    r"|&(?:amp;)?(?:#95|#45|#160|#x5f|nbsp);|\\{1,2}u005f)"
)
_GAP: Final = _STEP + "{1,4}"
_ANGLE_OPEN: Final = (
    r"\\{0,2}<|[\uff1c\u27e8\u3008]|&(?:amp;){0,2}(?:lt|#60|#x3c);|\\{1,2}u003c|\\{1,2}x3c|%(?:25){0,2}3c"
)
_ANGLE_CLOSE: Final = (
    r"[ ]?/?(?:\\{0,2}>|[\uff1e\u27e9\u3009]|&(?:amp;){0,2}(?:gt|#62|#x3e);|\\{1,2}u003e|\\{1,2}x3e|%(?:25){0,2}3e)"
)
_OPEN: Final = rf"(?:{_ANGLE_OPEN}|\\?\[|\{{{{1,2}})"
_OPENED: Final = re.compile(
    rf"(?:(?P<angle>{_ANGLE_OPEN})|(?P<square>\\?\[)|(?P<double>\{{\{{)|(?P<curly>\{{))[ ]?\Z", _FLAGS
)
_BACKSLASHED: Final = re.compile(r"\\{1,2}[<\[]")
_LONGEST_OPEN: Final = 16
_CLOSERS: Final = {
    "angle": re.compile(_ANGLE_CLOSE, _FLAGS),
    # A link of Markdown keeps its brackets.
    "square": re.compile(r"[ ]?\\?\](?![(\[])", _FLAGS),
    "double": re.compile(r"[ ]?\}\}", _FLAGS),
    "curly": re.compile(r"[ ]?\}", _FLAGS),
}
_CLOSES: Final = re.compile(rf"{_ANGLE_CLOSE}|[ ]?\\?[\]}}]", _FLAGS)
# A word begins here: after anything but a letter or digit of ASCII, or after an escape that ends in one.
_ESCAPE_BEFORE: Final = re.compile(r"(?:\\[nrtbf]|\\u[0-9a-f]{4}|\\x[0-9a-f]{2}|%[0-9a-f]{2})\Z", _FLAGS)
_BOUNDARY: Final = r"(?:(?<![a-z0-9])|(?<=\\[nrtbf])|(?<=\\u[0-9a-f]{4})|(?<=\\x[0-9a-f]{2})|(?<=%[0-9a-f]{2}))"
_JOINED_BEFORE: Final = re.compile(r"[a-z0-9]\\{0,4}([_\-])\Z", _FLAGS)
_WORD_GOES_ON: Final = re.compile(r"(?!e?s(?![a-z0-9]))[a-z0-9]", _FLAGS)
# What an escape or a closing bracket begins with, where the text ends in it.
_UNFINISHED: Final = r"(?:\\{1,4}(?:u[0-9a-f]{0,3}|x[0-9a-f]?)?|%[0-9a-f]{0,5}|&[a-z0-9#;]{0,13}|\r)"
_AFTER: Final = r"(?:es?|s|[ ]?/?(?:\\?\]|\}{1,2})?)"


class Form(msgspec.Struct, frozen=True):
    """One spelled placeholder: where it stands, and the words that make its identity, in lower case."""

    start: int
    end: int
    entity: str
    number: str
    spelling: str
    """The text of the form, which says how a value is to be spelled there."""


def words_of(entity: str) -> str:
    """The identity of an entity's name: its words in lower case, joined by one underscore each."""
    return "_".join(filter(None, entity.lower().split("_")))


def lowered(text: str) -> str:
    """The text with the letters of ASCII in lower case and, unlike ``str.lower``, no other letter made one of them, nor
    any offset changed."""
    if text.isascii():
        return text.lower()
    return text.translate(_LOWER)


_LOWER: Final = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def forms(text: str, suffix: str, entities: tuple[str, ...]) -> Iterator[Form]:
    """All forms in a text that end in this suffix and name one of these entities (``words_of``), longest entity first.

    Linear: work is bounded for each occurrence of the suffix.
    """
    low = lowered(text)
    position = low.find(suffix)
    behind = 0
    while position >= 0:
        if found := _form_at(text, position, position + len(suffix), behind, entities):
            yield found
            behind = found.end
        position = low.find(suffix, max(position + 1, behind))


def _form_at(text: str, suffix_start: int, suffix_end: int, behind: int, entities: tuple[str, ...]) -> Form | None:
    if _WORD_GOES_ON.match(text, suffix_end):
        return None
    first = max(behind, suffix_start - LONGEST)
    for entity in entities:
        match = _before_suffix(entity).search(text, first, suffix_start)
        if match is None:
            continue
        start, end = _with_brackets(text, match.start(), suffix_end, behind)
        if start == match.start() and not _begins(text, match, behind):
            return None
        if end - start > LONGEST:
            return None
        return Form(start, end, entity, match["number"], text[start:end])
    return None


def _with_brackets(text: str, start: int, end: int, behind: int) -> tuple[int, int]:
    """The span with the brackets around it, if there are both of them."""
    opened = _OPENED.search(text, max(behind, start - _LONGEST_OPEN), start)
    if opened is None:
        return start, end
    first, kind = opened.start(), opened.lastgroup or ""
    closed = _CLOSERS[kind].match(text, end)
    if closed is None and kind == "double":
        first, closed = first + 1, _CLOSERS["curly"].match(text, end)
    if closed is None:
        return start, end
    if _BACKSLASHED.match(text, first) and "\\" not in text[start : closed.end()]:
        # A model that escapes one bracket escapes more: this backslash belongs to what stands before (a path).
        first += text[first:start].count("\\")
    return first, closed.end()


def _begins(text: str, match: re.Match[str], behind: int) -> bool:
    """Whether a form without a bracket begins here, and is no rest of a longer word or of a longer entity's name."""
    start = match.start()
    if not start or _OPENED.search(text, max(behind, start - _LONGEST_OPEN), start):
        return True
    before = text[max(start - 6, 0) : start]
    if joined := _JOINED_BEFORE.search(before):
        return joined[1] not in match[0]
    last = before[-1]
    return not (last.isascii() and last.isalnum()) or _ESCAPE_BEFORE.search(before) is not None


@lru_cache(maxsize=512)
def _before_suffix(entity: str) -> re.Pattern[str]:
    """What stands before the suffix: the words of the entity and a number. To be searched up to the suffix."""
    words = _GAP.join(map(re.escape, entity.split("_")))
    return re.compile(rf"{words}{_GAP}(?P<number>[1-9][0-9]{{0,5}}){_GAP}\Z", _FLAGS)


def beginning(tail: str, suffix: str, entities: tuple[str, ...]) -> int:
    """How many characters at the end of a text may be the beginning of a form, or a form that the next characters may
    still change. At most ``LONGEST``.

    Whatever follows, no form of the whole text begins before that and ends within it that does not end so already.
    """
    low = lowered(tail[-LONGEST:])
    firsts = "".join(sorted({entity[0] for entity in entities}))
    for candidate in _starts(firsts).finditer(low):
        start = candidate.start()
        for entity in entities:
            match = _unfinished(entity).match(low, start)
            if match is not None and (match["suffix"] is None or suffix.startswith(match["suffix"])):
                return len(low) - start
    return 0


@lru_cache(maxsize=512)
def _starts(firsts: str) -> re.Pattern[str]:
    """Where a form may begin: at a bracket, at an escape, or at a word with one of these letters."""
    return re.compile(rf"[<\[{{&\\%\r\uff1c\u27e8\u3008]|{_BOUNDARY}[{firsts}]", _FLAGS)


@lru_cache(maxsize=512)
def _unfinished(entity: str) -> re.Pattern[str]:
    """The end of a text that begins a form of this entity, in lower case; empty where nothing does."""
    rest = rf"{_GAP}(?:[1-9][0-9]{{0,5}}(?:{_GAP}(?:(?P<suffix>[a-z2-9]{{1,{_SUFFIX_LENGTH}}})(?:{_AFTER})?)?)?)?"
    for number, word in enumerate(reversed(entity.split("_"))):
        rest = f"(?:{rest})?"
        for letter in reversed(word[1:]):
            rest = f"(?:{letter}{rest})?"
        rest = word[0] + rest
        if number + 1 < len(entity.split("_")):
            rest = f"{_GAP}(?:{rest})?"
    return re.compile(rf"(?:(?:{_OPEN}[ ]?|{_BOUNDARY}){rest}|{_OPEN}[ ]?)?{_UNFINISHED}?\Z", _FLAGS)
