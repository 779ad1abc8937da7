"""uri.parse and uri.is_valid: the parts of a URI as Go's net/url reads them (RFC 3986)."""

from __future__ import annotations

import re
import urllib.parse
from typing import Any

from guard.rego.runtime import BuiltinFailure

from .registry import builtin

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}", re.DOTALL)
# In a host, escapes are for bytes past ASCII; %25 introduces the zone of an address.
_HOST_ESCAPE = re.compile(r"%(?!25)[0-7][0-9A-Fa-f]")
_HOST = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:<>\"\[\]-]|%[0-9A-Fa-f]{2}|[^\x00-\x7f])*\Z")
_USER = re.compile(r"[A-Za-z0-9._:~!$&'()*+,;=%@-]*\Z")
_PATH_SAFE = "$&+,/:;=@-_.~"


def parse(text: str) -> dict[str, str]:
    """The parts that a URI has. Raises BuiltinFailure."""
    if _CONTROL.search(text):
        raise _invalid(text, "invalid control character in URL")
    rest, _, fragment = text.partition("#")
    found: dict[str, str] = {}
    scheme = _SCHEME.match(rest)
    if scheme:
        found["scheme"] = scheme.group(1).lower()
        rest = rest[scheme.end() :]
    elif rest.startswith(":"):
        raise _invalid(text, "missing protocol scheme")
    rest, _, query = rest.partition("?")
    if rest.startswith("/") or not scheme:
        _parse_hierarchy(text, rest, found, has_scheme=scheme is not None)
    if query:
        found["raw_query"] = query
    if fragment:
        found["fragment"] = _unescape(text, fragment)
    return found


def _parse_hierarchy(text: str, rest: str, found: dict[str, str], *, has_scheme: bool) -> None:
    if not rest.startswith("/") and ":" in rest.partition("/")[0]:
        raise _invalid(text, "first path segment in URL cannot contain colon")
    if rest.startswith("//") and (has_scheme or not rest.startswith("///")):
        authority, slash, path = rest[2:].partition("/")
        _parse_authority(text, authority, found)
        rest = slash + path
    if rest:
        path = found["path"] = _unescape(text, rest)
        found["raw_path"] = path if urllib.parse.quote(path, safe=_PATH_SAFE) == rest else rest


def _parse_authority(text: str, authority: str, found: dict[str, str]) -> None:
    user, at, host = authority.rpartition("@")
    if at and not _USER.match(user):
        raise _invalid(text, "net/url: invalid userinfo")
    if at:
        _unescape(text, user)
    if host.startswith("["):
        end = host.find("]")
        if end < 0:
            raise _invalid(text, "missing ']' in host")
        name, port = host[1:end], host[end + 1 :]
    else:
        name, colon, digits = host.partition(":")
        port = colon + digits
    if port and not re.fullmatch(r":[0-9]*", port):
        raise _invalid(text, f'invalid port "{port}" after host')
    if not _BROKEN.search(name) and not _HOST.match(name):
        raise _invalid(text, "invalid character in host name")
    if name:
        found["hostname"] = _unescape_host(text, name, bracketed=host.startswith("["))
    if port[1:]:
        found["port"] = port[1:]


def _unescape_host(text: str, name: str, *, bracketed: bool) -> str:
    address = name.partition("%25")[0] if bracketed else name
    wrong = _HOST_ESCAPE.search(address)
    if wrong:
        raise _invalid(text, f'invalid URL escape "{wrong.group()}"')
    return _unescape(text, name)


def _unescape(text: str, part: str) -> str:
    broken = _BROKEN.search(part)
    if broken:
        raise _invalid(text, f'invalid URL escape "{broken.group()}"')
    return urllib.parse.unquote(part)


def _invalid(text: str, problem: str) -> BuiltinFailure:
    return BuiltinFailure(f'parse "{text}": {problem}')


@builtin("uri.parse", "string -> object")
def _uri_parse(text: str) -> dict[str, Any]:
    return parse(text)


@builtin("uri.is_valid", "any -> boolean")
def _uri_is_valid(text: Any) -> bool:
    if type(text) is not str or not text:
        return False
    try:
        parse(text)
    except BuiltinFailure:
        return False
    return True
