"""The rules for values and variables (sections 5.6 and 5.8)."""

from __future__ import annotations

from collections.abc import Mapping

from . import suggest
from .nodes import (
    BLOCK,
    BOOLEAN,
    ENUM,
    FLOAT,
    INT,
    LIST,
    NULL,
    OBJECT,
    STRING,
    VARIABLE,
    GraphqlError,
    Node,
    type_text,
    value_text,
)
from .schema import compatible

_BUILT_IN = frozenset({"Int", "Float", "String", "Boolean", "ID"})
_ACCEPTED = {
    INT: frozenset({"Int", "Float", "ID"}),
    FLOAT: frozenset({"Float"}),
    STRING: frozenset({"String", "ID"}),
    BLOCK: frozenset({"String", "ID"}),
    BOOLEAN: frozenset({"Boolean"}),
}
_WANTED = {
    "Int": "Int cannot represent non-integer value",
    "String": "String cannot represent a non string value",
    "Boolean": "Boolean cannot represent a non boolean value",
    "Float": "Float cannot represent non numeric value",
    "ID": "ID cannot represent a non-string and non-integer value",
}
_INT64 = 1 << 63
_INT64_DIGITS = 19


def undefined_variable(node: Node, operation: Node) -> None:
    """Raise for a variable that its operation does not declare."""
    where = f' by operation "{operation["Name"]}"' if operation.get("Name") else ""
    raise GraphqlError(f'Variable "{value_text(node)}" is not defined{where}.', node.pos)


def check_unique_fields(node: Node) -> None:
    """No field of an object stands twice."""
    if node.get("Kind", 0) != OBJECT:
        return
    seen: set[str] = set()
    for each in node.items_of("Children"):
        name = each.get("Name", "")
        if name in seen:
            raise GraphqlError(f'There can be only one input field named "{name}".', each.pos)
        seen.add(name)


def check_position(node: Node, variable: Node, expected: Node, *, has_default: bool) -> None:
    """A variable's type fits where it stands; a default makes up for null."""
    default = variable.get("DefaultValue")
    wanted = Node("Type", **expected)
    if has_default or (default is not None and default.get("Kind", 0) != NULL):
        wanted["NonNull"] = False
    if not compatible(variable["Type"], wanted):
        have, shown = type_text(variable["Type"]), type_text(expected)
        message = f'Variable "{value_text(node)}" of type "{have}" used in position expecting type "{shown}".'
        raise GraphqlError(message, node.pos)


def check_one_of(node: Node, definition: Node | None, variables: Mapping[str, Node]) -> None:
    """A variable that is the one field of such an object must not be null."""
    if node.get("Kind", 0) != OBJECT or definition is None or definition.named("Directives", "oneOf") is None:
        return
    for each in node.items_of("Children"):
        value = each["Value"]
        found = variables.get(value.get("Raw", "")) if value.get("Kind", 0) == VARIABLE else None
        if found is not None and not found["Type"].get("NonNull"):
            shown = type_text(found["Type"])
            message = (
                f'Variable "{value_text(value)}" is of type "{shown}" but must be non-nullable '
                f'to be used for OneOf Input Object "{definition.get("Name", "")}".'
            )
            raise GraphqlError(message, found.pos)


def check_type(node: Node, definition: Node | None, expected: Node | None) -> None:
    """A literal is a value of the type that is expected."""
    if definition is None or expected is None:
        return
    kind = node.get("Kind", 0)
    if kind == NULL and expected.get("NonNull"):
        message = f'Expected value of type "{type_text(expected)}", found {value_text(node)}.'
        raise GraphqlError(message, node.pos)
    scalar = definition.get("Kind") == "SCALAR"
    if kind in {NULL, VARIABLE} or (scalar and definition.get("Name") not in _BUILT_IN):
        return
    if kind == LIST:
        if expected.get("Elem") is None:
            raise _wrong(node, definition, expected)
    elif kind == OBJECT:
        _check_object(node, definition)
    elif definition.get("Kind") == "ENUM" and kind in {STRING, BLOCK, ENUM}:
        _check_enum(node, definition, expected)
    elif definition.get("Name") not in _ACCEPTED.get(kind, ()) or (kind == INT and not _fits(node.get("Raw", ""))):
        raise _wrong(node, definition, expected)


def _fits(digits: str) -> bool:
    """Whether an integer has 64 bits or fewer."""
    return len(digits) < _INT64_DIGITS or -_INT64 <= int(digits[: _INT64_DIGITS + 1]) < _INT64


def _check_enum(node: Node, definition: Node, expected: Node) -> None:
    names = [each.get("Name", "") for each in definition["EnumValues"]]
    raw, shown = node.get("Raw", ""), type_text(expected)
    if node.get("Kind", 0) == ENUM:
        if raw in names:
            return
        message = f'Value "{value_text(node)}" does not exist in "{shown}" enum.'
    else:
        message = f'Enum "{shown}" cannot represent non-enum value: {value_text(node)}.'
    found = suggest.hint("Did you mean the enum value", raw, names)
    raise GraphqlError(f"{message}{found}\n" if found else message, node.pos)


def _check_object(node: Node, definition: Node) -> None:
    """An input object: its required fields are there, and it has no others than its own."""
    name, children = definition.get("Name", ""), node.items_of("Children")
    for each in definition["Fields"]:
        required = each["Type"].get("NonNull") and each.get("DefaultValue") is None
        if required and node.named("Children", each.get("Name", "")) is None:
            shown = type_text(each["Type"])
            message = f'Field "{name}.{each.get("Name", "")}" of required type "{shown}" was not provided.'
            raise GraphqlError(message, node.pos)
    if definition.named("Directives", "oneOf") is not None:
        if len(children) != 1:
            raise GraphqlError(f'OneOf Input Object "{name}" must specify exactly one key.', node.pos)
        if children[0]["Value"].get("Kind", 0) == NULL:
            first = definition["Fields"][0].get("Name", "")
            raise GraphqlError(f'Field "{name}.{first}" must be non-null.', children[0].pos)
    for each in children:
        given = each.get("Name", "")
        if definition.named("Fields", given) is None:
            found = suggest.hint("Did you mean", given, [known.get("Name", "") for known in definition["Fields"]])
            message = f'Field "{given}" is not defined by type "{name}".'
            raise GraphqlError(f"{message}{found}\n" if found else message, each.pos)


def _wrong(node: Node, definition: Node, expected: Node) -> GraphqlError:
    shown, found = type_text(expected), value_text(node)
    named = "String" if shown == "[String]" else shown.removesuffix("!")
    if named in _WANTED:
        return GraphqlError(f"{_WANTED[named]}: {found}\n", node.pos)
    if definition.get("Kind") == "ENUM":
        return GraphqlError(f'Enum "{shown}" cannot represent non-enum value: {found}.', node.pos)
    return GraphqlError(f'Expected value of type "{shown}", found {found}.', node.pos)
