"""Schemas: which draft, where references lead, and what makes a schema invalid."""

from __future__ import annotations

import urllib.parse
from typing import Any

from guard.rego.builtins.regex import compile_pattern
from guard.rego.runtime import Budget, BuiltinFailure
from guard.rego.show import compact, to_json
from guard.rego.values import NUMBERS, UNDEFINED, compare_numbers, sorted_keys

TYPES = ("array", "boolean", "integer", "number", "null", "object", "string")
HYBRID = 99
_DRAFTS = {f"http://json-schema.org/draft-0{number}/schema": number for number in (4, 6, 7)}
_LENGTHS = ("minLength", "maxLength", "minProperties", "maxProperties", "minItems", "maxItems")
_LISTS = ("oneOf", "anyOf", "allOf")
_SCHEMA_KINDS = frozenset({dict, bool})


class SchemaError(Exception):
    """The schema is not valid."""


class Schema:
    """A schema that was checked."""

    def __init__(self, root: Any, budget: Budget) -> None:
        self.root = root
        self.budget = budget
        self.draft = _draft(root)
        self.identified: dict[str, Any] = {}
        self.checked: set[str] = set()
        if type(root) is dict or (type(root) is bool and self.draft >= 6):
            self._identify(root, "")
            self.check(root)
        else:
            raise SchemaError("schema is invalid")

    # -- references ---------------------------------------------------------------------------------------------------

    def _identify(self, node: Any, base: str) -> None:
        """Remember the schemas that have an identifier."""
        self.budget.charge(1)
        if type(node) is list:
            for each in node:
                self._identify(each, base)
        if type(node) is not dict:
            return
        name = node.get("id" if self.draft == 4 or (self.draft == HYBRID and "id" in node) else "$id")
        if type(name) is str:
            base = urllib.parse.urljoin(base, name)
            self.identified.setdefault(base.removesuffix("#"), node)
        for key, each in node.items():
            if key not in {"enum", "const"}:
                self._identify(each, base)

    def resolve(self, reference: str) -> Any:
        """The schema that a reference leads to. Raises SchemaError."""
        if reference.removesuffix("#") in self.identified:
            return self.identified[reference.removesuffix("#")]
        base, _, fragment = reference.partition("#")
        document = self.identified.get(base) if base else self.root
        if document is None:
            near = [found for name, found in self.identified.items() if name.endswith("/" + base.lstrip("/"))]
            if not near:
                raise SchemaError(f"remote reference loading is disabled: {reference}")
            document = near[0]
        if fragment and not fragment.startswith("/"):
            raise SchemaError(f"Invalid reference: {reference}")
        for part in fragment.split("/")[1:]:
            token = urllib.parse.unquote(part).replace("~1", "/").replace("~0", "~")
            document = _step(document, token)
        if type(document) not in _SCHEMA_KINDS:
            raise SchemaError("schema must be of type object")
        return document

    # -- checks -------------------------------------------------------------------------------------------------------

    def check(self, node: Any) -> None:
        """One schema and those inside it. Raises SchemaError."""
        self.budget.charge(1)
        if type(node) is bool and self.draft >= 6:
            return
        if type(node) is not dict:
            raise SchemaError("Expected: Valid Schema, given: Invalid JSON")
        _text(node, "id" if self.draft == 4 else "$id")
        self._check_map(node, "definitions", "Invalid type. Expected: Array Of Schemas, given: definitions")
        _text(node, "title")
        _text(node, "description")
        reference = _text(node, "$ref")
        if reference is not None:
            if reference not in self.checked:
                self.checked.add(reference)
                self.check(self.resolve(reference))
            return
        _check_types(node)
        self._check_map(node, "properties", "Properties must be of type object")
        self._check_either(node, "additionalProperties")
        self._check_patterns(node)
        if self.draft >= 6 and "propertyNames" in node:
            self._check_sub(node["propertyNames"], "Invalid type. Expected: Valid Schema, given: patternProperties")
        self._check_dependencies(node)
        self._check_items(node)
        self._check_numbers(node)
        self._check_lengths(node)
        self._check_values(node)
        self._check_combined(node)

    def _check_sub(self, value: Any, message: str) -> None:
        if type(value) not in _SCHEMA_KINDS:
            raise SchemaError(message)
        self.check(value)

    def _check_map(self, node: dict[Any, Any], name: str, message: str) -> None:
        if name not in node:
            return
        if type(node[name]) is not dict:
            raise SchemaError(message)
        for key in sorted_keys(node[name]):
            if name == "definitions" and type(node[name][key]) not in _SCHEMA_KINDS:
                raise SchemaError(message)
            self.check(node[name][key])

    def _check_either(self, node: dict[Any, Any], name: str) -> None:
        """A boolean or a schema."""
        value = node.get(name, True)
        if type(value) is not bool:
            if type(value) is not dict:
                raise SchemaError(f"Invalid type. Expected: boolean/Valid Schema, given: {name}")
            self.check(value)

    def _check_patterns(self, node: dict[Any, Any]) -> None:
        patterns = node.get("patternProperties", {})
        if type(patterns) is not dict:
            raise SchemaError("Invalid type. Expected: Valid Schema, given: patternProperties")
        for pattern in sorted_keys(patterns):
            if not _compiles(pattern):
                raise SchemaError(f"Invalid regex pattern '{pattern}'")
            self.check(patterns[pattern])

    def _check_dependencies(self, node: dict[Any, Any]) -> None:
        found = node.get("dependencies", {})
        if type(found) is not dict:
            raise SchemaError("dependencies must be of type object")
        for key in sorted_keys(found):
            if type(found[key]) in _SCHEMA_KINDS:
                self.check(found[key])
            elif type(found[key]) is not list or any(type(each) is not str for each in found[key]):
                raise SchemaError("Dependency must be of type Schema Or Array Of Strings")

    def _check_items(self, node: dict[Any, Any]) -> None:
        items = node.get("items", [])
        for each in items if type(items) is list else [items]:
            self._check_sub(each, "Invalid type. Expected: Valid Schema/Array Of Schemas, given: items")
        self._check_either(node, "additionalItems")

    def _check_numbers(self, node: dict[Any, Any]) -> None:
        multiple = node.get("multipleOf", 1)
        if type(multiple) not in NUMBERS:
            raise SchemaError("Invalid type. Expected: Number, given: multipleOf")
        if compare_numbers(multiple, 0) <= 0:
            raise SchemaError("multipleOf must be strictly greater than 0")
        for name in ("minimum", "maximum"):
            if type(node.get(name, 0)) not in NUMBERS:
                raise SchemaError(f"{name} must be of a Number")
            exclusive = f"exclusive{name.capitalize()}"
            value = node.get(exclusive, UNDEFINED)
            if value is UNDEFINED:
                continue
            kinds = {4: "boolean", HYBRID: "boolean/number"}.get(self.draft, "number")
            if (type(value) is bool and "boolean" not in kinds) or (type(value) in NUMBERS and "number" not in kinds):
                raise SchemaError(f"Invalid type. Expected: {kinds}, given: {exclusive}")
            if type(value) is bool and name not in node:
                raise SchemaError(f"{exclusive} cannot be used without {name}")
            if type(value) is not bool and type(value) not in NUMBERS:
                raise SchemaError(f"Invalid type. Expected: {kinds}, given: {exclusive}")

    def _check_lengths(self, node: dict[Any, Any]) -> None:
        for name in _LENGTHS:
            value = node.get(name, 0)
            if type(value) not in NUMBERS or value != int(value):
                raise SchemaError(f"{name} must be of an integer")
            if value < 0:
                raise SchemaError(f"{name} must be greater than or equal to 0")
        for low, high in (_LENGTHS[:2], _LENGTHS[2:4]):
            if low in node and high in node and node[low] > node[high]:
                raise SchemaError(f"{low} cannot be greater than {high}")
        pattern = _text(node, "pattern")
        if pattern is not None and not _compiles(pattern):
            raise SchemaError("pattern must be a valid regex")
        _text(node, "format")

    def _check_values(self, node: dict[Any, Any]) -> None:
        for name, shown in (("required", lambda each: each), ("enum", marshalled)):
            found = _list(node, name)
            if name == "required" and any(type(each) is not str for each in found):
                raise SchemaError("Invalid type. Expected: string, given: required")
            texts = [shown(each) for each in found]
            if len(set(texts)) < len(texts):
                raise SchemaError(f"{name} items must be unique")
        if type(node.get("uniqueItems", False)) is not bool:
            raise SchemaError("uniqueItems must be of a boolean")

    def _check_combined(self, node: dict[Any, Any]) -> None:
        if self.draft >= 6 and "contains" in node:
            self.check(node["contains"])
        for name in _LISTS:
            for each in _list(node, name):
                self.check(each)
        for name in ("not", "if", "then", "else"):
            if name in node and (name == "not" or self.draft >= 7):
                self._check_sub(node[name], f"{name} must be of an object")


