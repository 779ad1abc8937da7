"""Values as Rego text, as ``sprintf("%v")``, ``print`` and template strings show them, and as JSON."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Final, Protocol

from . import numbers
from .values import Set, rank, sorted_keys, value_of

_PLAIN: Final = frozenset({str, int, float, bool, type(None)})


_ESCAPES: Final = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\",
}  # fmt: skip


def quote(text: str, mark: str = '"', *, ascii_only: bool = False) -> str:
    """A literal as Go's ``strconv.Quote`` writes it: what does not print (or is not ASCII) is escaped."""
    if text.isascii() and text.isprintable() and mark not in text and "\\" not in text:
        return f"{mark}{text}{mark}"
    return mark + "".join(_quoted(char, mark, ascii_only=ascii_only) for char in text) + mark


def _quoted(char: str, mark: str, *, ascii_only: bool) -> str:
    if char == mark:
        return f"\\{char}"
    short = _ESCAPES.get(char)
    if short is not None or (char.isprintable() and (char.isascii() or not ascii_only)):
        return short or char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def show(value: Any) -> str:
    """The Rego text of a value: sets in braces, ``set()`` for the empty one, strings quoted."""
    kind = type(value)
    if kind is str:
        return quote(value)
    if kind in {int, float, Decimal}:
        return numbers.format_number(value)
    if value is None or kind is bool:
        return {None: "null", True: "true", False: "false"}[value]
    if kind is list:
        return "[" + ", ".join(map(show, value)) + "]"
    if kind is Set:
        return "{" + ", ".join(map(show, value.sorted())) + "}" if len(value) else "set()"
    rank(value)
    return "{" + ", ".join(f"{show(value_of(key))}: {show(value[key])}" for key in sorted_keys(value)) + "}"


class Payer(Protocol):
    """What a size is charged to: an evaluation's budget."""

    left: int

    def charge(self, steps: int) -> None:
        """Pay; raises where nothing is left."""


def to_json(value: Any, *, exact: bool = False, budget: Payer | None = None) -> Any:
    """The value as plain data: sets as sorted lists, keys as strings, as OPA's API answers. Without ``exact``, numbers
    that no float holds exactly become the nearest. What is plain already is not copied. Every part is charged to the
    ``budget``: values may share parts, so that one built in sixty steps can be larger than any memory."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is list:
        _pay(budget, len(value))
        changed = False
        items = []
        for item in value:
            new = item if type(item) in _PLAIN else to_json(item, exact=exact, budget=budget)
            changed = changed or new is not item
            items.append(new)
        return items if changed else value
    if kind is dict:
        return _object(value, exact=exact, budget=budget)
    if kind is Set:
        _pay(budget, len(value))
        found = value.sorted()
        return [item if type(item) in _PLAIN else to_json(item, exact=exact, budget=budget) for item in found]
    if kind is Decimal and not exact:
        return numbers.plain(value)
    rank(value)
    return value


def _pay(budget: Payer | None, steps: int) -> None:
    if budget is not None:
        budget.left -= steps
        if budget.left < 0:
            budget.charge(0)


def _object(value: dict[Any, Any], *, exact: bool, budget: Payer | None) -> dict[str, Any]:
    _pay(budget, len(value))
    plain = set(map(type, value)) <= {str}
    found: dict[str, Any] = {}
    changed = False
    # Keys that print alike, such as 1 and "1", become one: the last in Rego's order stays, as in OPA.
    for key in value if plain else sorted_keys(value):
        item = value[key]
        new = item if type(item) in _PLAIN else to_json(item, exact=exact, budget=budget)
        changed = changed or new is not item
        found[key if type(key) is str else compact(to_json(value_of(key), exact=True))] = new
    return found if changed or not plain else value


def ordered(value: Any) -> Any:
    """Plain data with the keys of every object sorted, as Go writes maps."""
    if type(value) is list:
        return [ordered(item) for item in value]
    if type(value) is dict:
        return {key: ordered(value[key]) for key in sorted(value)}
    return value


def compact(value: Any) -> str:
    """JSON text without spaces, as Go writes it: sorted keys, exact numbers."""
    kind = type(value)
    if kind in {int, float, Decimal}:
        return numbers.format_number(value)
    if kind is list:
        return "[" + ",".join(map(compact, value)) + "]"
    if kind is dict:
        return "{" + ",".join(f"{go_string(key)}:{compact(value[key])}" for key in sorted(value)) + "}"
    if kind is str:
        return go_string(value)
    return json.dumps(value)


def go_string(text: str) -> str:
    """A JSON string as Go's encoder writes it, with ``<``, ``>``, ``&`` and the line separators escaped."""
    found = json.dumps(text, ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        if char in found:
            found = found.replace(char, f"\\u{ord(char):04x}")
    return found


def pretty(value: Any, indent: int = 0) -> str:
    """JSON text as ``opa eval --format json`` prints it: two spaces, exact numbers, keys in the given order."""
    pad = "  " * (indent + 1)
    if type(value) is list and value:
        return "[\n" + ",\n".join(pad + pretty(item, indent + 1) for item in value) + "\n" + "  " * indent + "]"
    if type(value) is dict and value:
        pairs = [f"{pad}{go_string(key)}: {pretty(item, indent + 1)}" for key, item in value.items()]
        return "{\n" + ",\n".join(pairs) + "\n" + "  " * indent + "}"
    return compact(value)
