"""What a format of a secret is, and how a matched value is judged."""

from __future__ import annotations

import itertools
import math
import zlib
from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec

Judge = Callable[[str], float | None]
"""The score of a matched value, or ``None`` if it is no secret."""

_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PLACEHOLDERS: Final = ("EXAMPLE", "PLACEHOLDER", "CHANGEME", "REDACTED", "YOUR", "DUMMY", "1234567890", "ABCDEFGHIJ")
_FEWEST_DISTINCT: Final = 6
_LONGEST_RUN: Final = 6


class Format(msgspec.Struct, frozen=True):
    """One format. ``source`` is RE2 over the folded text as ASCII, in which every other character is ``?``; ``group``
    is its group that holds the secret; ``word_before`` says that a letter or digit before it makes it something else
    (``disk-proj-…``). ``default`` formats are looked for without being asked."""

    type: str
    name: str
    source: str
    judge: Judge
    group: int = 0
    word_before: bool = True
    default: bool = True


def is_placeholder(value: str) -> bool:
    """Whether a value stands in documentation in a secret's place: ``EXAMPLE``, ``xxxxxx``, ``1234567890``."""
    upper = value.upper()
    if any(word in upper for word in _PLACEHOLDERS):
        return True
    body = [character for character in value if character.isalnum()]
    if len(set(body)) < _FEWEST_DISTINCT:
        return True
    run = longest = 1
    for previous, character in itertools.pairwise(body):
        run = run + 1 if character == previous else 1
        longest = max(longest, run)
    return longest >= _LONGEST_RUN


def plain(score: float, prefix: int = 0) -> Judge:
    """Judges by placeholders alone, behind the first ``prefix`` characters."""

    def judge(value: str) -> float | None:
        return None if is_placeholder(value[prefix:]) else score

    return judge


def crc32_base62(prefix: int, otherwise: float) -> Judge:
    """Judges by a checksum: the last six characters are the CRC-32 of what stands between them and the prefix, in base
    62, zero-padded. Source: "Behind GitHub's new authentication token formats", github.blog, 2021-04-05."""

    def judge(value: str) -> float | None:
        body = value[prefix:]
        if is_placeholder(body):
            return None
        checksum, digits = zlib.crc32(body[:-6].encode()), ""
        for _ in range(6):
            checksum, digit = divmod(checksum, 62)
            digits = _BASE62[digit] + digits
        return 1.0 if digits == body[-6:] else otherwise

    return judge


def mixed(score: float) -> Judge:
    """Judges values without a prefix: random ones mix cases and digits."""

    def judge(value: str) -> float | None:
        has_all = any(map(str.isupper, value)) and any(map(str.islower, value)) and any(map(str.isdigit, value))
        return score if has_all and not is_placeholder(value) else None

    return judge


def entropy_bits(value: str) -> float:
    """Shannon entropy of a value's characters, in bits for each."""
    return -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values())


ASSIGN: Final = r"[\"'`]?[ \t]{0,4}(?::|=|=>|:=)?[ \t]{0,4}[\"'`]?"
"""What stands between a name and its value in code and configuration."""


def assigned(name: str, value: str) -> str:
    """The source of a value that an assignment names; both are RE2, the value is group 1. A longer run is no match."""
    return rf"(?i:{name}){ASSIGN}({value})\b"
