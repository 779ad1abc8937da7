"""The tree: objects whose keys are OPA's, with the place where each began.

`SHAPES` names the fields of each kind of node and what they hold. It serves three ends: what the parser leaves out
has a default, what a policy hands in is checked, and what a policy gets has the fields that OPA prints.
"""

from __future__ import annotations

from typing import Any

from guard.rego.runtime import BuiltinFailure
from guard.rego.values import sorted_keys

NO_PLACE = (0, 0)

VARIABLE, INT, FLOAT, STRING, BLOCK, BOOLEAN, NULL, ENUM, LIST, OBJECT = range(10)


class Node(dict[str, Any]):
    """One node. ``kind`` is its name in `SHAPES`, ``pos`` the row and column where it began, (0, 0) if unknown."""

    __slots__ = ("kind", "pos")

    def __init__(self, kind: str, pos: tuple[int, int] = NO_PLACE, **fields: Any) -> None:
        super().__init__(fields)
        self.kind = kind
        self.pos = pos

    def items_of(self, name: str) -> list[Any]:
        """The list that a field holds; empty where it is missing."""
        found = self.get(name)
        return found if found is not None else []

    def named(self, name: str, wanted: str) -> Node | None:
        """The first member of a list whose ``Name`` is this."""
        return next((each for each in self.items_of(name) if each.get("Name", "") == wanted), None)


class GraphqlError(Exception):
    """A document, a schema or a query is not valid."""

    def __init__(self, message: str, pos: tuple[int, int] = NO_PLACE) -> None:
        super().__init__(message)
        self.message = message
        self.pos = pos


# A string stands for a scalar with its default, a name in a list for a list of nodes, a bare name for a node.
_TEXT, _FLAG, _NUMBER = "", False, 0
_COMMENT = {"Comment": "CommentGroup"}
_COMMENTS = dict.fromkeys(("BeforeDescriptionComment", "AfterDescriptionComment"), "CommentGroup")
_ENDED = {**_COMMENTS, "EndOfDefinitionComment": "CommentGroup"}

SHAPES: dict[str, dict[str, Any]] = {
    "QueryDocument": {"Operations": ["Operation"], "Fragments": ["Fragment"], **_COMMENT},
    "Operation": {
        "Operation": (_TEXT,), "Name": (_TEXT,), "VariableDefinitions": ["Variable"],
        "Directives": ["Directive"], "SelectionSet": ["Selection"], **_COMMENT,
    },
    "Variable": {
        "Variable": (_TEXT,), "Type": "Type", "DefaultValue": "Value", "Directives": ["Directive"],
        "Used": (_FLAG,), **_COMMENT,
    },
    "Fragment": {
        "Name": (_TEXT,), "VariableDefinition": ["Variable"], "TypeCondition": (_TEXT,),
        "Directives": ["Directive"], "SelectionSet": ["Selection"], **_COMMENT,
    },
    "Field": {
        "Alias": (_TEXT,), "Name": (_TEXT,), "Arguments": ["Argument"], "Directives": ["Directive"],
        "SelectionSet": ["Selection"], **_COMMENT,
    },
    "Spread": {"Name": (_TEXT,), "Directives": ["Directive"], **_COMMENT},
    "Inline": {"TypeCondition": (_TEXT,), "Directives": ["Directive"], "SelectionSet": ["Selection"], **_COMMENT},
    "Argument": {"Name": (_TEXT,), "Value": "Value", **_COMMENT},
    "Directive": {"Name": (_TEXT,), "Arguments": ["Argument"], "Location": (_TEXT,)},
    "Value": {
        "Raw": (_TEXT,), "Children": ["Child"], "Kind": (_NUMBER,), "ExpectedTypeHasDefault": (_FLAG,), **_COMMENT,
    },
    "Child": {"Name": (_TEXT,), "Value": "Value", **_COMMENT},
    "Type": {"NamedType": (_TEXT,), "Elem": "Type", "NonNull": (_FLAG,)},
    "SchemaDocument": {
        "Schema": ["Schema"], "SchemaExtension": ["Schema"], "Directives": ["DirectiveDefinition"],
        "Definitions": ["Definition"], "Extensions": ["Definition"], **_COMMENT,
    },
    "Schema": {
        "Description": (_TEXT,), "Directives": ["Directive"], "OperationTypes": ["OperationType"], **_ENDED,
    },
    "OperationType": {"Operation": (_TEXT,), "Type": (_TEXT,), **_COMMENT},
    "Definition": {
        "Kind": (_TEXT,), "Description": (_TEXT,), "Name": (_TEXT,), "Directives": ["Directive"],
        "Interfaces": [(_TEXT,)], "Fields": ["FieldDefinition"], "Types": [(_TEXT,)],
        "EnumValues": ["EnumValue"], "BuiltIn": (_FLAG,), **_ENDED,
    },
    "FieldDefinition": {
        "Description": (_TEXT,), "Name": (_TEXT,), "Arguments": ["ArgumentDefinition"], "DefaultValue": "Value",
        "Type": "Type", "Directives": ["Directive"], **_COMMENTS,
    },
    "ArgumentDefinition": {
        "Description": (_TEXT,), "Name": (_TEXT,), "DefaultValue": "Value", "Type": "Type",
        "Directives": ["Directive"], **_COMMENTS,
    },
    "EnumValue": {"Description": (_TEXT,), "Name": (_TEXT,), "Directives": ["Directive"], **_COMMENTS},
    "DirectiveDefinition": {
        "Description": (_TEXT,), "Name": (_TEXT,), "Arguments": ["ArgumentDefinition"], "Locations": [(_TEXT,)],
        "IsRepeatable": (_FLAG,), **_COMMENTS,
    },
    "CommentGroup": {"List": ["Comment"]},
    "Comment": {"Value": (_TEXT,)},
}  # fmt: skip


