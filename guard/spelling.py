"""Characters that a text spells: percent-encoding, backslash escapes, character references, "(at)" and "(dot)", and
card numbers whose groups are parted in unusual ways. Only what can stand for a value is read; the plain text is looked
at in any case."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote_to_bytes

_PERCENT: Final = r"[0-9A-Fa-f]{2}"
# Octal as in shells and C; "\0" alone is no letter. "\N{…}" is Python's.
_CODE: Final = (
    r"u\{[0-9A-Fa-f]{1,6}\}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|x\{?[0-9A-Fa-f]{2}\}?|[01][0-7]{2}|N\{[A-Z0-9 -]{3,48}\}"
)
_SIMPLE: Final = r"[nrtbf\"'/\\ ]"
_REFERENCE: Final = r"#[0-9]{1,7};?|#[xX][0-9A-Fa-f]{1,6};?|[A-Za-z][A-Za-z0-9]{1,30};"
_SIGN: Final = r"\s?(?:at|At|AT|@|dot|Dot|DOT|\.)\s?[)\]}>]\s{0,2}"

MARKS: Final = (
    ("%", re.compile("%" + _PERCENT)),
    ("\\", re.compile(rf"\\(?:{_CODE}|[/ ]|[nrtbf](?![a-z]{{1,12}}(?![\w-])))")),
    ("&", re.compile(f"&(?:{_REFERENCE})")),
    ("([{<", re.compile(rf"[(\[{{<]{_SIGN}")),
)
"""Characters without which there is no mark of a kind, and the marks for whose sake a line is read again."""

SAID: Final = re.compile(r" (?:at|AT) [A-Za-z0-9-]{1,63}(?: (?:dot|DOT) [A-Za-z0-9-]{1,63}){1,4}")
"""An address that is spoken: ``jane at corp dot com``."""

# An address may hold these signs before its "@" (RFC 5322 section 3.2.3), and a file name may go on behind it: what a
# recognizer takes for one long address, and rejects, is read again as an address of letters alone.
_GLUED: Final = re.compile(
    r"[@!#$%&'*+/=?^`{|}~](?:(?<!@)(?=[\w.-]{1,64}@)"
    r"|(?<=@)[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}?\.(?=(?:txt|csv|json|xml|html?|md|log|pdf|docx?|xlsx?|pptx?|eml|msg|"
    r"vcf|png|jpe?g|gif|zip|gz|tar|bak|old|tmp)\b))"
)
_PART: Final = r"[ \t\r\n._/:|,;*~+-]{1,3}"
# Begins with a character class, by which the expression finds it fast; so does what follows.
_GROUPED: Final = re.compile(
    r"[2-6](?<![0-9][2-6])(?:(?:(?<=[3-6])[0-9]{3}|[2-7][0-9]{2})"
    rf"(?:(?:{_PART}[0-9]{{4}}){{2}}{_PART}[0-9]{{1,7}}|{_PART}[0-9]{{6}}{_PART}[0-9]{{4,5}})"
    r"|(?:[ ._-][0-9]){12,18})(?![0-9])"
)
_USUAL: Final = re.compile(r"[0-9]{4}(?:( |-)[0-9]{4,6})(?:\1[0-9]{1,7}){1,2}").fullmatch

# Every mark begins with one of these characters, by which the expression finds it fast.
_MARK: Final = re.compile(
    rf"[%\\&(\[{{<](?:(?<=%){_PERCENT}(?:%{_PERCENT})*|(?<=\\)(?:{_CODE}|{_SIMPLE})|(?<=&)(?:{_REFERENCE})"
    rf"|(?<=[(\[{{<]){_SIGN})"
)
_SPOKEN: Final = re.compile(r" (?:at|AT|dot|DOT) ")
_SIMPLE_MEANING: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "", "f": "\n"}
_LAST: Final = 0x10FFFF

Change = tuple[int, int, str]
"""``(start, end, meaning)`` of a part of a text."""


def grouped(text: str) -> Iterator[Change]:
    """Digits in the groups of a card number (4-4-4-4, 4-6-5, or one by one), parted by what detectors do not expect,
    and the digits alone. Whether it is a card number is not judged."""
    for match in _GROUPED.finditer(text):
        if not _USUAL(match[0]):
            yield match.start(), match.end(), "".join(filter(str.isdecimal, match[0]))


def meaning(text: str) -> Iterator[Change]:
    """Every mark with its meaning, in order. Half a surrogate pair is read as U+FFFD."""
    after = 0
    for match in _MARK.finditer(text):
        mark, start, end = match[0], match.start(), match.end()
        match mark[0]:
            case "%":
                yield from percent_decoded(mark, start)
            case "\\":
                yield start, end, _escaped(mark[1:])
            case "&":
                new = html.unescape(mark)
                if new != mark:
                    yield start, end, new
            case _:
                while start > after and text[start - 1] == " ":
                    start -= 1
                yield start, end, "." if "." in mark or "o" in mark.lower() else "@"
        after = end


def glued(text: str) -> Iterator[Change]:
    """A space for the sign that joins an address to something else: ``?mail=jane@corp.com``, ``jane@corp.com.txt``."""
    if "@" in text:
        yield from ((match.end() - 1, match.end(), " ") for match in _GLUED.finditer(text))


def spoken(text: str) -> Iterator[Change]:
    """The words "at" and "dot" of every address that is spoken."""
    if " dot " not in text and " DOT " not in text:
        return
    for said in SAID.finditer(text):
        for word in _SPOKEN.finditer(text, said.start(), said.end()):
            yield word.start(), word.end(), "@" if word[0][1] in "aA" else "."


def percent_decoded(run: str, start: int) -> Iterator[Change]:
    """The characters of ``run``, which stands at ``start`` and is nothing but ``%XX`` (RFC 3986 section 2.1). What is
    not UTF-8 is read as ISO-8859-1."""
    data = unquote_to_bytes(run)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
        yield from ((start + 3 * i, start + 3 * i + 3, character) for i, character in enumerate(text))
        return
    for character in text:
        end = start + 3 * len(character.encode())
        yield start, end, character
        start = end


def _escaped(mark: str) -> str:
    kind, digits = mark[0], mark[1:].strip("{}")
    if not digits:
        return _SIMPLE_MEANING.get(kind, kind)
    if kind == "N":
        try:
            return unicodedata.lookup(digits)
        except KeyError:
            return "\ufffd"
    value = int(mark, 8) if kind in "01" else int(digits, 16)
    return chr(value) if value <= _LAST and not 0xD800 <= value <= 0xDFFF else "\ufffd"
