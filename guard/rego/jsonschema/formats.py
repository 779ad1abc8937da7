"""The keyword ``format``: names that are not known are always met."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from guard.rego import gotime
from guard.rego.builtins import uri
from guard.rego.builtins.regex import compile_pattern
from guard.rego.runtime import BuiltinFailure

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PATTERNS = {
    "hostname": re.compile(rf"(?=.{{1,255}}\Z){_LABEL}(?:\.{_LABEL})*\Z"),
    "uuid": re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\Z", re.IGNORECASE),
    "json-pointer": re.compile(r"(?:/(?:[^~/]|~[01])*)*\Z"),
    "relative-json-pointer": re.compile(r"(?:0|[1-9][0-9]*)(?:#|(?:/(?:[^~/]|~[01])*)*)\Z"),
}
_TEMPLATE = re.compile(r"(?:[^{]|\{[^}]*\})*\Z")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+"
_WORD = rf'(?:{_ATOM}(?:\.{_ATOM})*|"(?:[^"\\\r\n]|\\.)*")'
_DOMAIN = rf"(?:{_ATOM}(?:\.{_ATOM})*|\[[^\[\]\\]*\])"
_ADDRESS = re.compile(rf"[ \t]*(?:{_WORD}@{_DOMAIN}|(?:{_WORD}(?:[ \t]+{_WORD})*[ \t]*)?<{_WORD}@{_DOMAIN}>)[ \t]*\Z")
_MAX_ADDRESS = 1000
_DATE = "2006-01-02"
_TIMES = ("15:04:05Z07:00", "15:04:05")


def has_format(name: str, text: str) -> bool:
    """Whether a text has a format."""
    check = _CHECKS.get(name)
    return check is None or check(text)


def _matches(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        return pattern.match(text) is not None

    return check


def _reads(layout: str, text: str) -> bool:
    try:
        gotime.read(layout, text)
    except gotime.TimeError:
        return False
    return True


def _is_date(text: str) -> bool:
    return _reads(_DATE, text)


def _is_time(text: str) -> bool:
    """A time of day, read as that of a certain day."""
    return any(_reads(f"{_DATE}T{layout}", f"2000-01-01T{text}") for layout in _TIMES)


def _is_instant(text: str) -> bool:
    return _reads(f"{_DATE}T{_TIMES[0]}", text) or _is_time(text) or _is_date(text)


def _is_address(mark: str) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            ipaddress.ip_address(text)
        except ValueError:
            return False
        return mark in text and "%" not in text

    return check


def _is_uri(*, absolute: bool, template: bool = False) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            found = uri.parse(text)
        except BuiltinFailure:
            return False
        if "\\" in text or (absolute and "scheme" not in found):
            return False
        return not template or bool(_TEMPLATE.match(found.get("path", "")))

    return check


def _is_email(text: str) -> bool:
    return len(text) <= _MAX_ADDRESS and bool(_ADDRESS.match(text))


def _is_regex(text: str) -> bool:
    try:
        compile_pattern(text)
    except BuiltinFailure:
        return False
    return True


_CHECKS: dict[str, Callable[[str], bool]] = {
    **{name: _matches(pattern) for name, pattern in _PATTERNS.items()},
    "date": _is_date,
    "time": _is_time,
    "date-time": _is_instant,
    "email": _is_email,
    "idn-email": _is_email,
    "ipv4": _is_address("."),
    "ipv6": _is_address(":"),
    "uri": _is_uri(absolute=True),
    "iri": _is_uri(absolute=True),
    "uri-reference": _is_uri(absolute=False),
    "iri-reference": _is_uri(absolute=False),
    "uri-template": _is_uri(absolute=False, template=True),
    "regex": _is_regex,
}
