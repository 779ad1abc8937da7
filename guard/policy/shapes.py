"""What can stand at a place of a document, as far as its JSON Schema says: enough to follow a reference through it.

A shape never claims too much. What no schema describes is ``ANY``, and every step from there leads to ``ANY``; only a
closed object, an array and a scalar know that a step leads nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

SCHEMA: Final = Path("schemas") / "input.v1.json"


class Anything(msgspec.Struct, frozen=True):
    """A value of which nothing is known."""


class Scalar(msgspec.Struct, frozen=True):
    """A string, number, boolean or null. ``values`` are all that it can be, if a schema lists them. ``path`` is where
    the value comes from (``input.findings[].type``)."""

    path: str = ""
    values: tuple[str | int | None, ...] = ()


class Fields(msgspec.Struct, frozen=True):
    """An object: its named members, and ``rest`` for all others; ``None`` if there are no others."""

    fields: Mapping[str, Shape]
    rest: Shape | None = None
    path: str = ""


class Items(msgspec.Struct, frozen=True):
    """An array, or a set, whose members have one shape."""

    item: Shape
    is_set: bool = False
    path: str = ""


class Either(msgspec.Struct, frozen=True):
    """One of several shapes."""

    choices: tuple[Shape, ...]


Shape: TypeAlias = Anything | Scalar | Fields | Items | Either
ANY: Final = Anything()


def document_shape(policies: Path) -> Shape:
    """The shape of ``input``, by the schema below ``policies``."""
    schema = json.loads((policies / SCHEMA).read_text("utf-8"))
    return from_schema(schema, "input", schema.get("$defs", {}))


def from_schema(schema: Mapping[str, Any], path: str, definitions: Mapping[str, Any]) -> Shape:
    """The shape of a JSON Schema, in the subset that the schema of the policy document uses."""
    if "$ref" in schema:
        return from_schema(definitions[schema["$ref"].removeprefix("#/$defs/")], path, definitions)
    if "anyOf" in schema:
        return either(from_schema(choice, path, definitions) for choice in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return Scalar(path, tuple(schema["enum"]) if "enum" in schema else (schema["const"],))
    kind = schema.get("type")
    if kind == "object":
        members = schema.get("properties", {})
        fields = {name: from_schema(inner, f"{path}.{name}", definitions) for name, inner in members.items()}
        return Fields(fields, _rest(schema, path, definitions), path)
    if kind == "array":
        return Items(from_schema(schema["items"], f"{path}[]", definitions), path=path) if "items" in schema else ANY
    return ANY if kind is None else Scalar(path)


def _rest(schema: Mapping[str, Any], path: str, definitions: Mapping[str, Any]) -> Shape | None:
    others = schema.get("additionalProperties", True)
    if others is True:
        return ANY if schema.get("maxProperties") != 0 else None
    return from_schema(others, f"{path}[]", definitions) if others else None


def either(choices: Iterator[Shape] | tuple[Shape, ...]) -> Shape:
    """The union; ``ANY`` as soon as one of them is."""
    flat: list[Shape] = []
    for choice in choices:
        flat += choice.choices if isinstance(choice, Either) else (choice,)
    if not flat or any(isinstance(choice, Anything) for choice in flat):
        return ANY
    return flat[0] if len(flat) == 1 else Either(tuple(flat))


def named(shape: Shape, key: str) -> Shape | None:
    """The shape behind a member or index that is a literal string; ``None`` where there is none."""
    if isinstance(shape, Fields):
        return shape.fields.get(key, shape.rest)
    if isinstance(shape, Items):
        # A string may be a member of a set; an array has numbers for indexes.
        return shape.item if shape.is_set else None
    if isinstance(shape, Either):
        found = [inner for choice in shape.choices if (inner := named(choice, key)) is not None]
        return either(tuple(found)) if found else None
    return None if isinstance(shape, Scalar) else ANY


def any_member(shape: Shape) -> Shape:
    """The shape behind an index that is not known: a variable, a number, a call."""
    if isinstance(shape, Fields):
        rest = () if shape.rest is None else (shape.rest,)
        return either((*shape.fields.values(), *rest))
    if isinstance(shape, Items):
        return shape.item
    if isinstance(shape, Either):
        found = [choice for choice in shape.choices if not isinstance(choice, Scalar)]
        return either(tuple(any_member(choice) for choice in found))
    return ANY


def fields_of(shape: Shape) -> list[str]:
    """The members that a reader could have meant."""
    if isinstance(shape, Fields):
        return list(shape.fields)
    if isinstance(shape, Either):
        return [name for choice in shape.choices for name in fields_of(choice)]
    return []


def path_of(shape: Shape) -> str:
    """Where the value comes from, for people: ``input.findings[]``; empty if it comes from several places."""
    if isinstance(shape, Either):
        paths = {path_of(choice) for choice in shape.choices}
        return paths.pop() if len(paths) == 1 else ""
    return "" if isinstance(shape, Anything) else shape.path


def places_of(shape: Shape, name: str) -> Iterator[str]:
    """Every place below a shape whose last name is ``name``."""
    if isinstance(shape, Fields):
        for key, inner in shape.fields.items():
            if key == name:
                yield f"{shape.path}.{key}"
            yield from places_of(inner, name)
    elif isinstance(shape, Items):
        yield from places_of(shape.item, name)


def values_of(shape: Shape) -> tuple[str | int | None, ...]:
    """All values that stand at a place, if a schema lists them; empty for those that nobody can list."""
    if isinstance(shape, Either):
        listed = [values_of(choice) for choice in shape.choices]
        return tuple(value for values in listed for value in values) if all(listed) else ()
    return shape.values if isinstance(shape, Scalar) else ()
