"""A checker for the part of JSON Schema (draft 2020-12) that the policy document's schema uses. A keyword that it does
not know is an error, so that no part of the schema goes unchecked."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "policies" / "schemas" / "input.v1.json").read_text("utf-8")
)
_SILENT = {"type", "$schema", "$defs", "title", "description", "properties", "propertyNames"}
_KINDS: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def violations(value: Any, schema: dict[str, Any] | None = None, path: str = "") -> list[str]:
    """Each place at which the value is not what the schema says."""
    schema = SCHEMA if schema is None else schema
    found: list[str] = []
    if "type" in schema and (message := _type(value, schema["type"])):
        return [f"{path or '/'}: {message}"]
    for keyword, argument in schema.items():
        if keyword in _SILENT:
            continue
        told = _CHECKS[keyword](value, argument, schema, path)
        found += told if isinstance(told, list) else [f"{path or '/'}: {told}"] if told else []
    return found


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _KINDS[kind]) and not (kind in {"integer", "number"} and isinstance(value, bool))


def _type(value: Any, argument: Any) -> str | None:
    kinds = argument if isinstance(argument, list) else [argument]
    return None if any(_is(value, kind) for kind in kinds) else f"not {kinds}"


def _additional(value: Any, argument: Any, schema: dict[str, Any], path: str) -> list[str]:
    if not isinstance(value, dict):
        return []
    properties = schema.get("properties", {})
    found = []
    for key, member in value.items():
        if "propertyNames" in schema:
            found += violations(key, schema["propertyNames"], f"{path}/{key}")
        if key in properties:
            found += violations(member, properties[key], f"{path}/{key}")
        elif argument is False:
            found.append(f"{path or '/'}: unknown member {key}")
        else:
            found += violations(member, argument, f"{path}/{key}")
    return found


def _required(value: Any, argument: list[str], _: Any, path: str) -> list[str]:
    return [f"{path or '/'}: member {key} is missing" for key in argument if key not in value]


def _any_of(value: Any, argument: list[Any], _: Any, path: str) -> list[str]:
    tried = [violations(value, option, path) for option in argument]
    return [] if [] in tried else tried[0]


def _items(value: Any, argument: Any, _: Any, path: str) -> list[str]:
    return [v for i, item in enumerate(value) for v in violations(item, argument, f"{path}/{i}")]


def _unique(value: Any, *_: Any) -> str | None:
    return None if len({json.dumps(item) for item in value}) == len(value) else "repeats an item"


_CHECKS: dict[str, Any] = {
    "additionalProperties": _additional,
    "required": _required,
    "anyOf": _any_of,
    "items": _items,
    "uniqueItems": _unique,
    "$ref": lambda v, a, _, p: violations(v, SCHEMA["$defs"][a.removeprefix("#/$defs/")], p),
    "const": lambda v, a, *_: None if v == a else f"not {a!r}",
    "enum": lambda v, a, *_: None if v in a else f"not one of {a!r}",
    # Patterns are anchored in the schema; $ must not let a final line break pass.
    "pattern": lambda v, a, *_: None if isinstance(v, str) and re.fullmatch(a, v) else f"does not match {a}",
    "minimum": lambda v, a, *_: None if v >= a else f"below {a}",
    "maximum": lambda v, a, *_: None if v <= a else f"above {a}",
    "maxLength": lambda v, a, *_: None if len(v) <= a else f"longer than {a}",
    "maxItems": lambda v, a, *_: None if len(v) <= a else f"more than {a} items",
    "maxProperties": lambda v, a, *_: None if len(v) <= a else f"more than {a} members",
}