def marshalled(value: Any) -> str:
    """A value as text that is equal for equal values."""
    return compact(to_json(_canonical(value), exact=True))


def _canonical(value: Any) -> Any:
    if type(value) is float and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if type(value) is list:
        return [_canonical(each) for each in value]
    if type(value) is dict:
        return {key: _canonical(value[key]) for key in sorted_keys(value)}
    return value


def _draft(root: Any) -> int:
    """The draft that ``$schema`` names; without one, what the drafts have in common or not at odds."""
    if type(root) is not dict or "$schema" not in root:
        return HYBRID
    if type(root["$schema"]) is not str:
        raise SchemaError("$schema must be of type string")
    return _DRAFTS.get(root["$schema"].removesuffix("#"), HYBRID)


def _step(document: Any, token: str) -> Any:
    if type(document) is dict:
        if token not in document:
            raise SchemaError(f"Object has no key '{token}'")
        return document[token]
    if type(document) is list:
        if not token.isascii() or not token.isdigit() or len(token) > 9 or int(token) >= len(document):
            raise SchemaError(f"Out of bound array[0,{len(document)}] index '{token}'")
        return document[int(token)]
    raise SchemaError(f"Invalid token reference '{token}'")


def _text(node: dict[Any, Any], name: str) -> str | None:
    value = node.get(name)
    if name in node and type(value) is not str:
        raise SchemaError(f"Invalid type. Expected: string, given: {name}")
    return value


def _list(node: dict[Any, Any], name: str) -> list[Any]:
    value = node.get(name, [])
    if type(value) is not list:
        raise SchemaError(f"{name} must be of an array")
    return value


def _check_types(node: dict[Any, Any]) -> None:
    found = node.get("type", [])
    names = [found] if type(found) is str else found
    if type(names) is not list or any(type(name) is not str for name in names):
        raise SchemaError("Invalid type. Expected: type, given: string/Array Of Strings")
    for at, name in enumerate(names):
        if name not in TYPES:
            valid = " ".join(TYPES)
            message = f"has a primitive type that is NOT VALID -- given: /{name}/ Expected valid values are:[{valid}]"
            raise SchemaError(message)
        if name in names[:at]:
            raise SchemaError(f"{name} type is duplicated")


def _compiles(pattern: Any) -> bool:
    try:
        compile_pattern(pattern)
    except BuiltinFailure:
        return False
    return True
