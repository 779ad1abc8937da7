"""A document against a schema. Errors come in the order of the Go library, properties by name where it has no order."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from guard.rego import numbers
from guard.rego.builtins.regex import compile_pattern
from guard.rego.values import NUMBERS, compare_numbers, sorted_keys

from .formats import has_format
from .schema import Schema, marshalled

ROOT = "(Root)"
_DIGITS = 10


@dataclass(slots=True)
class Result:
    """Errors as (type, field, description), and how near the document came."""

    errors: list[tuple[str, str, str]] = field(default_factory=list)
    score: int = 0

    def add(self, kind: str, place: str, description: str) -> None:
        """One error."""
        self.errors.append((kind, place or ROOT, description))
        self.score -= 2

    def merge(self, other: Result) -> None:
        """The errors of another result."""
        self.errors += other.errors
        self.score += other.score


def kind_of(value: Any) -> str:
    """The name of a value's type."""
    if value is None:
        return "null"
    if type(value) in NUMBERS:
        return "integer" if numbers.is_integer(value) else "number"
    return {bool: "boolean", str: "string", list: "array", dict: "object"}[type(value)]


def number_text(value: Any) -> str:
    """A bound as messages show it: at most ten digits."""
    exact = Decimal(repr(value)) if type(value) is float else Decimal(value)
    text = f"{exact:.{_DIGITS}g}"
    return f"{float(text):.{_DIGITS}g}" if abs(exact.adjusted()) < 300 else text