def plain(node: Node) -> dict[str, Any]:
    """The object that a policy gets: defaults filled in, empty lists and missing nodes left out."""
    found: dict[str, Any] = {}
    for name, shape in SHAPES[node.kind].items():
        value = node.get(name)
        if isinstance(shape, tuple):
            found[name] = shape[0] if value is None else value
        elif isinstance(shape, list):
            items = [plain(each) if isinstance(each, Node) else each for each in value or ()]
            if items:
                found[name] = items
        elif value is not None:
            below = plain(value)
            if below:
                found[name] = below
    return found


def read(value: Any, kind: str) -> Node:
    """A node from an object that a policy built. Fields of other names are left out. Raises BuiltinFailure."""
    if type(value) is not dict:
        raise _mismatch(value, kind)
    if kind == "Selection":
        kind = "Field" if "Alias" in value else "Inline" if "TypeCondition" in value else "Spread"
        kind = "Field" if kind == "Spread" and ("SelectionSet" in value or "Arguments" in value) else kind
    node = Node(kind)
    shapes = SHAPES[kind]
    for key in sorted_keys(value):
        shape, held = shapes.get(key), value[key]
        if shape is None or held is None:
            continue
        if isinstance(shape, list):
            if type(held) is not list:
                raise _mismatch(held, f"{kind}.{key}")
            each = shape[0]
            node[key] = [_scalar(item, each, key) if isinstance(each, tuple) else read(item, each) for item in held]
        else:
            node[key] = _scalar(held, shape, key) if isinstance(shape, tuple) else read(held, shape)
    return node


def _scalar(value: Any, shape: tuple[Any], name: str) -> Any:
    if type(value) is not type(shape[0]):
        raise _mismatch(value, name)
    return value


def _mismatch(value: Any, where: str) -> BuiltinFailure:
    from guard.rego.values import type_name

    return BuiltinFailure(f"json: cannot unmarshal {type_name(value)} into {where}")


def type_text(node: Node) -> str:
    """A type reference as GraphQL writes it: ``[Int!]!``."""
    bang = "!" if node.get("NonNull") else ""
    elem = node.get("Elem")
    return f"[{type_text(elem)}]{bang}" if elem is not None else f"{node.get('NamedType', '')}{bang}"


def type_root(node: Node) -> str:
    """The name inside all lists of a type reference."""
    while node.get("Elem") is not None:
        node = node["Elem"]
    return str(node.get("NamedType", ""))


def value_text(node: Node) -> str:
    """A value as messages show it."""
    kind, raw = node.get("Kind", 0), node.get("Raw", "")
    if kind == VARIABLE:
        return f"${raw}"
    if kind in {STRING, BLOCK}:
        from guard.rego.show import quote

        return quote(raw)
    if kind == LIST:
        return "[" + ",".join(value_text(each["Value"]) for each in node.items_of("Children")) + "]"
    if kind == OBJECT:
        pairs = [f"{each.get('Name', '')}:{value_text(each['Value'])}" for each in node.items_of("Children")]
        return "{" + ",".join(pairs) + "}"
    return str(raw)
