"""``[policy.settings]`` against what policies read: a misspelled or mistyped setting is an error at load, not a rule
that never fires."""

from __future__ import annotations

import datetime as dt
import difflib
import json
import re
import zoneinfo
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from guard.errors import Diagnostic

CODE: Final = "guard_settings_error"
SCHEMA: Final = Path("schemas") / "settings" / "settings.v1.json"
_ROOT: Final = "policy.settings"
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "number": (int, float),
    "integer": (int,),
    "string": (str,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}

Names = Mapping[str, Collection[str]]
"""The names that the configuration gives, by table: ``networks``, ``providers``, ``routes``, ``tenants``."""


def check_settings(
    settings: Any, modules: Mapping[str, str], shipped: Path, names: Names | None = None
) -> Iterator[Diagnostic]:
    """Every setting that has the wrong type or range, or that no module mentions; and every name in one that the
    configuration does not have, as far as ``names`` tells what it has."""
    if not isinstance(settings, dict):
        yield Diagnostic(CODE, f"{_ROOT} must be a table")
        return
    schema: dict[str, Any] = json.loads((shipped / SCHEMA).read_text("utf-8"))
    known = schema["properties"]
    checker = _Checker(names or {})
    for name, value in settings.items():
        if name in known:
            # The loader knows the rules, and judges their modes.
            expected = {"type": "object"} if name == "modes" else known[name]
            found = [*checker.problems(value, expected, f"{_ROOT}.{name}")]
            found += (
                f"{_ROOT}.{name} does nothing without {_ROOT}.{other}"
                for other in schema.get("dependentRequired", {}).get(name, ())
                if other not in settings
            )
            yield from (Diagnostic(CODE, problem) for problem in found)
        elif not any(re.search(rf"\b{re.escape(name)}\b", text) for text in modules.values()):
            yield Diagnostic(CODE, f"no policy reads {_ROOT}.{name}" + _nearest(name, known))


def entities_of(settings: Mapping[str, Any], shipped: Path) -> Iterator[tuple[str, str]]:
    """Every type of finding that a setting of the shipped rules names, after the place where it stands."""
    known = json.loads((shipped / SCHEMA).read_text("utf-8"))["properties"]
    for name, value in settings.items():
        if name in known:
            yield from _entities(value, known[name], f"{_ROOT}.{name}")


def _entities(value: Any, schema: Mapping[str, Any], where: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str) and schema.get("x-names") == "entities":
        yield where, value
    elif isinstance(value, list):
        for item in value:
            yield from _entities(item, schema.get("items", {}), where)
    elif isinstance(value, dict):
        for key, member in value.items():
            yield from _entities(member, schema.get("properties", {}).get(key, {}), f"{where}.{key}")


class _Checker:
    """The part of JSON Schema that the settings' schema uses. ``x-names`` says of which table a string is a name, or
    that it is a type of finding (``entities``), which only detectors know."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def problems(self, value: Any, schema: Mapping[str, Any], where: str) -> Iterator[str]:
        """What is wrong with a value, each with its place."""
        kind = schema["type"]
        if not _is(value, kind):
            yield f"{where} must be of type {kind}"
        elif kind == "object":
            yield from self._members(value, schema, where)
        elif kind == "array":
            yield from self._items(value, schema, where)
        elif kind == "string":
            yield from self._text(value, schema, where)
        elif kind in {"number", "integer"}:
            if "minimum" in schema and value < schema["minimum"]:
                yield f"{where} must be at least {schema['minimum']}"
            if "maximum" in schema and value > schema["maximum"]:
                yield f"{where} must be at most {schema['maximum']}"

    def _members(self, value: dict[str, Any], schema: Mapping[str, Any], where: str) -> Iterator[str]:
        properties = schema.get("properties", {})
        rest = schema.get("additionalProperties", True)
        if len(value) < schema.get("minProperties", 0):
            yield f"{where} must not be empty"
        for name in schema.get("required", ()):
            if name not in value:
                yield f"{where} has no {name}"
        for name, member in value.items():
            if name in properties:
                yield from self.problems(member, properties[name], f"{where}.{name}")
            elif rest is False:
                yield f"{where} has no use for {name}" + _nearest(name, properties)
            elif rest is not True:
                yield from self._text(name, schema.get("propertyNames", {}), where)
                yield from self.problems(member, rest, f"{where}.{name}")

    def _items(self, value: list[Any], schema: Mapping[str, Any], where: str) -> Iterator[str]:
        items = schema["items"]
        if len(value) < schema.get("minItems", 0):
            yield f"{where} must not be empty"
        if not all(_is(item, items["type"]) for item in value):
            yield f"{where} must hold values of type {items['type']} only"
            return
        for number, item in enumerate(value):
            at = where if items["type"] == "string" else f"{where}[{number}]"
            yield from self.problems(item, items, at)

    def _text(self, value: str, schema: Mapping[str, Any], where: str) -> Iterator[str]:
        if "enum" in schema and value not in schema["enum"]:
            yield f'{where} holds "{value}": it must be one of {", ".join(schema["enum"])}'
        if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
            yield f'{where} holds "{value}": it must be {schema["description"]}'
        if "format" in schema and not _FORMATS[schema["format"]](value):
            yield f'{where} holds "{value}": it must be {schema["description"]}'
        table = str(schema.get("x-names", ""))
        if table in self._names and value not in self._names[table]:
            yield f'{where} names "{value}", which is none of {table} in guard.toml' + _nearest(
                value, self._names[table]
            )


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and (not isinstance(value, bool) or kind == "boolean")


def _nearest(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _reads(parse: Callable[[str], Any]) -> Callable[[str], bool]:
    def holds(text: str) -> bool:
        try:
            parse(text)
        except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
            return False
        return True

    return holds


def _instant(text: str) -> None:
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", text):
        raise ValueError(text)
    dt.datetime.fromisoformat(text)


_FORMATS: Final[dict[str, Callable[[str], bool]]] = {
    "date": _reads(dt.date.fromisoformat),
    "date-time": _reads(_instant),  # RFC 3339, whole seconds
    "time-zone": _reads(zoneinfo.ZoneInfo),
}
