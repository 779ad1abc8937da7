"""The functions of Go's ``text/template``, and its values: numbers of the object are texts, as OPA hands them to Go.
Source: https://pkg.go.dev/text/template#hdr-Functions.
"""

from __future__ import annotations

import html
import json
import urllib.parse
from collections.abc import Callable
from typing import Any

from . import gofmt
from .numbers import format_number
from .values import NUMBERS, UNDEFINED, sorted_keys


class Number(str):
    """A number of the object: to Go it is the text ``json.Number``."""

    __slots__ = ()


def given(value: Any) -> Any:
    """A value as the template sees it."""
    if type(value) in NUMBERS:
        return Number(format_number(value))
    return value


def truth(value: Any) -> bool:
    """Whether a value counts as true: not empty, and there."""
    return value is not UNDEFINED and bool(value)


def go_type(value: Any) -> str:
    """The name of a value's type in Go."""
    names = {list: "[]interface {}", dict: "map[string]interface {}", bool: "bool", int: "int", float: "float64"}
    return "json.Number" if type(value) is Number else names.get(type(value), "string")


def shown(value: Any) -> str:
    """A value as an action prints it."""
    return "<undefined>" if value is None or value is UNDEFINED else _bare(value)


def _bare(value: Any) -> str:
    kind = type(value)
    if value is None:
        return "<nil>"
    if kind is bool:
        return "true" if value else "false"
    if kind in NUMBERS:
        return format_number(value)
    if kind is list:
        return "[" + " ".join(map(_bare, value)) + "]"
    if kind is dict:
        return "map[" + " ".join(f"{_bare(key)}:{_bare(value[key])}" for key in sorted_keys(value)) + "]"
    return str(value)


# -- functions ---------------------------------------------------------------------------------------------------------


def _printed(*values: Any) -> str:
    """Go's ``fmt.Sprint``: a space between operands neither of which is a string."""
    out: list[str] = []
    for at, value in enumerate(values):
        if at and not isinstance(value, str) and not isinstance(values[at - 1], str):
            out.append(" ")
        out.append(_bare(None if value is UNDEFINED else value))
    return "".join(out)


def _printf(template: Any, *values: Any) -> str:
    if type(template) is not str:
        raise ValueError("expected string")
    return gofmt.sprintf(template, [_format_argument(value) for value in values])


def _format_argument(value: Any) -> Any:
    if value is UNDEFINED or value is None:
        return None
    return value if type(value) in {int, float, str, bool} else _bare(value)


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if type(value) in {list, dict}:
        return len(value)
    raise ValueError(f"len of type {go_type(value)}")


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if type(value) is list:
            if type(key) is not int or not 0 <= key < len(value):
                raise ValueError(f"index out of range: {_bare(key)}")
            value = given(value[key])
        elif type(value) is dict:
            value = given(value.get(str(key), UNDEFINED))
        elif isinstance(value, str):
            data = value.encode()
            if type(key) is not int or not 0 <= key < len(data):
                raise ValueError(f"index out of range: {_bare(key)}")
            value = data[key]
        else:
            raise ValueError("can't index item of type " + go_type(value))
    return value


def _slice(value: Any, *bounds: Any) -> Any:
    if not isinstance(value, str | list) or len(bounds) > 2:
        raise ValueError("can't slice item of type " + go_type(value))
    begin = bounds[0] if bounds else 0
    end = bounds[1] if len(bounds) > 1 else len(value)
    if type(begin) is not int or type(end) is not int or not 0 <= begin <= end <= len(value):
        raise ValueError("index out of range")
    return value[begin:end]


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "string"
    kinds = {bool: "bool", int: "int", float: "float"}
    if type(value) not in kinds:
        raise ValueError("invalid type for comparison")
    return kinds[type(value)]


_NIL = (None, UNDEFINED)


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise ValueError("missing argument for comparison")
    for other in others:
        if first in _NIL or other in _NIL:
            if first in _NIL and other in _NIL:
                return True
            continue
        if _kind(first) != _kind(other):
            raise ValueError("incompatible types for comparison")
        if first == other:
            return True
    return False


def _less(left: Any, right: Any) -> bool:
    if _kind(left) != _kind(right) or type(left) is bool:
        raise ValueError("incompatible types for comparison")
    return bool(left < right)


_JS = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}


def _to_escape(*values: Any) -> str:
    """What the escaping functions escape: as ``print``, but nil has no value."""
    return _printed(*("<no value>" if value in _NIL else value for value in values))


def _js(*values: Any) -> str:
    def escape(char: str) -> str:
        if char in _JS:
            return _JS[char]
        return char if char.isprintable() else json.dumps(char)[1:-1].replace("\\n", "\\u000A")

    return "".join(map(escape, _to_escape(*values)))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "not": lambda value: not truth(value),
    "len": _length,
    "index": _index,
    "slice": _slice,
    "print": _printed,
    "println": lambda *values: " ".join(_bare(None if value is UNDEFINED else value) for value in values) + "\n",
    "printf": _printf,
    "html": lambda *values: html.escape(_to_escape(*values)).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),
    "js": _js,
    "urlquery": lambda *values: urllib.parse.quote_plus(_to_escape(*values), safe="-_.~"),
    "eq": _equal,
    "ne": lambda left, right: not _equal(left, right),
    "lt": _less,
    "le": lambda left, right: _less(left, right) or _equal(left, right),
    "gt": lambda left, right: not (_less(left, right) or _equal(left, right)),
    "ge": lambda left, right: not _less(left, right),
}
