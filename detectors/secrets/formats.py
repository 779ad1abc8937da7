"""Formats of secrets, from what their issuers document or show. Prefixes are facts; the patterns are ours.

Each source is RE2 over the folded text as ASCII, in which every other character is ``?``. Case matters.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import zlib
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
    """One format. ``group`` is the group of the source that holds the secret; ``word_before`` says that a letter or
    digit before it makes it something else (``disk-proj-…``)."""

    type: str
    name: str
    source: str
    judge: Judge
    group: int = 0
    word_before: bool = False


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


def _plain(score: float, prefix: int = 0) -> Judge:
    def judge(value: str) -> float | None:
        return None if is_placeholder(value[prefix:]) else score

    return judge


def _github(value: str) -> float | None:
    """GitHub's blog, 2021-04-05: the last six characters are the CRC-32 of the rest in base 62, zero-padded."""
    body = value[4:]
    if is_placeholder(body):
        return None
    checksum, digits = zlib.crc32(body[:-6].encode()), ""
    for _ in range(6):
        checksum, digit = divmod(checksum, 62)
        digits = _BASE62[digit] + digits
    return 1.0 if digits == body[-6:] else 0.8


def _aws_secret(value: str) -> float | None:
    """Forty characters of base 64 that an assignment calls a secret: random ones mix cases and digits."""
    mixed = any(map(str.isupper, value)) and any(map(str.islower, value)) and any(map(str.isdigit, value))
    return 0.9 if mixed and not is_placeholder(value) else None


def _jwt(value: str) -> float | None:
    """RFC 7519, 7515, 7516: the first part is base64url of a JSON object with ``alg``."""
    head = value.partition(".")[0]
    try:
        header = msgspec.json.decode(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return None
    return 1.0 if isinstance(header, dict) and isinstance(header.get("alg"), str) else None


_AWS_NAME: Final = r"(?i:aws[a-z0-9_. \-]{0,20}(?:secret|private)[a-z0-9_. \-]{0,20}|secret_?access_?key)"
_ASSIGN: Final = r"[\"'`]?[ \t]{0,4}(?::|=|=>|:=)?[ \t]{0,4}[\"'`]?"

FORMATS: Final[tuple[Format, ...]] = (
    Format("AWS_ACCESS_KEY", "access key id", r"A(?:KIA|SIA)[A-Z2-7]{16}", _plain(0.95, 4)),
    Format("AWS_SECRET_KEY", "secret in assignment", _AWS_NAME + _ASSIGN + r"([A-Za-z0-9/+]{40})", _aws_secret, 1),
    Format("GITHUB_TOKEN", "token", r"gh[pousr]_[A-Za-z0-9]{36}", _github),
    Format(
        "GITHUB_TOKEN",
        "fine-grained token",
        r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}",
        _plain(0.95, 11),
    ),
    Format("SLACK_TOKEN", "token", r"xox[abeoprs]-[A-Za-z0-9-]{10,250}", _plain(0.9, 5)),
    Format("SLACK_TOKEN", "app token", r"xapp-[0-9]-[A-Z0-9]{5,20}-[0-9]{5,20}-[a-z0-9]{20,128}", _plain(0.95, 7)),
    Format(
        "SLACK_TOKEN",
        "webhook address",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9+/]{30,128})",
        _plain(0.9),
    ),
    Format("STRIPE_KEY", "live key", r"(?:sk|rk)_live_[A-Za-z0-9]{16,247}", _plain(0.95, 8)),
    Format("STRIPE_KEY", "test key", r"(?:sk|rk)_test_[A-Za-z0-9]{16,247}", _plain(0.6, 8)),
    Format("STRIPE_KEY", "webhook secret", r"whsec_[A-Za-z0-9+/]{32,128}", _plain(0.9, 6)),
    Format("GOOGLE_API_KEY", "key", r"AIza[A-Za-z0-9_-]{35}", _plain(0.9, 4)),
    Format(
        "OPENAI_KEY",
        "project or service key",
        r"sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{20,256}",
        _plain(0.95, 3),
        word_before=True,
    ),
    Format("OPENAI_KEY", "user key", r"sk-[A-Za-z0-9]{32,64}", _plain(0.9, 3), word_before=True),
    Format("ANTHROPIC_KEY", "key", r"sk-ant-[a-z0-9]{2,16}-[A-Za-z0-9_-]{20,256}", _plain(0.95, 7)),
    Format(
        "JWT",
        "signed or encrypted token",
        r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){2,4}",
        _jwt,
    ),
    Format(
        "PRIVATE_KEY",
        "PEM block",
        r"-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----",
        lambda _: 1.0,
    ),
)
