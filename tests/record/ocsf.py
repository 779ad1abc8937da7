"""Holds an event against the published OCSF schema: its required attributes, types, enumerations and constraints.

The facts stand in ``tests/vectors/ocsf``, in a form of our own, with the version and the commit that they are of.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

VECTORS: Final = Path(__file__).parents[1] / "vectors" / "ocsf"
_PLAIN: Final[Mapping[str, type]] = {"integer": int, "string": str, "boolean": bool}
_OTHER: Final = 99


def rules(version: str) -> dict[str, Any]:
    """The facts of one version of the schema."""
    found: dict[str, Any] = json.loads((VECTORS / f"api-activity-{version}.json").read_text(encoding="utf-8"))
    return found


def faults(event: Mapping[str, Any], version: str) -> list[str]:
    """What does not fit the schema; empty for a valid event."""
    facts = rules(version)
    found = list(_object(event, "api_activity", "", facts["objects"]))
    identity = {
        "category_uid": facts["category_uid"],
        "class_uid": facts["class_uid"],
        "type_uid": facts["class_uid"] * 100 + event.get("activity_id", 0),
    }
    found += [f"{name} is not {value}" for name, value in identity.items() if event.get(name) != value]
    if event.get("metadata", {}).get("version") != facts["version"]:
        found.append("metadata.version is not the schema's")
    return found


def _object(value: Mapping[str, Any], kind: str, place: str, objects: Mapping[str, Any]) -> Iterator[str]:
    facts = objects[kind]
    for name in facts["required"]:
        if name not in value:
            yield f"{place}{name} is required"
    for constraint, names in facts.items():
        if constraint == "at_least_one" and not any(name in value for name in names):
            yield f"{place}: at least one of {', '.join(names)} is required"
        if constraint == "just_one" and sum(name in value for name in names) != 1:
            yield f"{place}: exactly one of {', '.join(names)} is required"
    for name, item in value.items():
        declared = facts["attributes"].get(name)
        if declared is None:
            yield f"{place}{name} is no attribute of {kind}"
            continue
        array = declared.endswith("[]")
        if array and not isinstance(item, list):
            yield f"{place}{name} is no array"
            continue
        for one in item if array else [item]:
            yield from _value(one, declared.removesuffix("[]"), f"{place}{name}", objects)
        yield from _enumerated(value, name, place, facts["enums"])


def _value(value: Any, kind: str, place: str, objects: Mapping[str, Any]) -> Iterator[str]:
    if kind in _PLAIN:
        if type(value) is not _PLAIN[kind]:
            yield f"{place} is no {kind}"
    elif not isinstance(value, dict):
        yield f"{place} is no object"
    elif kind == "object":
        return
    elif kind not in objects:
        yield f"{place} is a {kind}, of which nothing is known here"
    else:
        yield from _object(value, kind, f"{place}.", objects)


def _enumerated(value: Mapping[str, Any], name: str, place: str, enums: Mapping[str, Any]) -> Iterator[str]:
    """The number is one of the schema's, and the caption beside it is its own; 99 has a caption of the source's."""
    known = enums.get(name)
    if known is None:
        return
    if str(value[name]) not in known:
        yield f"{place}{name} {value[name]} is not enumerated"
        return
    sibling = "activity_name" if name == "activity_id" else name.removesuffix("_id")
    if not name.endswith("_id") or value[name] == _OTHER:
        if name.endswith("_id") and not value.get(sibling):
            yield f"{place}{name} is Other and {sibling} does not say what"
        return
    if sibling in value and value[sibling] != known[str(value[name])]:
        yield f"{place}{sibling} is not {known[str(value[name])]}"