class Validator:
    """Validates documents against one schema."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.budget = schema.budget

    def run(self, document: Any) -> Result:
        """The result for a document."""
        return self.sub(self.schema.root, document, "")

    def sub(self, node: Any, value: Any, place: str) -> Result:
        """The result for a value at a place."""
        result = Result()
        self.validate(node, value, place, result)
        return result

    def validate(self, node: Any, value: Any, place: str, result: Result) -> None:
        """Add what is wrong with a value."""
        self.budget.charge(1)
        if type(node) is bool:
            if not node:
                result.add("false", place, "False always fails validation")
            return
        if "$ref" in node:
            self.validate(self.schema.resolve(node["$ref"]), value, place, result)
            return
        kind, wanted = kind_of(value), node.get("type", [])
        names = [wanted] if type(wanted) is str else wanted
        if names and kind not in names and not (kind == "integer" and "number" in names):
            shown = names[0] if len(names) == 1 else f"[{','.join(names)}]"
            result.add("invalid_type", place, f"Invalid type. Expected: {shown}, given: {kind}")
            return
        self.combined(node, value, place, result)
        if kind == "array":
            self.array(node, value, place, result)
        elif kind == "object":
            self.object(node, value, place, result)
        elif kind in {"integer", "number"}:
            self.number(node, value, place, result)
        self.common(node, value, place, result)
        if kind == "string":
            self.string(node, value, place, result)
        if kind == "object":
            properties = node.get("properties", {})
            for name in sorted_keys(properties):
                if name in value:
                    self.validate(properties[name], value[name], _below(place, name), result)
        result.score += 1

    # -- schemas of schemas -------------------------------------------------------------------------------------------

    def combined(self, node: dict[Any, Any], value: Any, place: str, result: Result) -> None:
        """anyOf, oneOf, allOf, not, dependencies, if."""
        if node.get("anyOf"):
            self.any_of(node["anyOf"], value, place, result)
        if node.get("oneOf"):
            self.one_of(node["oneOf"], value, place, result)
        found = [self.sub(each, value, place) for each in node.get("allOf", ())]
        for each in found:
            result.merge(each)
        if any(each.errors for each in found):
            result.add("number_all_of", place, "Must validate all the schemas (allOf)")
        if "not" in node and not self.sub(node["not"], value, place).errors:
            result.add("number_not", place, "Must not validate the schema (not)")
        if type(value) is dict:
            self.dependencies(node.get("dependencies", {}), value, place, result)
        if "if" in node and self.schema.draft >= 7:
            self.condition(node, value, place, result)
        result.score += 1

    def any_of(self, options: list[Any], value: Any, place: str, result: Result) -> None:
        """At least one; else the errors of the nearest."""
        best: Result | None = None
        for each in options:
            found = self.sub(each, value, place)
            if not found.errors:
                return
            if best is None or found.score > best.score:
                best = found
        result.add("number_any_of", place, "Must validate at least one schema (anyOf)")
        if best is not None:
            result.merge(best)

    def one_of(self, options: list[Any], value: Any, place: str, result: Result) -> None:
        """Exactly one; with none, the errors of the nearest."""
        best: Result | None = None
        valid = 0
        for each in options:
            found = self.sub(each, value, place)
            if not found.errors:
                valid += 1
            elif valid == 0 and (best is None or found.score > best.score):
                best = found
        if valid != 1:
            result.add("number_one_of", place, "Must validate one and only one schema (oneOf)")
            if valid == 0 and best is not None:
                result.merge(best)

    def dependencies(self, wanted: dict[Any, Any], value: dict[Any, Any], place: str, result: Result) -> None:
        """What the presence of a property asks for."""
        for name in sorted_keys(wanted):
            if name not in value:
                continue
            if type(wanted[name]) is not list:
                self.validate(wanted[name], value, place, result)
                continue
            for each in wanted[name]:
                if each not in value:
                    result.add("missing_dependency", place, f"Has a dependency on {each}")

    def condition(self, node: dict[Any, Any], value: Any, place: str, result: Result) -> None:
        """Then or else."""
        holds = not self.sub(node["if"], value, place).errors
        name = "then" if holds else "else"
        found = self.sub(node.get(name, True), value, place)
        if found.errors:
            was = "valid" if holds else "not valid"
            result.add(f"condition_{name}", place, f'Must validate "{name}" as "if" was {was}')
            result.merge(found)

    # -- values -------------------------------------------------------------------------------------------------------

    def common(self, node: dict[Any, Any], value: Any, place: str, result: Result) -> None:
        """const, enum, format."""
        if "const" in node and self.schema.draft >= 6 and marshalled(value) != marshalled(node["const"]):
            shown = marshalled(node["const"])
            result.add("const", place, f"{place or ROOT} does not match: {shown}")
        if node.get("enum"):
            allowed = [marshalled(each) for each in node["enum"]]
            if marshalled(value) not in allowed:
                message = f"{place or ROOT} must be one of the following: {', '.join(allowed)}"
                result.add("enum", place, message)
        if node.get("format") and type(value) is str and not has_format(node["format"], value):
            result.add("format", place, f"Does not match format '{node['format']}'")
        result.score += 1

    def string(self, node: dict[Any, Any], value: str, place: str, result: Result) -> None:
        """minLength, maxLength, pattern."""
        if len(value) < node.get("minLength", 0):
            least = number_text(node["minLength"])
            result.add("string_gte", place, f"String length must be greater than or equal to {least}")
        if "maxLength" in node and len(value) > node["maxLength"]:
            most = number_text(node["maxLength"])
            result.add("string_lte", place, f"String length must be less than or equal to {most}")
        if "pattern" in node and compile_pattern(node["pattern"]).search(value) is None:
            result.add("pattern", place, f"Does not match pattern '{node['pattern']}'")
        result.score += 1

    def number(self, node: dict[Any, Any], value: Any, place: str, result: Result) -> None:
        """MultipleOf and the bounds."""
        if "multipleOf" in node:
            multiple = node["multipleOf"]
            if (numbers.to_fraction(value) / numbers.to_fraction(multiple)).denominator != 1:
                result.add("multiple_of", place, f"Must be a multiple of {number_text(multiple)}")
        for name, sign, kinds, words in (
            ("maximum", 1, ("number_lte", "number_lt"), "less"),
            ("minimum", -1, ("number_gte", "number_gt"), "greater"),
        ):
            bound, exclusive = node.get(name), node.get(f"exclusive{name.capitalize()}", False)
            limits = [(bound, exclusive is True)] if bound is not None else []
            if type(exclusive) is not bool:
                limits.append((exclusive, True))
            for limit, strict in limits:
                order = compare_numbers(value, limit) * sign
                if order > 0 or (order == 0 and strict):
                    equal = "" if strict else " or equal to"
                    than = f"{words} than{equal}"
                    result.add(kinds[strict], place, f"Must be {than} {number_text(limit)}")
        result.score += 1

    def array(self, node: dict[Any, Any], value: list[Any], place: str, result: Result) -> None:
        """items, additionalItems, minItems, maxItems, uniqueItems, contains."""
        items = node.get("items", [])
        if type(items) is not list:
            for at, each in enumerate(value):
                result.merge(self.sub(items, each, _below(place, at)))
        elif items:
            for at, (each, below) in enumerate(zip(value, items, strict=False)):
                result.merge(self.sub(below, each, _below(place, at)))
            extra = node.get("additionalItems", True)
            if len(value) > len(items) and extra is False:
                result.add("array_no_additional_items", place, "No additional items allowed on array")
            elif type(extra) is dict:
                for at in range(len(items), len(value)):
                    result.merge(self.sub(extra, value[at], _below(place, at)))
        if len(value) < node.get("minItems", 0):
            result.add("array_min_items", place, f"Array must have at least {number_text(node['minItems'])} items")
        if "maxItems" in node and len(value) > node["maxItems"]:
            result.add("array_max_items", place, f"Array must have at most {number_text(node['maxItems'])} items")
        if node.get("uniqueItems"):
            _check_unique(value, place, result)
        if "contains" in node and self.schema.draft >= 6:
            self.contains(node["contains"], value, place, result)
        result.score += 1

    def contains(self, node: Any, value: list[Any], place: str, result: Result) -> None:
        """At least one item; else the errors of the nearest."""
        best: Result | None = None
        for at, each in enumerate(value):
            found = self.sub(node, each, _below(place, at))
            if not found.errors:
                return
            if best is None or found.score > best.score:
                best = found
        result.add("contains", place, "At least one of the items must match")
        if best is not None:
            result.merge(best)

    def object(self, node: dict[Any, Any], value: dict[Any, Any], place: str, result: Result) -> None:
        """minProperties, maxProperties, required, the properties that ``properties`` leaves, propertyNames."""
        if len(value) < node.get("minProperties", 0):
            least = number_text(node["minProperties"])
            result.add("array_min_properties", place, f"Must have at least {least} properties")
        if "maxProperties" in node and len(value) > node["maxProperties"]:
            most = number_text(node["maxProperties"])
            result.add("array_max_properties", place, f"Must have at most {most} properties")
        for name in node.get("required", ()):
            if name in value:
                result.score += 1
            else:
                result.add("required", place, f"{name} is required")
        additional = node.get("additionalProperties", True)
        for name in sorted_keys(value):
            matched = self.patterns(node, name, value[name], place, result)
            if matched or name in node.get("properties", {}):
                continue
            if additional is False:
                result.add("additional_property_not_allowed", place, f"Additional property {name} is not allowed")
            elif type(additional) is dict:
                result.merge(self.sub(additional, value[name], _below(place, name)))
        if "propertyNames" in node and self.schema.draft >= 6:
            for name in sorted_keys(value):
                found = self.sub(node["propertyNames"], name, place)
                if found.errors:
                    result.add("invalid_property_name", place, f'Property name of "{name}" does not match')
                    result.merge(found)
        result.score += 1

    def patterns(self, node: dict[Any, Any], name: str, value: Any, place: str, result: Result) -> bool:
        """PatternProperties for one property; whether any matched."""
        matched = False
        for pattern in sorted_keys(node.get("patternProperties", {})):
            if compile_pattern(pattern).search(name) is not None:
                matched = True
                result.merge(self.sub(node["patternProperties"][pattern], value, _below(place, name)))
        result.score += matched
        return matched


def _below(place: str, name: Any) -> str:
    return f"{place}.{name}" if place else str(name)


def _check_unique(value: list[Any], place: str, result: Result) -> None:
    seen: dict[str, int] = {}
    for at, each in enumerate(value):
        text = marshalled(each)
        if text in seen:
            result.add("unique", place, f"array items[{seen[text]},{at}] must be unique")
        seen[text] = at
