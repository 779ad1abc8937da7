"""Texts that another text carries: in base64 (RFC 4648, both alphabets, wrapped or not, at any alignment), in hex, and
in characters that show nothing (tag characters, variation selectors)."""

from __future__ import annotations

import binascii
import re
from array import array
from collections.abc import Iterator
from typing import Final

FEWEST: Final = 24
"""Shorter runs of base64 or hex are words."""
_ALPHABET: Final = "A-Za-z0-9+/_-"
_BASE64: Final = re.compile(
    rf"[{_ALPHABET}]{{{FEWEST},}}+(?:\r?\n[{_ALPHABET}]{{{FEWEST},}}+)*+"
    rf"(?:\r?\n[{_ALPHABET}]{{1,{FEWEST - 1}}}(?![{_ALPHABET}]))?={{0,2}}"
)
_WORD: Final = re.compile(rf"[0-9A-Za-z]{{{FEWEST},}}+")
# Evenness is told by the length: a repeated pair takes twenty times as long, in one call that holds the interpreter.
_HEX: Final = re.compile(rf"(?:0x)?([0-9A-Fa-f]{{{FEWEST},}}+)")
_TO_STANDARD: Final = str.maketrans("-_", "+/", "\r\n=")
_SAMPLE: Final = 4096
_SLICE: Final = 32 * 1024
_CONTROLS: Final = bytes({*range(32), 127} - {9, 10, 13})
_STRING: Final = re.compile(rb"[\t\n\r\x20-\x7e]{12,}")
# UTS 51, annex B.1: the flags of England, Scotland and Wales are tags that hide nothing.
_REGIONS: Final = "|".join("".join(chr(0xE0000 + ord(one)) for one in region) for region in ("gbeng", "gbsct", "gbwls"))
_FLAG: Final = f"\U0001f3f4(?:{_REGIONS})\U000e007f"
_TAG: Final = re.compile(f"{_FLAG}|([\U000e0020-\U000e007e])")
_SELECTOR: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_HIDDEN: Final = re.compile("[\ufe00-\ufe0f\U000e0020-\U000e007e\U000e0100-\U000e01ef]")
_FEWEST_HIDDEN: Final = 4


def carried(text: str) -> Iterator[tuple[int, int, str]]:
    """``(start, end, text)`` of each run of base64 or hex that decodes to text. Linear."""
    for match in _BASE64.finditer(text):
        decoded = _base64(match[0].translate(_TO_STANDARD))
        if decoded:
            yield match.start(), match.end(), decoded
    for word in _WORD.finditer(text):
        digits = _HEX.fullmatch(text, *word.span())
        decoded = as_text(bytes.fromhex(digits[1]), strict=True) if digits and not len(digits[1]) % 2 else ""
        if decoded:
            yield word.start(), word.end(), decoded


def text_of_base64(value: str) -> str:
    """The text that a value in base64 decodes to as a whole, which ``carried`` then finds; ``""`` if it is none (an
    image, say) or is too short to be told from a word."""
    if not as_text(_bytes(value[:64].translate(_TO_STANDARD)), strict=True) or not _BASE64.fullmatch(value):
        return ""
    return as_text(_bytes(value.translate(_TO_STANDARD)), strict=True)


def _base64(data: str) -> str:
    sample = data[:_SAMPLE]
    for shift in range(4):
        decoded = as_text(_bytes(sample[shift:]))
        if decoded:
            return decoded if len(data) <= _SAMPLE else as_text(_bytes(data[shift:]))
    return "" if len(data) <= _SAMPLE else as_text(_bytes(data))


def _bytes(data: str) -> bytes:
    """What whole groups of base64 decode to; of the last, incomplete group what it holds."""
    data = data[:-1] if len(data) % 4 == 1 else data
    try:
        return binascii.a2b_base64(data + "=" * (-len(data) % 4))
    except (binascii.Error, ValueError):
        return b""


def as_text(data: bytes, *, strict: bool = False) -> str:
    """The text that the bytes are, in UTF-8 or UTF-16; else, unless ``strict``, the runs of ASCII text in them; ``""``
    if there is none. A character cut off at the end does not count."""
    if len(data) >= 8 and not any(data[1:64:2]) and all(data[:64:2]):
        data = data[: len(data) // 2 * 2].decode("utf-16-le", "replace").encode()
    if len(data.translate(None, _CONTROLS)) == len(data):
        for cut in range(4):
            try:
                return data[: len(data) - cut].decode()
            except UnicodeDecodeError:
                continue
    if strict:
        return ""
    # In slices: one call into C holds the interpreter's lock. What a slice cuts is found by the next: they overlap.
    found = [
        match[0]
        for start in range(0, len(data), _SLICE)
        for match in _STRING.finditer(data[start : start + _SLICE + 256])
    ]
    return b"\n".join(found).decode()


_HIDING: Final = re.compile(f"{_FLAG}|([\U000e0020-\U000e007e\U000e0110-\U000e016e])")


def first_hidden(text: str, start: int, end: int) -> int | None:
    """The position of the first character that may be a letter of what ``hidden`` finds, in ``text[start:end]``."""
    return next((match.start() for match in _HIDING.finditer(text, start, end) if match[1]), None)


def hidden(text: str) -> Iterator[tuple[str, array[int], array[int]]]:
    """What tag characters (U+E0020 to U+E007E) and variation selectors (a byte each) of the text spell, and where each
    character stands."""
    if not _HIDDEN.search(text):
        return
    tags = [match.start() for match in _TAG.finditer(text) if match[1]]
    if len(tags) >= _FEWEST_HIDDEN:
        spelled = "".join(chr(ord(text[at]) - 0xE0000) for at in tags)
        yield spelled, array("I", tags), array("I", (at + 1 for at in tags))
    selectors = [match.start() for match in _SELECTOR.finditer(text)]
    if len(selectors) >= _FEWEST_HIDDEN:
        values = (ord(text[at]) for at in selectors)
        data = bytes(value - 0xFE00 if value < 0xFE10 else value - 0xE0100 + 16 for value in values)
        spelled = data.translate(bytes(byte if 32 <= byte < 127 else 10 for byte in range(256))).decode()
        if sum(map(str.isalnum, spelled)) >= _FEWEST_HIDDEN:
            yield spelled, array("I", selectors), array("I", (at + 1 for at in selectors))
