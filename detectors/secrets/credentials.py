"""Credentials of no issuer: keys, tokens and passwords by what they are."""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec

from detectors.secrets.format import ASSIGN, Format, Judge, entropy_bits, is_placeholder

PEM: Final = "PEM block"
"""The format whose match is only the line at which a block begins."""
_BECH32: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_NO_PASSWORDS: Final = frozenset(
    {"password", "passwd", "passw0rd", "pass", "pwd", "passphrase", "user", "username", "token", "apikey", "api_key"}
    | {"secret", "foo", "bar", "baz", "foobar", "mypassword", "mypass", "mysecret", "userpass", "somepassword"}
)
"""What examples write where a password would stand."""
_WEAK: Final = frozenset({"guest", "root", "admin", "postgres", "mysql", "redis", "test", "default", "rabbitmq"})
_HOLDS_PLACE: Final = ("$", "{", "<", "%s", "%(", "*", "...", "[", "#{")
_FEWEST_ENTROPY_BITS: Final = 3.5


def _jwt(value: str) -> float | None:
    """RFC 7519, 7515, 7516: the first part is base64url of a JSON object with ``alg``."""
    head = value.partition(".")[0]
    try:
        header = msgspec.json.decode(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return None
    return 1.0 if isinstance(header, dict) and isinstance(header.get("alg"), str) else None


def _age(value: str) -> float | None:
    """Bech32 (BIP 173) with the human-readable part ``age-secret-key-``."""
    human, _, data = value.lower().rpartition("1")
    values = [_BECH32.find(character) for character in data]
    checked = 1
    for digit in [*(ord(c) >> 5 for c in human), 0, *(ord(c) & 31 for c in human), *values]:
        top = checked >> 25
        checked = (checked & 0x1FFFFFF) << 5 ^ digit
        for bit, generator in enumerate(_GENERATORS):
            checked ^= generator if top >> bit & 1 else 0
    return 1.0 if checked == 1 and -1 not in values else None


def _password(score: float) -> Judge:
    def judge(value: str) -> float | None:
        if any(mark in value for mark in _HOLDS_PLACE) or value.lower().strip("_-") in _NO_PASSWORDS:
            return None
        if len(set(value)) < 3 or (len(value) >= 10 and is_placeholder(value)):
            return None
        return 0.5 if value.lower() in _WEAK else score

    return judge


def _bearer(value: str) -> float | None:
    return None if is_placeholder(value) or entropy_bits(value) < 3.0 else 0.85


def _basic(value: str) -> float | None:
    """RFC 7617: base64 of ``user:password``."""
    try:
        pair = base64.b64decode(value + "=" * (-len(value) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    user, colon, password = pair.partition(":")
    return 0.95 if colon and user.isprintable() and _password(0.95)(password) is not None else None


def _generic(value: str) -> float | None:
    """A random string: letters and digits, and at least 3.5 bits for each character."""
    has_both = any(map(str.isalpha, value)) and any(map(str.isdigit, value))
    return 0.5 if has_both and entropy_bits(value) >= _FEWEST_ENTROPY_BITS and not is_placeholder(value) else None


_USER: Final = r"[^\s:/@?#\"'<>`|\\]{0,128}"
_SECOND: Final = r"([^\s/\"'<>`|\\]{3,256})"
_STORES: Final = (
    r"(?:postgres(?:ql)?|mysql|mariadb|mongodb|rediss?|valkeys?|amqps?|mssql|sqlserver|oracle|clickhouse|cockroachdb|"
    r"cassandra|neo4j|bolt|nats|kafka|couchbases?|db2|snowflake|trino|vertica)(?:\+[a-z0-9_]{1,24})?"
)

CREDENTIALS: Final[tuple[Format, ...]] = (
    Format(
        "JWT",
        "signed or encrypted token",
        r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){2,4}",
        _jwt,
        word_before=False,
    ),
    Format(
        "PRIVATE_KEY",
        PEM,
        r"-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----",
        lambda _: 1.0,
        word_before=False,
    ),
    Format("PRIVATE_KEY", "age key", r"AGE-SECRET-KEY-1[0-9A-Z]{58}", _age),
    Format(
        "DATABASE_PASSWORD",
        "password in the URL of a database or broker",
        rf"(?i:{_STORES})://{_USER}:{_SECOND}@[A-Za-z0-9\[]",
        _password(0.9),
        1,
        word_before=False,
    ),
    Format(
        "URL_PASSWORD",
        "password in a URL",
        rf"(?i:https?|ftps?|sftp|ssh|git\+https?|ldaps?|smtps?|imaps?|socks5h?|wss?|svn)://{_USER}:{_SECOND}@[A-Za-z0-9\[]",
        _password(0.85),
        1,
        word_before=False,
    ),
    Format(
        "DATABASE_PASSWORD",
        "password in a connection string",
        r"(?i:server|host|data source)=[^;\s\"']{1,128};[^\"'\n]{0,200}?(?i:password|pwd)=([^;\s\"']{4,128})",
        _password(0.85),
        1,
        word_before=False,
    ),
    Format(
        "AUTHORIZATION",
        "bearer token",
        r"(?i:authorization)[\"']?\s{0,4}[:=,]\s{0,4}[\"']?(?i:bearer|token|apikey)\s{1,4}([A-Za-z0-9._~+/=-]{16,})",
        _bearer,
        1,
        word_before=False,
    ),
    Format(
        "AUTHORIZATION",
        "basic credentials",
        r"(?i:authorization)[\"']?\s{0,4}[:=,]\s{0,4}[\"']?(?i:basic)\s{1,4}([A-Za-z0-9+/]{6,}={0,2})",
        _basic,
        1,
        word_before=False,
    ),
    Format(
        "AUTHORIZATION",
        "credentials of curl",
        r"\bcurl\s[^\n]{0,256}?(?:-u|--user)[ =]?[\"']?[^\s:\"']{1,64}:([^\s\"']{4,128})",
        _password(0.85),
        1,
        word_before=False,
    ),
    Format(
        "GENERIC_SECRET",
        "random value in assignment",
        r"(?i:secret|token|passw(?:or)?d|passphrase|api_?key|access_?key|auth_?key|credentials?)[A-Za-z0-9_]{0,16}"
        + ASSIGN
        + r"([A-Za-z0-9+/=_.~-]{16,128})",
        _generic,
        1,
        word_before=False,
        default=False,
    ),
)
